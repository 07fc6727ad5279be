(module
  (type (;0;) (func (param i32) (result i32)))
  (type (;1;) (func))
  (type (;2;) (func (result i32)))
  (type (;3;) (func (result i64)))
  (type (;4;) (func (param i32)))
  (type (;5;) (func (param i64)))
  (type (;6;) (func (param i32)))
  (type (;7;) (func (result i32)))
  (type (;8;) (func))
  (type (;9;) (func (result i32)))
  (type (;10;) (func (result i64)))
  (type (;11;) (func))
  (import "m" "fuel" (func (;0;) (type 5)))
  (import "m" "enter" (func (;1;) (type 6)))
  (import "m" "leave" (func (;2;) (type 6)))
  (func (;3;) (type 0) (param i32) (result i32)
    i64.const 2
    call 0
    local.get 0
    br 0 (;@0;))
  (func (;4;) (type 1)
    i64.const 1
    call 0
    unreachable)
  (func (;5;) (type 1)
    i64.const 2
    call 0
    block  ;; label = @1
      br 0 (;@1;)
    end
    i64.const 2
    call 0
    nop)
  (func (;6;) (type 1)
    i64.const 3
    call 0
    block  ;; label = @1
      i32.const 0
      br_table 0 (;@1;)
    end
    i64.const 2
    call 0
    nop)
  (func (;7;) (type 1)
    i64.const 3
    call 0
    block  ;; label = @1
      block  ;; label = @2
        br 2 (;@0;)
      end
      unreachable
    end
    unreachable)
  (func (;8;) (type 2) (result i32)
    i64.const 3
    call 0
    block (result i32)  ;; label = @1
      i32.const 1
      br 1 (;@0;)
    end
    unreachable)
  (func (;9;) (type 3) (result i64)
    i64.const 1
    call 0
    loop (result i64)  ;; label = @1
      i64.const 1
      call 0
      br 0 (;@1;)
    end
    unreachable)
  (func (;10;) (type 0) (param i32) (result i32)
    i64.const 2
    call 0
    local.get 0
    if (result i32)  ;; label = @1
      i64.const 2
      call 0
      i32.const 1
      br 1 (;@0;)
    else
      i64.const 2
      call 0
      i32.const 2
      br 1 (;@0;)
    end
    unreachable)
  (func (;11;) (type 0) (param i32) (result i32)
    i64.const 2
    call 0
    local.get 0
    if (result i32)  ;; label = @1
      i64.const 2
      call 0
      i32.const 1
      br 1 (;@0;)
    else
      i64.const 2
      call 0
      i32.const 2
    end
    i64.const 1
    call 0)
  (func (;12;) (type 0) (param i32) (result i32)
    i64.const 2
    call 0
    local.get 0
    if (result i32)  ;; label = @1
      i64.const 2
      call 0
      i32.const 1
    else
      i64.const 1
      call 0
      unreachable
    end
    i64.const 1
    call 0)
  (func (;13;) (type 4) (param i32)
    i64.const 2
    call 0
    local.get 0
    if  ;; label = @1
      i64.const 1
      call 0
      br 1 (;@0;)
    end
    i64.const 2
    call 0
    nop)
  (func (;14;) (type 4) (param i32)
    i64.const 2
    call 0
    local.get 0
    if  ;; label = @1
      i64.const 1
      call 0
      br 0 (;@1;)
    else
      i64.const 1
      call 0
      br 1 (;@0;)
    end
    i64.const 2
    call 0
    nop)
  (func (;15;) (type 0) (param i32) (result i32)
    i64.const 3
    call 0
    block (result i32)  ;; label = @1
      i32.const 1
      br 0 (;@1;)
    end
    i64.const 1
    call 0)
  (func (;16;) (type 4) (param i32)
    i64.const 2
    call 0
    local.get 0
    if  ;; label = @1
      i64.const 1
      call 0
      br 1 (;@0;)
    else
      i64.const 2
      call 0
      nop
    end
    i64.const 2
    call 0
    nop)
  (memory (;0;) 1 256)
  (export "memory" (memory 0)))
