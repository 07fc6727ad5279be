;; schedule=unit floats=forbid
;; What is re-encoded: names of ours, exports in order also when they repeat, every kind of segment,
;; the memory's maximum lowered to the profile's, a page more for returned values.
(module
  (import "env" "storage_read" (func $read (param i32 i32) (result i64)))
  (import "env" "input_len" (func $len (result i32)))
  (import "env" "storage_read" (func $again (param i32 i32) (result i64)))
  (memory $memory (export "mem*/") 2 1000)
  (table $table (export "t") 8 16 funcref)
  (global $g (export "g") (mut i64) (i64.const -5))
  (global i32 (i32.const 0x7fffffff))
  (func $named (export "*/ int injected; /*") (export "second") (result i32) (call $len))
  (func (export "third") (export "memory2"))
  (export "imported" (func $read))
  (export "named again" (func $named))
  (elem (i32.const 1) func $named $read)
  (elem (i32.const 3) funcref (ref.null func) (ref.func $named))
  (elem func $again)
  (elem funcref (ref.null func))
  (elem declare func $named)
  (elem declare funcref (ref.func $len) (ref.null func))
  (data (i32.const 65536) "*/\0a#error")
  (data "passive")
  (data (i32.const 0) ""))
