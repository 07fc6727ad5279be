(module
  (type (;0;) (func (param i32) (result i32)))
  (type (;1;) (func))
  (type (;2;) (func (param i32) (result i32 i64)))
  (type (;3;) (func (result i32)))
  (type (;4;) (func (param i64)))
  (type (;5;) (func (param i32)))
  (type (;6;) (func (result i32)))
  (type (;7;) (func))
  (type (;8;) (func (result i32 i64)))
  (type (;9;) (func (result i32)))
  (import "m" "fuel" (func (;0;) (type 4)))
  (import "m" "enter" (func (;1;) (type 5)))
  (import "m" "leave" (func (;2;) (type 5)))
  (func (;3;) (type 0) (param i32) (result i32)
    i64.const 2
    call 0
    local.get 0
    br 0 (;@0;))
  (func (;4;) (type 0) (param i32) (result i32)
    i32.const 12
    call 1
    block (result i32)  ;; label = @1
      i64.const 3
      call 0
      local.get 0
      i32.eqz
      if  ;; label = @2
        i64.const 2
        call 0
        i32.const 0
        br 1 (;@1;)
      end
      i64.const 4
      call 0
      local.get 0
      i32.const 1
      i32.sub
      call 4
      i64.const 1
      call 0
    end
    i32.const 12
    call 2)
  (func (;5;) (type 0) (param i32) (result i32)
    i32.const 12
    call 1
    block (result i32)  ;; label = @1
      i64.const 3
      call 0
      block  ;; label = @2
        local.get 0
        br_if 0 (;@2;)
        i64.const 2
        call 0
        i32.const 1
        br 1 (;@1;)
      end
      i64.const 4
      call 0
      local.get 0
      i32.const 1
      i32.sub
      call 6
      i64.const 1
      call 0
    end
    i32.const 12
    call 2)
  (func (;6;) (type 0) (param i32) (result i32)
    i32.const 12
    call 1
    block (result i32)  ;; label = @1
      i64.const 2
      call 0
      local.get 0
      if (result i32)  ;; label = @2
        i64.const 4
        call 0
        local.get 0
        i32.const 1
        i32.sub
        call 5
        i64.const 1
        call 0
      else
        i64.const 2
        call 0
        i32.const 0
      end
      i64.const 1
      call 0
    end
    i32.const 12
    call 2)
  (func (;7;) (type 0) (param i32) (result i32)
    i32.const 20
    call 1
    block (result i32)  ;; label = @1
      i64.const 2
      call 0
      local.get 0
      call 3
      i64.const 1
      call 0
    end
    i32.const 20
    call 2)
  (func (;8;) (type 1)
    i32.const 10
    call 1
    block  ;; label = @1
      i64.const 3
      call 0
      i32.const 1
      i32.const 0
      call_indirect (type 0)
      i64.const 2
      call 0
      drop
    end
    i32.const 10
    call 2)
  (func (;9;) (type 1)
    i32.const 8
    call 1
    block  ;; label = @1
      i64.const 1
      call 0
      br 0 (;@1;)
    end
    i32.const 8
    call 2)
  (func (;10;) (type 2) (param i32) (result i32 i64)
    i32.const 13
    call 1
    block (result i32 i64)  ;; label = @1
      i64.const 2
      call 0
      local.get 0
      if  ;; label = @2
        i64.const 3
        call 0
        i32.const 1
        i64.const 2
        br 1 (;@1;)
      end
      i64.const 2
      call 0
      i32.const 1
      call 10
      i64.const 1
      call 0
    end
    i32.const 13
    call 2)
  (func (;11;) (type 0) (param i32) (result i32)
    i32.const 11
    call 1
    block (result i32)  ;; label = @1
      i64.const 3
      call 0
      i32.const 5
      local.get 0
      br_if 0 (;@1;)
      i64.const 2
      call 0
      i32.const 0
      br_table 0 (;@1;) 0 (;@1;)
    end
    i32.const 11
    call 2)
  (func (;12;) (type 0) (param i32) (result i32)
    i32.const 10
    call 1
    block (result i32)  ;; label = @1
      i64.const 2
      call 0
      i32.const 0
      call 12
      i64.const 2
      call 0
      drop
      unreachable
    end
    i32.const 10
    call 2)
  (func (;13;) (type 3) (result i32)
    i64.const 2
    call 0
    i32.const 3
    call 4
    i64.const 1
    call 0)
  (table (;0;) 2 funcref)
  (export "x0" (func 13))
  (elem (;0;) (i32.const 0) func 7)
  (elem (;1;) func))
