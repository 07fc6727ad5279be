;; schedule=unit floats=forbid imports=any
;; A module for another host: its imports are numbered too, and it may have any memory.
(module
  (import "*/ #error" "a\0ab" (func (param i64) (result i32 i32)))
  (memory 1 65536)
  (func (export "run") (result i32) (call 0 (i64.const 1)) (drop)))
