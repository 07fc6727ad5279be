(module
  (type (;0;) (func (param i32 i32) (result i64)))
  (type (;1;) (func (result i32)))
  (type (;2;) (func))
  (type (;3;) (func (param i64)))
  (type (;4;) (func (param i32)))
  (type (;5;) (func (result i64)))
  (type (;6;) (func (result i32)))
  (type (;7;) (func))
  (import "h" "i0" (func (;0;) (type 0)))
  (import "h" "i1" (func (;1;) (type 1)))
  (import "h" "i2" (func (;2;) (type 0)))
  (import "m" "fuel" (func (;3;) (type 3)))
  (import "m" "enter" (func (;4;) (type 4)))
  (import "m" "leave" (func (;5;) (type 4)))
  (func (;6;) (type 1) (result i32)
    i32.const 9
    call 4
    block (result i32)  ;; label = @1
      i64.const 1
      call 3
      call 1
    end
    i32.const 9
    call 5)
  (func (;7;) (type 2)
    i64.const 0
    call 3)
  (table (;0;) 8 16 funcref)
  (memory (;0;) 3 256)
  (global (;0;) (mut i64) (i64.const -5))
  (global (;1;) i32 (i32.const 2147483647))
  (export "x3" (func 6))
  (export "x4" (func 6))
  (export "x5" (func 7))
  (export "x6" (func 7))
  (export "x7" (func 0))
  (export "x8" (func 6))
  (export "memory" (memory 0))
  (elem (;0;) (i32.const 1) func 6 0)
  (elem (;1;) (i32.const 3) funcref (ref.null func) (ref.func 6))
  (elem (;2;) func 2)
  (elem (;3;) funcref (ref.null func))
  (elem (;4;) func)
  (elem (;5;) func)
  (data (;0;) (i32.const 65536) "*/\0a#error")
  (data (;1;) "passive")
  (data (;2;) (i32.const 0) ""))
