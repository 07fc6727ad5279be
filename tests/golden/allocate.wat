;; schedule=engine-v1 floats=forbid
;; A module that places values itself gets no page for them.
(module
  (import "env" "storage_read" (func $read (param i32 i32) (result i64)))
  (memory 3 3)
  (func (export "allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "run") (result i64) (call $read (i32.const 0) (i32.const 0))))
