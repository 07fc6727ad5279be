;; The instance traps before any code runs.
(module
  (memory 1)
  (data (i32.const 0) "fits")
  (data (i32.const 65533) "does not")
  (func (export "never") (result i32) (i32.load (i32.const 0))))
