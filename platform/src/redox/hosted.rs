//! Redox under a program that has a C library of its own: an ordinary one, as opposed to the C library itself.

use super::Redox;
use crate::{Hooks, Platform, forward, key_hooks};

/// The C library's functions that are asked.
pub(crate) mod c_library {
    use core::ffi::{c_int, c_ulong, c_void};

    #[expect(non_camel_case_types, reason = "its name in C")]
    pub(crate) type pthread_key_t = c_ulong;

    unsafe extern "C" {
        pub(crate) fn pthread_key_create(
            key: *mut pthread_key_t,
            destructor: Option<unsafe extern "C" fn(*mut c_void)>,
        ) -> c_int;
        pub(crate) fn pthread_getspecific(key: pthread_key_t) -> *mut c_void;
        pub(crate) fn pthread_setspecific(key: pthread_key_t, value: *const c_void) -> c_int;
        pub(crate) fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> c_int;
    }
}

/// The Redox kernel, and the C library the process runs on, which says when threads exit and around `fork`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hosted;

// SAFETY: as for `Redox`, which does it all but the hooks.
unsafe impl Platform for Hosted {
    fn arm_thread_exit(&self) -> bool {
        key_hooks::arm_thread_exit()
    }

    fn install(&self, hooks: Hooks) {
        key_hooks::install(hooks);
    }

    forward! {
        self => Redox;
        page_size map extend unmap purge relocate program_break entropy write_stderr yield_now abort
    }
}
