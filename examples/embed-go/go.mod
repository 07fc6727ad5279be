module smelt.example/embed

go 1.19
