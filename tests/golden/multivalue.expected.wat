(module
  (type (;0;) (func (param i32) (result i32 i64)))
  (type (;1;) (func (param i32 i64) (result i64 i32)))
  (type (;2;) (func (param i32) (result i32)))
  (type (;3;) (func (param i32) (result i32 i32)))
  (type (;4;) (func (result i32)))
  (type (;5;) (func (param i64)))
  (type (;6;) (func (param i32)))
  (type (;7;) (func (result i32 i64)))
  (type (;8;) (func (result i64 i32)))
  (type (;9;) (func (result i32)))
  (type (;10;) (func (result i32 i32)))
  (type (;11;) (func (result i32)))
  (import "m" "fuel" (func (;0;) (type 5)))
  (import "m" "enter" (func (;1;) (type 6)))
  (import "m" "leave" (func (;2;) (type 6)))
  (func (;3;) (type 1) (param i32 i64) (result i64 i32)
    i64.const 3
    call 0
    local.get 1
    local.get 0)
  (func (;4;) (type 2) (param i32) (result i32)
    i64.const 5
    call 0
    local.get 0
    block (param i32) (result i32 i32)  ;; label = @1
      local.get 0
      i32.const 1
      br_if 0 (;@1;)
      i64.const 1
      call 0
    end
    i64.const 2
    call 0
    i32.add
    loop (param i32) (result i32)  ;; label = @1
      i64.const 4
      call 0
      i32.const 1
      i32.add
      i32.const 0
      br_if 0 (;@1;)
      i64.const 3
      call 0
    end
    i32.const 1
    if (param i32) (result i32)  ;; label = @1
      i64.const 3
      call 0
      i32.const 2
      i32.mul
    else
      i64.const 2
      call 0
      i32.eqz
    end
    i64.const 2
    call 0
    i32.const 0
    if (param i32) (result i32)  ;; label = @1
      i64.const 2
      call 0
      i32.eqz
    end
    i64.const 1
    call 0)
  (func (;5;) (type 4) (result i32)
    i64.const 3
    call 0
    i32.const 1
    i64.const 2
    call 3
    i64.const 6
    call 0
    drop
    drop
    i32.const 7
    block (param i32) (result i32 i64)  ;; label = @1
      i64.const 2
      br 0 (;@1;)
    end
    i64.const 2
    call 0
    drop))
