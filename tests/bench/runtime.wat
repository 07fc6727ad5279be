;; What bench_runtime calls: one function per question, the same bytes for every runtime.
(module
  (import "bench" "echo" (func $echo (param i32) (result i32)))
  (import "bench" "nest" (func $nest (param i32) (result i32)))
  (memory (export "memory") 32)
  (data (i32.const 64) "a page of data that every instance begins with")

  (func (export "empty") (param i32) (result i32) (local.get 0))

  ;; n host calls
  (func (export "echo") (param $n i32) (result i32) (local $last i32)
    (loop $again
      (local.set $last (call $echo (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $last))

  ;; writes to the first n pages of 4 KiB
  (func (export "touch") (param $n i32) (result i32)
    (loop $again
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (i32.store (i32.shl (local.get $n) (i32.const 12)) (i32.const 1))
      (br_if $again (local.get $n)))
    (i32.load (i32.const 0)))

  ;; n instances, each called by the one before
  (func (export "nest") (param $n i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
    (i32.add (call $nest (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))

  ;; traps n calls deep
  (func $trap (export "trap") (param $n i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (unreachable)))
    (i32.add (call $trap (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))

  ;; These end when they are stopped. A loop without an effect the C compiler would leave at once,
  ;; with all its fuel gone.
  (func (export "spin") (param i32) (result i32)
    (loop $again
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 4))))
      (br_if $again (i32.const 1)))
    (i32.const 0))
  (func (export "spin_echo") (param i32) (result i32)
    (loop $again (drop (call $echo (local.get 0))) (br_if $again (i32.const 1)))
    (i32.const 0))
  (func (export "spin_fill") (param i32) (result i32)
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 2097152))
      (br_if $again (i32.const 1)))
    (i32.const 0)))
