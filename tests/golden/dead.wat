;; schedule=ones floats=forbid
;; Code that can never run is neither written nor charged.
(module
  (memory 1)
  (func $after_return (param i32) (result i32)
    (return (local.get 0))
    (drop (i32.load (i32.const 0)))
    (i32.const 1))
  (func $after_unreachable unreachable (drop (i32.const 1)) (block (loop (if (i32.const 0) (then (nop)) (else (nop))))) (nop))
  (func $after_br (block (br 0) (nop) (block (nop)) (nop)) (nop))
  (func $after_br_table (block (br_table 0 (i32.const 0)) (nop)) (nop))
  ;; dead branches make no targets: the end of this block starts nothing
  (func $dead_branch (block (block (return) (br 1)) (br 0)) (nop))
  ;; a block that nobody leaves, with a result: what follows is closed by unreachable
  (func $never_left (result i32)
    (block (result i32) (return (i32.const 1)))
    (i32.const 2) (i32.add))
  (func $endless (result i64) (loop (result i64) (br 0)) (i64.const 1) (i64.add))
  (func $both_arms_leave (param i32) (result i32)
    (if (result i32) (local.get 0) (then (return (i32.const 1))) (else (return (i32.const 2))))
    (drop) (i32.const 3))
  (func $one_arm_leaves (param i32) (result i32)
    (if (result i32) (local.get 0) (then (return (i32.const 1))) (else (i32.const 2))))
  (func $then_arm_stays (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.const 1)) (else (unreachable))))
  ;; reached past its missing else, although the then arm leaves
  (func $no_else (param i32) (if (local.get 0) (then (return))) (nop))
  (func $if_target (param i32) (if (local.get 0) (then (br 0) (nop)) (else (return))) (nop))
  ;; dead code with structure of its own, and an else that belongs to it
  (func $dead_else (param i32) (result i32)
    (block (result i32)
      (br 0 (i32.const 1))
      (if (result i32) (then (i32.const 1)) (else (i32.const 2)))
      (drop)
      (block (br 2 (i32.const 3)))
      (i32.const 4)))
  ;; the live then arm has a dead tail, the else arm is live
  (func $dead_tail (param i32)
    (if (local.get 0) (then (return) (if (i32.const 0) (then) (else (nop)))) (else (nop)))
    (nop)))
