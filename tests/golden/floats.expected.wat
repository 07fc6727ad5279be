(module
  (type (;0;) (func (param f32 f32) (result f32)))
  (type (;1;) (func (param f64 f64) (result f64)))
  (type (;2;) (func (param f32 f64) (result f64)))
  (type (;3;) (func (param f32) (result f32)))
  (type (;4;) (func (param f32) (result i64)))
  (type (;5;) (func (param i64)))
  (type (;6;) (func (param i32)))
  (type (;7;) (func (result f32)))
  (type (;8;) (func (result f64)))
  (type (;9;) (func (result f64)))
  (type (;10;) (func (result f32)))
  (type (;11;) (func (result i64)))
  (import "m" "fuel" (func (;0;) (type 5)))
  (import "m" "enter" (func (;1;) (type 6)))
  (import "m" "leave" (func (;2;) (type 6)))
  (func (;3;) (type 0) (param f32 f32) (result f32)
    (local f32)
    i64.const 8
    call 0
    local.get 0
    local.get 1
    f32.add
    local.tee 2
    f32.const nan (;=nan;)
    local.get 2
    local.get 2
    f32.eq
    select
    local.get 0
    f32.neg
    f32.max
    local.tee 2
    f32.const nan (;=nan;)
    local.get 2
    local.get 2
    f32.eq
    select
    f32.sqrt
    local.tee 2
    f32.const nan (;=nan;)
    local.get 2
    local.get 2
    f32.eq
    select)
  (func (;4;) (type 1) (param f64 f64) (result f64)
    (local f64)
    i64.const 8
    call 0
    local.get 0
    f64.abs
    local.get 1
    f64.const nan (;=nan;)
    f64.copysign
    f64.div
    local.tee 2
    f64.const nan (;=nan;)
    local.get 2
    local.get 2
    f64.eq
    select
    f64.nearest
    local.tee 2
    f64.const nan (;=nan;)
    local.get 2
    local.get 2
    f64.eq
    select)
  (func (;5;) (type 2) (param f32 f64) (result f64)
    (local f32 f64)
    i64.const 7
    call 0
    local.get 0
    f64.promote_f32
    local.tee 3
    f64.const nan (;=nan;)
    local.get 3
    local.get 3
    f64.eq
    select
    local.get 1
    f32.demote_f64
    local.tee 2
    f32.const nan (;=nan;)
    local.get 2
    local.get 2
    f32.eq
    select
    f64.promote_f32
    local.tee 3
    f64.const nan (;=nan;)
    local.get 3
    local.get 3
    f64.eq
    select
    f64.add
    local.tee 3
    f64.const nan (;=nan;)
    local.get 3
    local.get 3
    f64.eq
    select)
  (func (;6;) (type 3) (param f32) (result f32)
    (local f64)
    i64.const 12
    call 0
    local.get 0
    i32.const 0
    f32.load
    i32.const 1
    select
    global.set 0
    i32.const 4
    i32.const -1
    f32.reinterpret_i32
    f32.store
    global.get 0)
  (func (;7;) (type 4) (param f32) (result i64)
    i64.const 9
    call 0
    local.get 0
    i64.trunc_f32_u
    local.get 0
    i32.const 1
    f32.convert_i32_s
    f32.lt
    i64.extend_i32_u
    i64.add)
  (memory (;0;) 1 256)
  (global (;0;) (mut f32) (f32.const nan:0x1234 (;=nan;)))
  (export "memory" (memory 0)))
