;; schedule=ones floats=forbid
;; Where basic blocks start. With every instruction at 1, a charge is a block's number of instructions.
(module
  (type $void (func))
  (type $unary (func (param i32) (result i32)))
  (memory 1)
  (table 1 funcref)
  ;; entry only: one charge, end included
  (func $straight (result i32) (i32.add (i32.const 1) (i32.const 2)))
  ;; an empty function still has its end
  (func $empty)
  ;; no branch goes to the block: its end starts nothing
  (func $untargeted (block (drop (i32.const 1))) (nop))
  ;; a branch goes to the block: what follows its end is a new block
  (func $targeted (param i32)
    (block (br_if 0 (local.get 0)) (nop))
    (nop))
  ;; the branch to the outer block does not make the inner one a target
  (func $outer (param i32)
    (block (block (br_if 1 (local.get 0)) (nop)) (nop))
    (nop))
  ;; a loop's header is a block, its end is not, although the header is a target
  (func $loop (param i32)
    (loop (nop) (br_if 0 (local.get 0)) (nop))
    (nop))
  ;; a loop that nobody repeats still checks its fuel at the header
  (func $loop_once (loop (nop)))
  (func $if (param i32)
    (if (local.get 0) (then (nop)))
    (nop))
  (func $if_else (param i32)
    (if (local.get 0) (then (nop) (nop)) (else (nop)))
    (nop))
  (func $if_result (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2))))
  (func $calls (param i32) (result i32)
    (call $empty)
    (nop)
    (call_indirect (type $void) (i32.const 0))
    (drop (memory.grow (i32.const 0)))
    (local.get 0))
  ;; br_table makes targets of all its labels, the default's too
  (func $table (param i32)
    (block (block (block (block (br_table 0 2 1 (local.get 0))) (nop)) (nop)) (nop))
    (nop)))
