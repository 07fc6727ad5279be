(module
  (type (;0;) (func (param i32 i32) (result i64)))
  (type (;1;) (func (result i64)))
  (type (;2;) (func (param i64)))
  (type (;3;) (func (param i32)))
  (type (;4;) (func (result i64)))
  (type (;5;) (func (result i64)))
  (import "h" "i0" (func (;0;) (type 0)))
  (import "m" "fuel" (func (;1;) (type 2)))
  (import "m" "enter" (func (;2;) (type 3)))
  (import "m" "leave" (func (;3;) (type 3)))
  (func (;4;) (type 1) (result i64)
    i64.const 3
    call 1
    i32.const 0
    i32.const 0
    call 0)
  (export "x0" (func 4)))
