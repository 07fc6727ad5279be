(module
  (type (;0;) (func (param i32 i32) (result i64)))
  (type (;1;) (func (param i32) (result i32)))
  (type (;2;) (func (result i64)))
  (type (;3;) (func (param i64)))
  (type (;4;) (func (param i32)))
  (type (;5;) (func (result i64)))
  (type (;6;) (func (result i32)))
  (type (;7;) (func (result i64)))
  (import "h" "i0" (func (;0;) (type 0)))
  (import "m" "fuel" (func (;1;) (type 3)))
  (import "m" "enter" (func (;2;) (type 4)))
  (import "m" "leave" (func (;3;) (type 4)))
  (func (;4;) (type 1) (param i32) (result i32)
    i64.const 1
    call 1
    i32.const 1024)
  (func (;5;) (type 2) (result i64)
    i64.const 3
    call 1
    i32.const 0
    i32.const 0
    call 0)
  (memory (;0;) 3 3)
  (export "x0" (func 4))
  (export "x1" (func 5))
  (export "memory" (memory 0)))
