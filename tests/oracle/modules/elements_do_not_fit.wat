;; Element segments come before data segments: the trap is the table's.
(module
  (memory 1)
  (table 2 funcref)
  (data (i32.const 65533) "does not fit either")
  (elem (i32.const 1) $never $never)
  (func $never (export "never") (result i32) (i32.const 1)))
