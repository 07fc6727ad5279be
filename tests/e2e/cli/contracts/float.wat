(module (func (export "half") (param i32) (result i32)
  (i32.trunc_sat_f64_s (f64.mul (f64.convert_i32_s (local.get 0)) (f64.const 0.5)))))
