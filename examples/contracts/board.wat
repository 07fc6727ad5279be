;; A notice board: the smallest contract with input, an event and return data.
;;
;;   post ()   keeps the transaction's input and emits it as the event "posted"
;;   read ()   the notice, as return data, without writing
;;
;; Storage: "notice" -> the bytes of the last post.
(module
  (import "env" "input_len" (func $input_len (result i32)))
  (import "env" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "env" "storage_read" (func $storage_read (param i32 i32) (result i64)))
  (import "env" "storage_write" (func $storage_write (param i32 i32 i32 i32) (result i32)))
  (import "env" "log_event" (func $log_event (param i32 i32 i32 i32)))
  (import "env" "return_data" (func $return_data (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "notice")
  (data (i32.const 16) "posted")
  (func (export "post") (local $size i32)
    (local.set $size (call $input_read (i32.const 0) (call $input_len) (i32.const 1024)))
    (drop (call $storage_write (i32.const 0) (i32.const 6) (i32.const 1024) (local.get $size)))
    (call $log_event (i32.const 16) (i32.const 6) (i32.const 1024) (local.get $size)))
  (func (export "read") (local $found i64)
    (local.set $found (call $storage_read (i32.const 0) (i32.const 6)))
    (call $return_data (i32.wrap_i64 (i64.shr_u (local.get $found) (i64.const 32)))
                       (i32.wrap_i64 (local.get $found)))))
