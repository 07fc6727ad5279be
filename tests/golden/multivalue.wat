;; schedule=ones floats=forbid
;; Several results, blocks with parameters.
(module
  (type $pair (func (param i32) (result i32 i64)))
  (func $swap (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
  (func $blocks (param i32) (result i32)
    (local.get 0)
    (block (param i32) (result i32 i32) (local.get 0) (br_if 0 (i32.const 1)))
    (i32.add)
    (loop (param i32) (result i32) (i32.const 1) (i32.add) (br_if 0 (i32.const 0)))
    (i32.const 1)
    (if (param i32) (result i32) (then (i32.const 2) (i32.mul)) (else (i32.eqz)))
    (i32.const 0)
    (if (param i32) (result i32) (then (i32.eqz))))
  (func $calls (result i32)
    (call $swap (i32.const 1) (i64.const 2))
    (drop) (drop)
    (i32.const 7) (block (type $pair) (i64.const 2) (br 0))
    (drop)))
