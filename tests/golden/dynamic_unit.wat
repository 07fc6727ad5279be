;; schedule=unit floats=forbid
;; Charges that depend on an operand, taken before the effect.
(module
  (memory 1 2)
  (table 4 funcref)
  (data $d "0123456789")
  (elem $e func $f)
  (func $f)
  (func $memory (param i32 i32 i32)
    (memory.copy (local.get 0) (local.get 1) (local.get 2))
    (memory.fill (local.get 0) (local.get 1) (local.get 2))
    (memory.init $d (local.get 0) (local.get 1) (local.get 2))
    (data.drop $d))
  (func $table (param i32 i32 i32)
    (table.copy (local.get 0) (local.get 1) (local.get 2))
    (table.init $e (local.get 0) (local.get 1) (local.get 2))
    (elem.drop $e))
  (func $grow (param i32) (result i32) (local i64) (memory.grow (local.get 0))))
