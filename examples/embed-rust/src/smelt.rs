//! A safe layer over `sys`: ownership as drops, borrows as lifetimes, statuses as results.

use crate::sys;
use std::ffi::{CStr, CString};
use std::fmt;
use std::os::raw::c_char;
use std::ptr;
use std::slice;

pub use sys::smelt_address as Address;

/// Why something could not be done. What a contract did is never an error: see [`Receipt`].
#[derive(Debug)]
pub struct Error {
    pub status: u32,
    pub name: String,
    pub offset: Option<u64>, // bytes from the start of the module
    pub message: String,
}

impl Error {
    /// The module was refused, by a pure function of its bytes: the same answer on every machine.
    /// Everything from 300 up is trouble of this machine and says nothing about the transaction.
    pub fn is_refusal(&self) -> bool {
        self.status / 100 == 2
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} {}", self.status, self.name)?;
        if let Some(offset) = self.offset {
            write!(out, " at offset {offset}")?;
        }
        write!(out, ": {}", self.message)
    }
}

impl std::error::Error for Error {}

/// A NUL-terminated string of the library, copied.
///
/// # Safety
/// `text` points to one.
unsafe fn string(text: *const c_char) -> String {
    CStr::from_ptr(text).to_string_lossy().into_owned()
}

/// The bytes of a slice; its pointer may be NULL when it is empty.
///
/// # Safety
/// The bytes live for as long as `'a`.
unsafe fn bytes<'a>(slice: &sys::smelt_slice) -> &'a [u8] {
    if slice.size == 0 {
        return &[];
    }
    slice::from_raw_parts(slice.data, slice.size)
}

fn as_slice(bytes: &[u8]) -> sys::smelt_slice {
    sys::smelt_slice {
        data: bytes.as_ptr(),
        size: bytes.len(),
    }
}

fn as_c_string(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error {
        status: sys::SMELT_STATUS_INVALID_ARGUMENT,
        name: "invalid_argument".into(),
        offset: None,
        message: "the string contains a NUL".into(),
    })
}

/// Runs a function of the library that fills an error object.
fn check(call: impl FnOnce(*mut sys::smelt_error) -> sys::smelt_status) -> Result<(), Error> {
    let mut err = sys::smelt_error::zeroed();
    let status = call(&mut err);
    if status == sys::SMELT_STATUS_OK {
        return Ok(());
    }
    // SAFETY: both are NUL-terminated
    let (name, message) = unsafe {
        (
            string(sys::smelt_status_name(status)),
            string(err.message.as_ptr()),
        )
    };
    Err(Error {
        status,
        name,
        offset: u64::try_from(err.offset).ok(),
        message,
    })
}

/// Version of the library that is linked.
pub fn version() -> String {
    // SAFETY: a constant of the library
    unsafe { string(sys::smelt_version()) }
}

/// Text format to binary.
pub fn wat_to_wasm(text: &str) -> Result<Vec<u8>, Error> {
    let mut wasm = sys::smelt_buf::zeroed();
    let text = as_slice(text.as_bytes());
    // SAFETY: the text lives during the call; the buffer is released below, also after a failure
    let result = check(|err| unsafe { sys::smelt_wat_to_wasm(text, &mut wasm, err) });
    let view = sys::smelt_slice {
        data: wasm.data,
        size: wasm.size,
    };
    // SAFETY: the copy is made before the buffer is released
    let copy = unsafe { bytes(&view) }.to_vec();
    unsafe { sys::smelt_buf_deinit(&mut wasm) };
    result.map(|()| copy)
}

pub struct Cache(*mut sys::smelt_cache);

impl Cache {
    pub fn open(directory: &str) -> Result<Cache, Error> {
        let directory = as_c_string(directory)?;
        let mut cache = ptr::null_mut();
        // SAFETY: the arguments live during the call
        check(|err| unsafe { sys::smelt_cache_open(directory.as_ptr(), &mut cache, err) })?;
        Ok(Cache(cache))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing borrows it any more
        unsafe { sys::smelt_cache_close(self.0) }
    }
}

pub struct Schedule(*mut sys::smelt_schedule);

impl Schedule {
    /// A built-in schedule, for the built-in profile `engine`.
    pub fn builtin(name: &str) -> Result<Schedule, Error> {
        let name = as_c_string(name)?;
        let mut schedule = ptr::null_mut();
        // SAFETY: the arguments live during the call, the profile for ever
        check(|err| unsafe {
            let profile = ptr::addr_of!(sys::smelt_profile_engine);
            sys::smelt_schedule_builtin(name.as_ptr(), profile, &mut schedule, err)
        })?;
        Ok(Schedule(schedule))
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing borrows it any more
        unsafe { sys::smelt_schedule_destroy(self.0) }
    }
}

pub struct Compiler<'a> {
    compiler: *mut sys::smelt_compiler,
    schedule: &'a Schedule,
    _cache: &'a Cache,
}

impl<'a> Compiler<'a> {
    pub fn create(cache: &'a Cache, schedule: &'a Schedule) -> Result<Compiler<'a>, Error> {
        let mut options = sys::smelt_compiler_options::zeroed();
        options.cache = cache.0;
        options.schedule = schedule.0;
        let mut compiler = ptr::null_mut();
        // SAFETY: what the options point to lives as long as the compiler, by 'a
        check(|err| unsafe { sys::smelt_compiler_create(&options, &mut compiler, err) })?;
        Ok(Compiler {
            compiler,
            schedule,
            _cache: cache,
        })
    }
}

impl Drop for Compiler<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing borrows it any more
        unsafe { sys::smelt_compiler_destroy(self.compiler) }
    }
}

pub struct Store(*mut sys::smelt_store);

impl Store {
    pub fn create_memory() -> Result<Store, Error> {
        let mut store = ptr::null_mut();
        // SAFETY: the out-parameter lives during the call
        check(|err| unsafe { sys::smelt_store_create_memory(&mut store, err) })?;
        Ok(Store(store))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing borrows it any more
        unsafe { sys::smelt_store_close(self.0) }
    }
}

/// What a transaction brings besides its target; all zeroes are fine.
#[derive(Default)]
pub struct Transaction<'a> {
    pub from: [u8; 32],
    pub input: &'a [u8],
    pub block_number: u64,
    pub block_timestamp: u64,
    pub is_static: bool,
}

impl Transaction<'_> {
    /// Borrows the input.
    fn as_c(&self) -> sys::smelt_transaction {
        let mut transaction = sys::smelt_transaction::zeroed();
        transaction.from.bytes = self.from;
        transaction.input = as_slice(self.input);
        transaction.block_number = self.block_number;
        transaction.block_timestamp = self.block_timestamp;
        transaction.is_static = self.is_static;
        transaction
    }
}

pub struct Engine<'a> {
    engine: *mut sys::smelt_engine,
    _compiler: &'a Compiler<'a>,
    _store: &'a Store,
}

// SAFETY: threads may share an engine (smelt/runtime.h), and its compiler and memory store with it.
unsafe impl Send for Engine<'_> {}
unsafe impl Sync for Engine<'_> {}

impl<'a> Engine<'a> {
    pub fn create(store: &'a Store, compiler: &'a Compiler<'a>) -> Result<Engine<'a>, Error> {
        let mut options = sys::smelt_engine_options::zeroed();
        options.store = store.0;
        options.schedule = compiler.schedule.0;
        // SAFETY: the source is valid while the compiler lives, by 'a
        options.source = unsafe { sys::smelt_compiler_source(compiler.compiler) };
        let mut engine = ptr::null_mut();
        // SAFETY: what the options point to lives as long as the engine, by 'a
        check(|err| unsafe { sys::smelt_engine_create(&options, &mut engine, err) })?;
        Ok(Engine {
            engine,
            _compiler: compiler,
            _store: store,
        })
    }

    pub fn deploy(&self, transaction: &Transaction, wasm: &[u8]) -> Result<Receipt, Error> {
        let transaction = transaction.as_c();
        let mut receipt = ptr::null_mut();
        // SAFETY: the arguments live during the call
        check(|err| unsafe {
            sys::smelt_deploy(self.engine, &transaction, as_slice(wasm), &mut receipt, err)
        })?;
        Ok(Receipt(receipt))
    }

    /// Runs an export that takes no parameters.
    pub fn call(
        &self,
        transaction: &Transaction,
        address: &Address,
        function: &str,
    ) -> Result<Receipt, Error> {
        let function = as_c_string(function)?;
        let transaction = transaction.as_c();
        let mut receipt = ptr::null_mut();
        // SAFETY: the arguments live during the call
        check(|err| unsafe {
            sys::smelt_call(
                self.engine,
                &transaction,
                address,
                function.as_ptr(),
                ptr::null(),
                0,
                &mut receipt,
                err,
            )
        })?;
        Ok(Receipt(receipt))
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, and no call is running, since each borrows it
        unsafe { sys::smelt_engine_destroy(self.engine) }
    }
}

/// What a transaction did.
pub struct Receipt(*mut sys::smelt_receipt);

pub struct Event<'a> {
    pub topic: &'a [u8],
    pub data: &'a [u8],
}

impl Receipt {
    fn raw(&self) -> &sys::smelt_receipt {
        // SAFETY: ours until the drop, and nobody writes to it
        unsafe { &*self.0 }
    }

    /// "returned", "reverted", "out_of_fuel", or "trapped" with the reason.
    pub fn outcome(&self) -> String {
        let outcome = self.raw().outcome;
        // SAFETY: names are constants of the library
        unsafe {
            let kind = string(sys::smelt_outcome_name(outcome.kind));
            if outcome.kind != sys::SMELT_OUTCOME_TRAPPED {
                return kind;
            }
            format!("{kind}: {}", string(sys::smelt_trap_name(outcome.trap)))
        }
    }

    /// "i32:3" and the like.
    pub fn results(&self) -> Vec<String> {
        let raw = self.raw();
        (0..raw.result_count)
            .map(|index| {
                let mut text: [c_char; sys::SMELT_VALUE_TEXT_BYTES] =
                    [0; sys::SMELT_VALUE_TEXT_BYTES];
                // SAFETY: index is below the count; the buffer has the size that the header asks for
                unsafe {
                    sys::smelt_value_format(*raw.results.add(index), text.as_mut_ptr());
                    string(text.as_ptr())
                }
            })
            .collect()
    }

    pub fn events(&self) -> Vec<Event<'_>> {
        let raw = self.raw();
        (0..raw.event_count)
            .map(|index| {
                // SAFETY: index is below the count; the bytes live as long as the receipt
                unsafe {
                    let event = &*raw.events.add(index);
                    Event {
                        topic: bytes(&event.topic),
                        data: bytes(&event.data),
                    }
                }
            })
            .collect()
    }

    pub fn return_data(&self) -> &[u8] {
        // SAFETY: the bytes live as long as the receipt
        unsafe { bytes(&self.raw().return_data) }
    }

    pub fn fuel_used(&self) -> u64 {
        self.raw().fuel_used
    }

    pub fn write_count(&self) -> u64 {
        self.raw().write_count
    }

    pub fn address(&self) -> Address {
        self.raw().address
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        // SAFETY: ours, and what was borrowed from it is gone
        unsafe { sys::smelt_receipt_destroy(self.0) }
    }
}
