;; schedule=ones floats=canonical-nan
;; Every result that may be a NaN is made canonical; sign operations, moves and constants are not.
(module
  (memory 1)
  (global $g (mut f32) (f32.const nan:0x1234))
  (func $f32 (param f32 f32) (result f32)
    (f32.sqrt (f32.max (f32.add (local.get 0) (local.get 1)) (f32.neg (local.get 0)))))
  (func $f64 (param f64 f64) (result f64)
    (f64.nearest (f64.div (f64.abs (local.get 0)) (f64.copysign (local.get 1) (f64.const nan)))))
  (func $both (param f32 f64) (result f64)
    (f64.add (f64.promote_f32 (local.get 0)) (f64.promote_f32 (f32.demote_f64 (local.get 1)))))
  (func $moves (param f32) (result f32) (local f64)
    (global.set $g (select (local.get 0) (f32.load (i32.const 0)) (i32.const 1)))
    (f32.store (i32.const 4) (f32.reinterpret_i32 (i32.const -1)))
    (global.get $g))
  (func $integers (param f32) (result i64)
    (i64.add (i64.trunc_f32_u (local.get 0)) (i64.extend_i32_u (f32.lt (local.get 0) (f32.convert_i32_s (i32.const 1)))))))
