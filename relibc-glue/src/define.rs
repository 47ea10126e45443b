//! The macro that is relibc's allocator module.

/// Define the allocator of a C library: what relibc's `platform::allocator` has, and the hooks of [`seam`](mod@crate::seam).
///
/// `words` is how far the field of type [`Words`](crate::Words) is into the control block, in bytes; `is_tls_real` an expression that
/// says whether the thread pointer leads to one.
///
/// ```
/// #[repr(C)]
/// struct Tcb {
///     end_of_tls: usize,
///     allocator: relibc_glue::Words,
/// }
///
/// mod allocator {
///     relibc_glue::seam! {
///         words: core::mem::offset_of!(super::Tcb, allocator);
///         is_tls_real: true;
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! seam {
    (words: $words:expr; is_tls_real: $is_tls_real:expr;) => {
        /// The allocator of relibc's own Rust code.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Allocator;

        impl Allocator {
            /// As [`NEWALLOCATOR`].
            pub const fn new() -> Self {
                Self
            }
        }

        /// For the `static` that is the global allocator.
        pub const NEWALLOCATOR: Allocator = Allocator::new();

        static PROCESS: $crate::ralloc::Process<Allocator> =
            $crate::ralloc::Process::new($crate::Kernel);

        // SAFETY: the state is one static.
        unsafe impl $crate::ralloc::Instance for Allocator {
            type Platform = $crate::Kernel;
            type Thread = $crate::TcbWords<{ $words }>;
            type Tuning = $crate::Policy;

            #[inline(always)]
            fn process() -> &'static $crate::ralloc::Process<Self> {
                &PROCESS
            }
        }

        impl $crate::seam::Seam for Allocator {
            #[inline(always)]
            fn is_tls_real() -> bool {
                $is_tls_real
            }

            fn freed_unborn() -> &'static core::sync::atomic::AtomicPtr<u8> {
                static LIST: core::sync::atomic::AtomicPtr<u8> =
                    core::sync::atomic::AtomicPtr::new(core::ptr::null_mut());
                &LIST
            }
        }

        // SAFETY: blocks of the allocator are unique, aligned and as long as asked for.
        unsafe impl core::alloc::GlobalAlloc for Allocator {
            #[inline]
            unsafe fn alloc(&self, layout: core::alloc::Layout) -> *mut u8 {
                $crate::seam::alloc_layout::<Self>(layout)
            }

            #[inline]
            unsafe fn dealloc(&self, block: *mut u8, _layout: core::alloc::Layout) {
                // SAFETY: the caller's promise.
                unsafe { $crate::seam::dealloc_layout::<Self>(block) };
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: core::alloc::Layout) -> *mut u8 {
                $crate::seam::alloc_layout_zeroed::<Self>(layout)
            }

            #[inline]
            unsafe fn realloc(
                &self,
                block: *mut u8,
                layout: core::alloc::Layout,
                size: usize,
            ) -> *mut u8 {
                // SAFETY: the caller's promise.
                unsafe { $crate::seam::realloc_layout::<Self>(block, layout, size) }
            }
        }

        $crate::seam_functions! {
            /// See `relibc_glue::seam`.
            #[inline(always)] alloc(size: usize) -> *mut core::ffi::c_void;
            /// See `relibc_glue::seam`.
            alloc_zeroed(size: usize) -> *mut core::ffi::c_void;
            /// See `relibc_glue::seam`.
            alloc_align(size: usize, align: usize) -> *mut core::ffi::c_void;
            /// See `relibc_glue::seam`.
            realloc(block: *mut core::ffi::c_void, size: usize) -> *mut core::ffi::c_void;
            /// See `relibc_glue::seam`.
            #[inline(always)] free(block: *mut core::ffi::c_void) -> ();
            /// See `relibc_glue::seam`.
            alloc_usable_size(block: *mut core::ffi::c_void) -> usize;
            /// See `relibc_glue::seam`.
            sbrk(increment: isize) -> Option<*mut core::ffi::c_void>;
            /// See `relibc_glue::seam`.
            brk(address: *mut core::ffi::c_void) -> bool;
        }

        $crate::seam_hooks! {
            tls_is_real -> ();
            thread_exits -> ();
            fork_prepare -> ();
            fork_parent -> ();
            fork_child -> ();
            trim -> bool;
            info -> $crate::ralloc::info::Info;
        }

        pub use $crate::seam::tls_moves;
    };
}

/// Functions of [`seam`](mod@crate::seam) that C programs reach, for one allocator.
#[doc(hidden)]
#[macro_export]
macro_rules! seam_functions {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        $(#[$attribute])*
        ///
        /// # Safety
        ///
        /// That of the function of this name there, if it has one.
        pub unsafe fn $name($($argument: $type),*) -> $result {
            #[allow(unused_unsafe, reason = "some are safe")]
            // SAFETY: the caller's promise.
            unsafe { $crate::seam::$name::<Allocator>($($argument),*) }
        }
    )*};
}

/// Functions of [`seam`](mod@crate::seam) without arguments, for one allocator.
#[doc(hidden)]
#[macro_export]
macro_rules! seam_hooks {
    ($($name:ident -> $result:ty;)*) => {$(
        /// See the function of this name in `relibc_glue::seam`.
        pub fn $name() -> $result {
            $crate::seam::$name::<Allocator>()
        }
    )*};
}
