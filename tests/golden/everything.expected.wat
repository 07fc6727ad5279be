(module
  (type (;0;) (func (param i32) (result i32)))
  (type (;1;) (func (param i32 i32) (result i64)))
  (type (;2;) (func (param i32 i32 i32 i32)))
  (type (;3;) (func (param i32 i64) (result i64 i32)))
  (type (;4;) (func))
  (type (;5;) (func (param i32 i64 f32 f64) (result i32)))
  (type (;6;) (func (param i64)))
  (type (;7;) (func (param i32)))
  (type (;8;) (func (result i32)))
  (type (;9;) (func (result i64)))
  (type (;10;) (func))
  (type (;11;) (func (result i64 i32)))
  (type (;12;) (func))
  (type (;13;) (func (result i32)))
  (import "h" "i0" (func (;0;) (type 1)))
  (import "h" "i1" (func (;1;) (type 2)))
  (import "m" "fuel" (func (;2;) (type 6)))
  (import "m" "enter" (func (;3;) (type 7)))
  (import "m" "leave" (func (;4;) (type 7)))
  (func (;5;) (type 3) (param i32 i64) (result i64 i32)
    i32.const 12
    call 3
    block (result i64 i32)  ;; label = @1
      i64.const 2
      call 2
      local.get 1
      local.get 0
    end
    i32.const 12
    call 4)
  (func (;6;) (type 0) (param i32) (result i32)
    i32.const 13
    call 3
    block (result i32)  ;; label = @1
      i64.const 3
      call 2
      local.get 0
      i32.eqz
      if (result i32)  ;; label = @2
        i64.const 1
        call 2
        i32.const 0
      else
        i64.const 5
        call 2
        i32.const 1
        local.get 0
        i32.const 1
        i32.sub
        call 6
        i64.const 1
        call 2
        i32.add
      end
    end
    i32.const 13
    call 4)
  (func (;7;) (type 4)
    i64.const 0
    call 2)
  (func (;8;) (type 5) (param i32 i64 f32 f64) (result i32)
    (local i32 i64 i32 f32 f64)
    i32.const 48
    call 3
    block (result i32)  ;; label = @1
      i64.const 0
      call 2
      block  ;; label = @2
        loop  ;; label = @3
          i64.const 8
          call 2
          local.get 4
          i32.const 1
          i32.add
          local.set 4
          local.get 4
          local.get 0
          i32.gt_u
          br_if 1 (;@2;)
          i64.const 4
          call 2
          block  ;; label = @4
            block  ;; label = @5
              block  ;; label = @6
                local.get 4
                i32.const 3
                i32.and
                br_table 0 (;@6;) 1 (;@5;) 2 (;@4;)
              end
              i64.const 5
              call 2
              local.get 4
              local.get 4
              i32.load8_s
              i32.store offset=4
              br 2 (;@3;)
            end
            i64.const 4
            call 2
            i32.const 64
            local.get 4
            i64.load16_u offset=2
            i64.store32
          end
          i64.const 4
          call 2
          local.get 4
          i32.const 3
          i32.rem_s
          if  ;; label = @4
            i64.const 1
            call 2
            br 1 (;@3;)
          else
            i64.const 1
            call 2
            call 7
          end
          i64.const 1
          call 2
          br 0 (;@3;)
        end
        unreachable
      end
      i64.const 26
      call 2
      global.get 0
      local.get 0
      i32.const 1
      i32.or
      i32.div_u
      global.set 0
      global.get 1
      local.get 1
      i64.const 1
      i64.or
      i64.div_s
      global.set 1
      global.get 2
      local.get 2
      f32.const nan:0x400001 (;=nan;)
      f32.mul
      local.tee 7
      f32.const nan (;=nan;)
      local.get 7
      local.get 7
      f32.eq
      select
      f32.min
      local.tee 7
      f32.const nan (;=nan;)
      local.get 7
      local.get 7
      f32.eq
      select
      global.set 2
      local.get 3
      f64.sqrt
      local.tee 8
      f64.const nan (;=nan;)
      local.get 8
      local.get 8
      f64.eq
      select
      f64.const -inf (;=-inf;)
      f64.copysign
      global.set 3
      i32.const 16
      i32.const 6
      call 0
      i64.const 6
      call 2
      local.set 5
      i32.const 16
      i32.const 3
      i32.const 19
      i32.const 3
      call 1
      i64.const 24
      call 2
      i32.const 100
      i32.const 0
      i32.const 7
      local.tee 6
      local.get 6
      i64.extend_i32_u
      i64.const 7
      i64.add
      i64.const 3
      i64.shr_u
      i64.const 1
      i64.mul
      call 2
      memory.init 1
      data.drop 1
      i32.const 200
      i32.const 100
      i32.const 7
      local.tee 6
      local.get 6
      i64.extend_i32_u
      i64.const 7
      i64.add
      i64.const 3
      i64.shr_u
      i64.const 1
      i64.mul
      call 2
      memory.copy
      i32.const 300
      i32.const 255
      local.get 0
      local.tee 6
      local.get 6
      i64.extend_i32_u
      i64.const 7
      i64.add
      i64.const 3
      i64.shr_u
      i64.const 1
      i64.mul
      call 2
      memory.fill
      i32.const 4
      i32.const 0
      i32.const 2
      local.tee 6
      local.get 6
      i64.extend_i32_u
      i64.const 1
      i64.mul
      call 2
      table.init 1
      elem.drop 1
      i32.const 6
      i32.const 4
      i32.const 1
      local.tee 6
      local.get 6
      i64.extend_i32_u
      i64.const 1
      i64.mul
      call 2
      table.copy
      i32.const 1
      local.tee 6
      local.get 6
      i64.extend_i32_u
      i64.const 1000
      i64.mul
      call 2
      memory.grow
      i64.const 4
      call 2
      drop
      local.get 0
      i32.const 0
      call_indirect (type 0)
      i64.const 4
      call 2
      drop
      local.get 0
      local.get 5
      call 5
      i64.const 56
      call 2
      drop
      local.set 5
      local.get 4
      i32.clz
      local.get 4
      i32.const 5
      i32.rotl
      memory.size
      select
      local.set 4
      local.get 4
      i32.const 2
      i32.shr_s
      local.get 0
      i32.extend8_s
      i32.xor
      local.set 4
      local.get 4
      local.get 3
      i32.trunc_f64_s
      i32.add
      local.set 4
      local.get 4
      local.get 2
      i32.trunc_sat_f32_u
      i32.add
      local.set 4
      local.get 4
      local.get 4
      i32.const -7
      i32.lt_s
      i32.add
      local.set 4
      local.get 5
      local.get 4
      i64.extend_i32_s
      i64.add
      local.set 5
      local.get 5
      i64.popcnt
      i64.const 63
      i64.shl
      local.set 5
      local.get 4
      local.get 5
      f64.convert_i64_u
      i64.reinterpret_f64
      i32.wrap_i64
      i32.add
      local.set 4
      local.get 2
      f64.promote_f32
      local.tee 8
      f64.const nan (;=nan;)
      local.get 8
      local.get 8
      f64.eq
      select
      local.get 3
      f64.floor
      local.tee 8
      f64.const nan (;=nan;)
      local.get 8
      local.get 8
      f64.eq
      select
      f64.lt
      if  ;; label = @2
        i64.const 2
        call 2
        local.get 4
        br 1 (;@1;)
      end
      i64.const 3
      call 2
      local.get 5
      i64.eqz
      if  ;; label = @2
        i64.const 1
        call 2
        unreachable
      end
      i64.const 3
      call 2
      local.get 4
      i32.load
      local.tee 4
    end
    i32.const 48
    call 4)
  (table (;0;) 8 funcref)
  (memory (;0;) 2 4)
  (global (;0;) (mut i32) (i32.const 7))
  (global (;1;) (mut i64) (i64.const -9))
  (global (;2;) (mut f32) (f32.const 0x1.8p+0 (;=1.5;)))
  (global (;3;) (mut f64) (f64.const -0x1.2p+1 (;=-2.25;)))
  (export "x0" (func 8))
  (export "memory" (memory 0))
  (elem (;0;) (i32.const 0) func 6 5)
  (elem (;1;) func 6 5 8)
  (elem (;2;) func)
  (data (;0;) (i32.const 16) "active")
  (data (;1;) "passive bytes"))
