;; The counter of ../contracts, by two: what an upgrade makes of it.
(module
  (import "env" "storage_read" (func $storage_read (param i32 i32) (result i64)))
  (import "env" "storage_write" (func $storage_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "counter")
  (func (export "increment") (result i32) (local $found i64) (local $count i32)
    (local.set $found (call $storage_read (i32.const 0) (i32.const 7)))
    (if (i64.ne (local.get $found) (i64.const 0))
      (then (local.set $count (i32.load (i32.wrap_i64 (i64.shr_u (local.get $found) (i64.const 32)))))))
    (local.set $count (i32.add (local.get $count) (i32.const 2)))
    (i32.store (i32.const 100) (local.get $count))
    (drop (call $storage_write (i32.const 0) (i32.const 7) (i32.const 100) (i32.const 4)))
    (local.get $count)))
