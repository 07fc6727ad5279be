(module
  (type (;0;) (func))
  (type (;1;) (func (param i32 i32 i32)))
  (type (;2;) (func (param i32) (result i32)))
  (type (;3;) (func (param i64)))
  (type (;4;) (func (param i32)))
  (type (;5;) (func))
  (type (;6;) (func))
  (type (;7;) (func (result i32)))
  (import "m" "fuel" (func (;0;) (type 3)))
  (import "m" "enter" (func (;1;) (type 4)))
  (import "m" "leave" (func (;2;) (type 4)))
  (func (;3;) (type 0)
    i32.const 8
    call 1
    block  ;; label = @1
      i64.const 1
      call 0
    end
    i32.const 8
    call 2)
  (func (;4;) (type 1) (param i32 i32 i32)
    (local i32)
    i64.const 14
    call 0
    local.get 0
    local.get 1
    local.get 2
    local.tee 3
    local.get 3
    i64.extend_i32_u
    i64.const 7
    i64.add
    i64.const 3
    i64.shr_u
    i64.const 1
    i64.mul
    call 0
    memory.copy
    local.get 0
    local.get 1
    local.get 2
    local.tee 3
    local.get 3
    i64.extend_i32_u
    i64.const 7
    i64.add
    i64.const 3
    i64.shr_u
    i64.const 1
    i64.mul
    call 0
    memory.fill
    local.get 0
    local.get 1
    local.get 2
    local.tee 3
    local.get 3
    i64.extend_i32_u
    i64.const 7
    i64.add
    i64.const 3
    i64.shr_u
    i64.const 1
    i64.mul
    call 0
    memory.init 0
    data.drop 0)
  (func (;5;) (type 1) (param i32 i32 i32)
    (local i32)
    i64.const 10
    call 0
    local.get 0
    local.get 1
    local.get 2
    local.tee 3
    local.get 3
    i64.extend_i32_u
    i64.const 1
    i64.mul
    call 0
    table.copy
    local.get 0
    local.get 1
    local.get 2
    local.tee 3
    local.get 3
    i64.extend_i32_u
    i64.const 1
    i64.mul
    call 0
    table.init 0
    elem.drop 0)
  (func (;6;) (type 2) (param i32) (result i32)
    (local i64 i32)
    i64.const 2
    call 0
    local.get 0
    local.tee 2
    local.get 2
    i64.extend_i32_u
    i64.const 1
    i64.mul
    call 0
    memory.grow
    i64.const 1
    call 0)
  (table (;0;) 4 funcref)
  (memory (;0;) 1 2)
  (export "memory" (memory 0))
  (elem (;0;) func 3)
  (data (;0;) "0123456789"))
