//! A platform that wraps another writes what it does itself, and has the rest forwarded.

/// Among the items of an `unsafe impl Platform`: these functions are those of another platform.
///
/// First how the platform is called and where the other is, then the names. What is neither named nor written is as the trait has it:
/// guards are not made, no large pages are asked for, nobody is told of blocks.
///
/// ```
/// use ralloc_platform::{Platform, System, forward};
/// use std::{ptr::NonNull, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
///
/// /// A platform, and how often it was asked for memory.
/// struct Counted<P>(P, AtomicUsize);
///
/// // SAFETY: all that matters is the wrapped platform's.
/// unsafe impl<P: Platform> Platform for Counted<P> {
///     fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
///         self.1.fetch_add(1, Relaxed);
///         self.0.map(size, align)
///     }
///
///     forward! {
///         self => self.0;
///         page_size extend unmap purge guard unguard expect_use relocate program_break
///         arm_thread_exit install entropy write_stderr yield_now abort
///     }
/// }
///
/// let kernel = Counted(System, AtomicUsize::new(0));
/// let page = kernel.page_size();
/// let base = kernel.map(page, page).expect("there is memory");
/// // SAFETY: mapped above, and nobody uses it.
/// assert!(unsafe { kernel.unmap(base, page) });
/// assert_eq!(kernel.1.into_inner(), 1);
/// ```
#[macro_export]
macro_rules! forward {
    ($self:ident => $other:expr; $($function:ident)+) => {
        $($crate::forward_function!($function, $self, $other);)+
    };
}

/// One function. Those that are safe to call first.
#[doc(hidden)]
#[macro_export]
macro_rules! forward_function {
    (page_size, $($to:tt)+) => { $crate::forward_safe!(page_size() -> usize, $($to)+); };
    (map, $($to:tt)+) => {
        $crate::forward_safe!(map(size: usize, align: usize) -> Option<core::ptr::NonNull<u8>>, $($to)+);
    };
    (extend, $($to:tt)+) => {
        $crate::forward_safe!(extend(end: core::ptr::NonNull<u8>, additional: usize) -> bool, $($to)+);
    };
    (reserve, $($to:tt)+) => {
        $crate::forward_safe!(reserve(base: core::ptr::NonNull<u8>, size: usize) -> bool, $($to)+);
    };
    (arm_thread_exit, $($to:tt)+) => { $crate::forward_safe!(arm_thread_exit() -> bool, $($to)+); };
    (install, $($to:tt)+) => { $crate::forward_safe!(install(hooks: $crate::Hooks) -> (), $($to)+); };
    (entropy, $($to:tt)+) => { $crate::forward_safe!(entropy() -> usize, $($to)+); };
    (write_stderr, $($to:tt)+) => { $crate::forward_safe!(write_stderr(text: &[u8]) -> (), $($to)+); };
    (write_log, $($to:tt)+) => { $crate::forward_safe!(write_log(line: &[u8]) -> (), $($to)+); };
    (yield_now, $($to:tt)+) => { $crate::forward_safe!(yield_now() -> (), $($to)+); };
    (abort, $($to:tt)+) => { $crate::forward_safe!(abort() -> !, $($to)+); };
    (is_debugged, $($to:tt)+) => { $crate::forward_safe!(is_debugged() -> bool, $($to)+); };
    (mark_undefined, $($to:tt)+) => {
        $crate::forward_safe!(mark_undefined(base: core::ptr::NonNull<u8>, size: usize) -> (), $($to)+);
    };
    (mark_free, $($to:tt)+) => {
        $crate::forward_safe!(mark_free(base: core::ptr::NonNull<u8>, size: usize) -> (), $($to)+);
    };
    (mark_defined, $($to:tt)+) => {
        $crate::forward_safe!(mark_defined(base: core::ptr::NonNull<u8>, size: usize) -> (), $($to)+);
    };
    (block_allocated, $($to:tt)+) => {
        $crate::forward_safe!(
            block_allocated(block: core::ptr::NonNull<u8>, size: usize, red_zone: usize, zeroed: bool) -> (), $($to)+
        );
    };
    (block_resized, $($to:tt)+) => {
        $crate::forward_safe!(
            block_resized(block: core::ptr::NonNull<u8>, old: usize, size: usize, red_zone: usize) -> (), $($to)+
        );
    };
    (block_freed, $($to:tt)+) => {
        $crate::forward_safe!(block_freed(block: core::ptr::NonNull<u8>, red_zone: usize) -> (), $($to)+);
    };
    (debugger_looks, $($to:tt)+) => { $crate::forward_safe!(debugger_looks(looks: bool) -> (), $($to)+); };
    (call_sites, $($to:tt)+) => { $crate::forward_safe!(call_sites(sites: &mut [usize]) -> usize, $($to)+); };
    (roots, $($to:tt)+) => {
        $crate::forward_safe!(roots(visit: &mut dyn FnMut(core::ptr::NonNull<u8>, usize)) -> (), $($to)+);
    };
    (place_of, $($to:tt)+) => {
        $crate::forward_safe!(place_of(address: usize, name: &mut [u8]) -> Option<(usize, usize)>, $($to)+);
    };
    (object_around, $($to:tt)+) => {
        $crate::forward_safe!(object_around(address: usize) -> Option<(usize, usize)>, $($to)+);
    };
    (write_descriptor, $($to:tt)+) => {
        $crate::forward_safe!(write_descriptor(descriptor: i32, text: &[u8]) -> (), $($to)+);
    };

    (unmap, $($to:tt)+) => {
        $crate::forward_unsafe!(unmap(base: core::ptr::NonNull<u8>, size: usize) -> bool, $($to)+);
    };
    (purge, $($to:tt)+) => {
        $crate::forward_unsafe!(purge(base: core::ptr::NonNull<u8>, size: usize) -> bool, $($to)+);
    };
    (guard, $($to:tt)+) => {
        $crate::forward_unsafe!(guard(base: core::ptr::NonNull<u8>, size: usize) -> bool, $($to)+);
    };
    (unguard, $($to:tt)+) => {
        $crate::forward_unsafe!(unguard(base: core::ptr::NonNull<u8>, size: usize) -> bool, $($to)+);
    };
    (hide, $($to:tt)+) => {
        $crate::forward_unsafe!(hide(base: core::ptr::NonNull<u8>, size: usize) -> bool, $($to)+);
    };
    (expect_use, $($to:tt)+) => {
        $crate::forward_unsafe!(expect_use(base: core::ptr::NonNull<u8>, size: usize) -> (), $($to)+);
    };
    (relocate, $($to:tt)+) => {
        $crate::forward_unsafe!(
            relocate(
                old: core::ptr::NonNull<u8>, old_size: usize, new_size: usize, align: usize
            ) -> Option<core::ptr::NonNull<u8>>,
            $($to)+
        );
    };
    (program_break, $($to:tt)+) => {
        $crate::forward_unsafe!(program_break(to: Option<usize>) -> usize, $($to)+);
    };
}

/// A function that anybody may call.
#[doc(hidden)]
#[macro_export]
macro_rules! forward_safe {
    ($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $self:ident, $other:expr) => {
        fn $name(&$self $(, $argument: $type)*) -> $result {
            $crate::Platform::$name(&$other $(, $argument)*)
        }
    };
}

/// A function that is called with a promise.
#[doc(hidden)]
#[macro_export]
macro_rules! forward_unsafe {
    ($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $self:ident, $other:expr) => {
        unsafe fn $name(&$self $(, $argument: $type)*) -> $result {
            // SAFETY: what the caller promises is what the other asks for.
            unsafe { $crate::Platform::$name(&$other $(, $argument)*) }
        }
    };
}
