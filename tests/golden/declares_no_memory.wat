;; schedule=engine-v1 floats=forbid
;; Host functions without a memory: no page, no export.
(module
  (import "env" "storage_read" (func $read (param i32 i32) (result i64)))
  (func (export "run") (result i64) (call $read (i32.const 0) (i32.const 0))))
