//! Functions that are called at the moments of a library: when it is loaded and unloaded, and when it panics.

/// Have a `fn()` called when the object that this code is linked into is loaded, before `main`.
///
/// By then the C library takes thread keys and fork handlers.
#[macro_export]
macro_rules! on_load {
    ($function:path) => {
        const _: () = {
            extern "C" fn call_on_load() {
                $function();
            }
            #[used]
            #[cfg_attr(
                not(any(windows, target_vendor = "apple")),
                unsafe(link_section = ".init_array")
            )]
            #[cfg_attr(
                target_vendor = "apple",
                unsafe(link_section = "__DATA,__mod_init_func")
            )]
            #[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
            static LOAD: extern "C" fn() = call_on_load;
        };
    };
}

/// Define the panic handler of a library without `std`, from the `fn() -> !` that ends the process.
///
/// Nothing where this crate is built for the simulated kernel: then `std` is there, with its own.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! on_panic {
    ($function:path) => {
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $function()
        }
    };
}

/// Nothing: `std` is there, with a panic handler of its own.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! on_panic {
    ($function:path) => {
        const _: fn() -> ! = $function;
    };
}

/// Have a `fn()` called when the process exits, or the object that this code is linked into is unloaded.
///
/// As [`on_load!`], for the other end.
#[cfg(not(any(windows, target_vendor = "apple")))]
#[macro_export]
macro_rules! on_unload {
    ($function:path) => {
        const _: () = {
            extern "C" fn call_on_unload() {
                $function();
            }
            #[used]
            #[unsafe(link_section = ".fini_array")]
            static UNLOAD: extern "C" fn() = call_on_unload;
        };
    };
}

/// Have a `fn()` called when the process exits: these systems have no list of such functions in the object itself, but the C
/// library keeps one.
#[cfg(any(windows, target_vendor = "apple"))]
#[macro_export]
macro_rules! on_unload {
    ($function:path) => {
        const _: () = {
            unsafe extern "C" {
                fn atexit(function: extern "C" fn()) -> core::ffi::c_int;
            }
            extern "C" fn call_on_unload() {
                $function();
            }
            fn ask_for_it() {
                // SAFETY: a plain function. Without memory for the list there is no such call.
                unsafe { atexit(call_on_unload) };
            }
            $crate::on_load!(ask_for_it);
        };
    };
}
