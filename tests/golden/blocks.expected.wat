(module
  (type (;0;) (func))
  (type (;1;) (func (param i32) (result i32)))
  (type (;2;) (func (result i32)))
  (type (;3;) (func (param i32)))
  (type (;4;) (func (param i64)))
  (type (;5;) (func (param i32)))
  (type (;6;) (func))
  (type (;7;) (func (result i32)))
  (type (;8;) (func (result i32)))
  (type (;9;) (func))
  (import "m" "fuel" (func (;0;) (type 4)))
  (import "m" "enter" (func (;1;) (type 5)))
  (import "m" "leave" (func (;2;) (type 5)))
  (func (;3;) (type 2) (result i32)
    i64.const 4
    call 0
    i32.const 1
    i32.const 2
    i32.add)
  (func (;4;) (type 0)
    i64.const 1
    call 0)
  (func (;5;) (type 0)
    i64.const 6
    call 0
    block  ;; label = @1
      i32.const 1
      drop
    end
    nop)
  (func (;6;) (type 3) (param i32)
    i64.const 3
    call 0
    block  ;; label = @1
      local.get 0
      br_if 0 (;@1;)
      i64.const 2
      call 0
      nop
    end
    i64.const 2
    call 0
    nop)
  (func (;7;) (type 3) (param i32)
    i64.const 4
    call 0
    block  ;; label = @1
      block  ;; label = @2
        local.get 0
        br_if 1 (;@1;)
        i64.const 4
        call 0
        nop
      end
      nop
    end
    i64.const 2
    call 0
    nop)
  (func (;8;) (type 3) (param i32)
    i64.const 1
    call 0
    loop  ;; label = @1
      i64.const 3
      call 0
      nop
      local.get 0
      br_if 0 (;@1;)
      i64.const 4
      call 0
      nop
    end
    nop)
  (func (;9;) (type 0)
    i64.const 1
    call 0
    loop  ;; label = @1
      i64.const 3
      call 0
      nop
    end)
  (func (;10;) (type 3) (param i32)
    i64.const 2
    call 0
    local.get 0
    if  ;; label = @1
      i64.const 2
      call 0
      nop
    end
    i64.const 2
    call 0
    nop)
  (func (;11;) (type 3) (param i32)
    i64.const 2
    call 0
    local.get 0
    if  ;; label = @1
      i64.const 3
      call 0
      nop
      nop
    else
      i64.const 2
      call 0
      nop
    end
    i64.const 2
    call 0
    nop)
  (func (;12;) (type 1) (param i32) (result i32)
    i64.const 2
    call 0
    local.get 0
    if (result i32)  ;; label = @1
      i64.const 2
      call 0
      i32.const 1
    else
      i64.const 2
      call 0
      i32.const 2
    end
    i64.const 1
    call 0)
  (func (;13;) (type 1) (param i32) (result i32)
    (local i32)
    i64.const 1
    call 0
    call 4
    i64.const 3
    call 0
    nop
    i32.const 0
    call_indirect (type 0)
    i64.const 2
    call 0
    i32.const 0
    local.tee 1
    local.get 1
    i64.extend_i32_u
    i64.const 1
    i64.mul
    call 0
    memory.grow
    i64.const 3
    call 0
    drop
    local.get 0)
  (func (;14;) (type 3) (param i32)
    i64.const 6
    call 0
    block  ;; label = @1
      block  ;; label = @2
        block  ;; label = @3
          block  ;; label = @4
            local.get 0
            br_table 0 (;@4;) 2 (;@2;) 1 (;@3;)
          end
          i64.const 2
          call 0
          nop
        end
        i64.const 2
        call 0
        nop
      end
      i64.const 4
      call 0
      nop
    end
    nop)
  (table (;0;) 1 funcref)
  (memory (;0;) 1 256)
  (export "memory" (memory 0)))
