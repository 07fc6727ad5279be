(module
  (memory (export "memory") 1)
  (func (export "init") unreachable)
  (func (export "nothing")))
