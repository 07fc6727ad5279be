//! The part of `include/smelt/*.h` that this program uses, declared by hand.
//!
//! Enums of C are integers here: the library may have been built with more constants than this file
//! knows, and a Rust enum with a value that it does not list is undefined behaviour. All-zero bytes
//! are a valid value of every struct below and mean "default", as in C.
//!
//! The test at the end compares each layout with the recorded ABI of the library.
#![allow(non_camel_case_types)]

use std::marker::PhantomData;
use std::os::raw::{c_char, c_int, c_uint, c_void};

pub type smelt_status = c_uint;
pub const SMELT_STATUS_OK: smelt_status = 0;
pub const SMELT_STATUS_INVALID_ARGUMENT: smelt_status = 101;

pub type smelt_outcome_kind = c_uint;
pub const SMELT_OUTCOME_TRAPPED: smelt_outcome_kind = 2;

pub const SMELT_VALUE_TEXT_BYTES: usize = 32;

/// Opaque types: never made, moved, sent or shared by Rust unless the safe layer says so.
macro_rules! opaque {
    ($($name:ident)*) => { $(
        #[repr(C)]
        pub struct $name {
            _data: [u8; 0],
            _marker: PhantomData<(*mut u8, std::marker::PhantomPinned)>,
        }
    )* };
}

opaque! { smelt_cache smelt_schedule smelt_policy smelt_compiler smelt_engine smelt_store }
opaque! { smelt_cancel }
opaque! { smelt_profile } // not opaque in C; only its address is used here

/// One list of fields makes the struct and its row for the comparison with the recorded ABI.
macro_rules! layout {
    ($(struct $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub struct $name { $(pub $field: $type,)* }

            impl $name {
                #[allow(dead_code)] // not every struct is one that the caller fills
                pub fn zeroed() -> Self {
                    // SAFETY: integers, arrays, nullable pointers and bools, where 0 is valid
                    unsafe { std::mem::zeroed() }
                }
            }
        )*

        /// (struct, size, alignment, fields as (name, offset, size))
        #[cfg(test)]
        fn layouts() -> Vec<(&'static str, usize, usize, Vec<(&'static str, usize, usize)>)> {
            vec![$({
                let value = $name::zeroed();
                let base = &value as *const $name as usize;
                let fields = vec![$((
                    stringify!($field),
                    &value.$field as *const $type as usize - base,
                    std::mem::size_of::<$type>(),
                ),)*];
                (
                    stringify!($name),
                    std::mem::size_of::<$name>(),
                    std::mem::align_of::<$name>(),
                    fields,
                )
            },)*]
        }
    };
}

layout! {
    struct smelt_slice {
        data: *const u8,
        size: usize,
    }

    struct smelt_buf {
        data: *mut u8,
        size: usize,
        capacity: usize,
    }

    struct smelt_hash {
        bytes: [u8; 32],
    }

    struct smelt_address {
        bytes: [u8; 32],
    }

    struct smelt_u128 {
        low: u64,
        high: u64,
    }

    struct smelt_error {
        status: smelt_status,
        offset: i64,
        func_index: i64,
        sys_errno: c_int,
        where_: [c_char; 32],
        message: [c_char; 400],
    }

    struct smelt_log {
        write: Option<unsafe extern "C" fn(*mut c_void, c_uint, *const c_char)>,
        context: *mut c_void,
    }

    struct smelt_compiler_options {
        cache: *mut smelt_cache,
        schedule: *const smelt_schedule,
        profile: *const smelt_profile,
        policy: *const smelt_policy,
        tier: c_uint,
        optimisation: c_uint,
        allows_any_import: bool,
        cc_path: *const c_char,
        wasm2c_path: *const c_char,
        log: smelt_log,
    }

    struct smelt_artefact_source {
        open: Option<unsafe extern "C" fn(
            *mut c_void,
            *const smelt_hash,
            smelt_slice,
            *mut c_int,
            *mut smelt_hash,
            *mut smelt_error,
        ) -> smelt_status>,
        context: *mut c_void,
    }

    struct smelt_engine_options {
        store: *mut smelt_store,
        schedule: *const smelt_schedule,
        policy: *const smelt_policy,
        source: smelt_artefact_source,
        profile: *const smelt_profile,
        handlers: *const c_void,
        deadline_signal: c_int,
        resident_modules_max: u32,
        instances_max: u32,
        idle_memory_bytes: u64,
        state_bytes: u64,
        workers: u32,
        wave_chunk: u32,
        pin_workers: bool,
        commits_behind: bool,
        has_commitment: bool,
        receipts_kept: u64,
        log: smelt_log,
    }

    struct smelt_value {
        type_: c_uint,
        bits: u64,
    }

    struct smelt_transaction {
        from: smelt_address,
        value: smelt_u128,
        input: smelt_slice,
        fuel_limit: u64,
        block_number: u64,
        block_timestamp: u64,
        is_static: bool,
        deadline_ms: u64,
        cancel: *mut smelt_cancel,
    }

    struct smelt_outcome {
        kind: smelt_outcome_kind,
        trap: c_uint,
        host_error: c_uint,
    }

    struct smelt_event {
        address: smelt_address,
        topic: smelt_slice,
        data: smelt_slice,
    }

    struct smelt_location {
        is_known: bool,
        function: smelt_slice,
        func_index: u32,
        offset: u32,
    }

    struct smelt_receipt {
        outcome: smelt_outcome,
        fuel_used: u64,
        fuel_limit: u64,
        results: *const smelt_value,
        result_count: usize,
        return_data: smelt_slice,
        events: *const smelt_event,
        event_count: usize,
        write_count: u64,
        address: smelt_address,
        module_hash: smelt_hash,
        artefact_key: smelt_hash,
        location: smelt_location,
        load_ns: u64,
        execute_ns: u64,
        commit_ns: u64,
    }
}

extern "C" {
    pub static smelt_profile_engine: smelt_profile;

    pub fn smelt_version() -> *const c_char;
    pub fn smelt_status_name(status: smelt_status) -> *const c_char;
    pub fn smelt_trap_name(trap: c_uint) -> *const c_char;
    pub fn smelt_outcome_name(kind: smelt_outcome_kind) -> *const c_char;
    pub fn smelt_value_format(value: smelt_value, out: *mut c_char);
    pub fn smelt_buf_deinit(buf: *mut smelt_buf);

    pub fn smelt_cache_open(
        directory: *const c_char,
        out: *mut *mut smelt_cache,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_cache_close(cache: *mut smelt_cache);

    pub fn smelt_schedule_builtin(
        name: *const c_char,
        profile: *const smelt_profile,
        out: *mut *mut smelt_schedule,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_schedule_destroy(schedule: *mut smelt_schedule);

    pub fn smelt_wat_to_wasm(
        text: smelt_slice,
        wasm: *mut smelt_buf,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_compiler_create(
        options: *const smelt_compiler_options,
        out: *mut *mut smelt_compiler,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_compiler_destroy(compiler: *mut smelt_compiler);
    pub fn smelt_compiler_source(compiler: *mut smelt_compiler) -> smelt_artefact_source;

    pub fn smelt_store_create_memory(
        out: *mut *mut smelt_store,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_store_close(store: *mut smelt_store);

    pub fn smelt_engine_create(
        options: *const smelt_engine_options,
        out: *mut *mut smelt_engine,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_engine_destroy(engine: *mut smelt_engine);
    pub fn smelt_deploy(
        engine: *mut smelt_engine,
        transaction: *const smelt_transaction,
        wasm: smelt_slice,
        out: *mut *mut smelt_receipt,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_call(
        engine: *mut smelt_engine,
        transaction: *const smelt_transaction,
        address: *const smelt_address,
        function: *const c_char,
        arguments: *const smelt_value,
        argument_count: usize,
        out: *mut *mut smelt_receipt,
        err: *mut smelt_error,
    ) -> smelt_status;
    pub fn smelt_receipt_destroy(receipt: *mut smelt_receipt);
}

#[cfg(test)]
mod tests {
    /// Each struct above has the fields, offsets and sizes that `$SMELT_ABI_BASELINE` records, and
    /// no field is missing.
    #[test]
    fn layouts_are_those_of_the_library() {
        let path = std::env::var("SMELT_ABI_BASELINE").expect("SMELT_ABI_BASELINE: the record");
        let text = std::fs::read_to_string(path).expect("the record can be read");
        for (name, size, align, fields) in super::layouts() {
            let mut declared = vec![format!("struct {name} size {size} align {align}")];
            for (field, offset, size) in fields {
                let field = field.trim_end_matches('_'); // of names that are keywords of Rust
                declared.push(format!("field {name}.{field} offset {offset} size {size}"));
            }
            let recorded: Vec<&str> = text
                .lines()
                .map(|line| line.split(" : ").next().unwrap_or(line)) // without the type in C
                .filter(|line| {
                    let word = line.split(' ').nth(1).unwrap_or("");
                    let is_layout = line.starts_with("struct ") || line.starts_with("field ");
                    is_layout && word.split('.').next() == Some(name)
                })
                .collect();
            assert!(
                declared == recorded,
                "src/sys.rs declares\n  {}\nand the library has\n  {}",
                declared.join("\n  "),
                recorded.join("\n  ")
            );
        }
    }
}
