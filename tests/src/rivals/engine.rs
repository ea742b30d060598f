//! The C interface of libmodsecurity 3, as far as a verdict on a request needs it.
#![expect(unsafe_code, reason = "the engine is a C library; this file is all that touches it")]

use super::Request;
use anyhow::{Result, bail};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};

/// Its name on every Debian since 12.
const LIBRARY: &str = "libmodsecurity.so.3";

type Handle = *mut c_void;

/// `ModSecurityIntervention` of the C header.
#[repr(C)]
struct Intervention {
    status: c_int,
    pause: c_int,
    url: *mut c_char,
    log: *mut c_char,
    disruptive: c_int,
}

/// The functions that are called, as the C headers declare them.
struct Functions {
    new_transaction: unsafe extern "C" fn(Handle, Handle, *mut c_void) -> Handle,
    connection: unsafe extern "C" fn(Handle, *const c_char, c_int, *const c_char, c_int) -> c_int,
    uri: unsafe extern "C" fn(Handle, *const c_char, *const c_char, *const c_char) -> c_int,
    header: unsafe extern "C" fn(Handle, *const c_uchar, usize, *const c_uchar, usize) -> c_int,
    headers: unsafe extern "C" fn(Handle) -> c_int,
    append_body: unsafe extern "C" fn(Handle, *const c_uchar, usize) -> c_int,
    body: unsafe extern "C" fn(Handle) -> c_int,
    intervention: unsafe extern "C" fn(Handle, *mut Intervention) -> c_int,
    end: unsafe extern "C" fn(Handle),
    create_rules: unsafe extern "C" fn() -> Handle,
    add_rules: unsafe extern "C" fn(Handle, *const c_char, *mut *const c_char) -> c_int,
    is_injection: unsafe extern "C" fn(*const c_char, usize, *mut c_char) -> c_int,
    injection_version: unsafe extern "C" fn() -> *const c_char,
}

/// The loaded engine. It is used by one thread and lives as long as the process.
pub(super) struct Engine {
    call: Functions,
    engine: Handle,
    /// Keeps the functions loaded.
    _library: Library,
}

/// Parsed rules; kept until the process ends.
pub(super) struct RuleSet(Handle);

extern "C" fn say_nothing(_data: *mut c_void, _message: *const c_void) {}

macro_rules! functions {
    ($library:ident, $($field:ident: $name:literal),* $(,)?) => {
        // SAFETY: the types above are those of the headers of libmodsecurity 3 and of the
        // libinjection inside it.
        Functions { $($field: unsafe { *$library.get($name)? },)* }
    };
}

impl Engine {
    pub(super) fn load() -> Result<Self> {
        // SAFETY: loading runs the constructors of a well-known system library.
        let library = unsafe { Library::new(LIBRARY) }?;
        let call = functions!(
            library,
            new_transaction: b"msc_new_transaction",
            connection: b"msc_process_connection",
            uri: b"msc_process_uri",
            header: b"msc_add_n_request_header",
            headers: b"msc_process_request_headers",
            append_body: b"msc_append_request_body",
            body: b"msc_process_request_body",
            intervention: b"msc_intervention",
            end: b"msc_transaction_cleanup",
            create_rules: b"msc_create_rules_set",
            add_rules: b"msc_rules_add",
            is_injection: b"libinjection_sqli",
            injection_version: b"libinjection_version",
        );
        type Log = extern "C" fn(*mut c_void, *const c_void);
        // SAFETY: as above; without a function to call, the engine would log to its own taste.
        let engine = unsafe {
            let init: unsafe extern "C" fn() -> Handle = *library.get(b"msc_init")?;
            let set_log: unsafe extern "C" fn(Handle, Log) = *library.get(b"msc_set_log_cb")?;
            let engine = init();
            if engine.is_null() {
                bail!("{LIBRARY} does not start");
            }
            set_log(engine, say_nothing);
            engine
        };
        Ok(Self { call, engine, _library: library })
    }

    /// Parses rules.
    pub(super) fn rules(&self, text: &str) -> Result<RuleSet> {
        let text = CString::new(text)?;
        let mut complaint: *const c_char = std::ptr::null();
        // SAFETY: `text` ends in a zero and outlives the call; the complaint is the library's.
        let (rules, number) = unsafe {
            let rules = (self.call.create_rules)();
            (rules, (self.call.add_rules)(rules, text.as_ptr(), &mut complaint))
        };
        if number < 0 {
            // SAFETY: set by the library to a text that ends in a zero, or left null.
            let why = (!complaint.is_null())
                .then(|| unsafe { CStr::from_ptr(complaint) }.to_string_lossy().into_owned());
            bail!("the rules cannot be read: {}", why.unwrap_or_default());
        }
        Ok(RuleSet(rules))
    }

    /// Whether the rules deny a request, after its headers or after its body.
    pub(super) fn is_denied(&self, rules: &RuleSet, request: &Request) -> bool {
        let call = &self.call;
        let (uri, method) = (c_text(&request.uri), c_text(&request.method));
        // SAFETY: the transaction lives from here to `end`; every text ends in a zero or comes
        // with its length, and the engine copies what it keeps.
        unsafe {
            let one = (call.new_transaction)(self.engine, rules.0, std::ptr::null_mut());
            if one.is_null() {
                return false;
            }
            (call.connection)(one, c"192.0.2.1".as_ptr(), 40_000, c"192.0.2.2".as_ptr(), 80);
            (call.uri)(one, uri.as_ptr(), method.as_ptr(), c"1.1".as_ptr());
            for (name, value) in &request.headers {
                (call.header)(one, name.as_ptr(), name.len(), value.as_ptr(), value.len());
            }
            (call.headers)(one);
            let mut denied = self.intervenes(one);
            if !request.body.is_empty() {
                (call.append_body)(one, request.body.as_ptr(), request.body.len());
            }
            (call.body)(one);
            denied |= self.intervenes(one);
            (call.end)(one);
            denied
        }
    }

    fn intervenes(&self, transaction: Handle) -> bool {
        let null = std::ptr::null_mut();
        let mut said = Intervention { status: 200, pause: 0, url: null, log: null, disruptive: 0 };
        // SAFETY: the transaction is alive. The log text of a denied request is never freed:
        // a few hundred bytes each, in a process that soon ends.
        let any = unsafe { (self.call.intervention)(transaction, &mut said) };
        any != 0 && said.disruptive != 0
    }

    /// What libinjection says of a text.
    pub(super) fn is_injection(&self, text: &[u8]) -> bool {
        let mut fingerprint: [c_char; 16] = [0; 16];
        // SAFETY: a fingerprint has at most eight characters and a zero.
        unsafe {
            (self.call.is_injection)(text.as_ptr().cast(), text.len(), fingerprint.as_mut_ptr())
                != 0
        }
    }

    pub(super) fn libinjection_version(&self) -> String {
        // SAFETY: a constant of the library.
        unsafe { CStr::from_ptr((self.call.injection_version)()) }.to_string_lossy().into_owned()
    }
}

/// A text for C; what follows a zero byte is cut, as C would.
fn c_text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(text.get(..end).unwrap_or_default()).unwrap_or_default()
}
