//! The C++ operators by the names that the Itanium ABI gives them. On processors that are not listed here the C++ runtime's
//! own operators serve: they call `malloc` and `free`.
//!
//! A program may replace some of them and not others, and the standard says what the others do then: each calls the one
//! that it is a form of. So all but the basic ones go through the linker's table, to those or to what the program has
//! put in their place. Those that must not throw ask whether it has: what a program's operator throws is caught by the C++
//! runtime's own form of it.

use core::ffi::c_void;

use ralloc_platform::symbol_word;

use crate::cxx;

#[cfg(target_arch = "x86_64")]
macro_rules! instruction {
    (jump) => {
        "jmp {}"
    };
    (jump $symbol:literal) => {
        concat!("jmp ", $symbol, "@PLT")
    };
    (third_to_second) => {
        "mov rsi, rdx"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! instruction {
    (jump) => {
        "b {}"
    };
    (jump $symbol:literal) => {
        concat!("b ", $symbol)
    };
    (third_to_second) => {
        "mov x1, x2"
    };
}
#[cfg(target_arch = "riscv64")]
macro_rules! instruction {
    (jump) => {
        "tail {}"
    };
    (jump $symbol:literal) => {
        concat!("tail ", $symbol)
    };
    (third_to_second) => {
        "mv a1, a2"
    };
}

/// Operators that are ours. Beside the symbol, which the program may replace, each has a name that always means ours.
macro_rules! basic {
    ($($name:ident $symbol:literal = $ours:ident;)*) => {$(
        #[unsafe(naked)]
        #[unsafe(export_name = $symbol)]
        extern "C" fn $name() {
            core::arch::naked_asm!(
                concat!(".globl ralloc_own_", $symbol),
                concat!(".hidden ralloc_own_", $symbol),
                concat!("ralloc_own_", $symbol, ":"),
                instruction!(jump),
                sym $ours,
            )
        }
    )*};
}

/// Operators that are forms of others, with the same first arguments.
macro_rules! forms {
    ($($name:ident $symbol:literal = $of:literal;)*) => {$(
        #[unsafe(naked)]
        #[unsafe(export_name = $symbol)]
        extern "C" fn $name() {
            core::arch::naked_asm!(
                concat!(".globl ralloc_own_", $symbol),
                concat!(".hidden ralloc_own_", $symbol),
                concat!("ralloc_own_", $symbol, ":"),
                instruction!(jump $of),
            )
        }
    )*};
}

basic! {
    new "_Znwm" = take;
    new_aligned "_ZnwmSt11align_val_t" = take_aligned;
    delete "_ZdlPv" = give_back;
    delete_aligned "_ZdlPvSt11align_val_t" = give_back;
    new_nothrow "_ZnwmRKSt9nothrow_t" = try_take;
    new_array_nothrow "_ZnamRKSt9nothrow_t" = try_take_array;
    new_aligned_nothrow "_ZnwmSt11align_val_tRKSt9nothrow_t" = try_take_aligned;
    new_array_aligned_nothrow "_ZnamSt11align_val_tRKSt9nothrow_t" = try_take_array_aligned;
}

forms! {
    new_array "_Znam" = "_Znwm";
    new_array_aligned "_ZnamSt11align_val_t" = "_ZnwmSt11align_val_t";
    delete_nothrow "_ZdlPvRKSt9nothrow_t" = "_ZdlPv";
    delete_array "_ZdaPv" = "_ZdlPv";
    delete_array_nothrow "_ZdaPvRKSt9nothrow_t" = "_ZdaPv";
    delete_aligned_nothrow "_ZdlPvSt11align_val_tRKSt9nothrow_t" = "_ZdlPvSt11align_val_t";
    delete_array_aligned "_ZdaPvSt11align_val_t" = "_ZdlPvSt11align_val_t";
    delete_array_aligned_nothrow "_ZdaPvSt11align_val_tRKSt9nothrow_t" = "_ZdaPvSt11align_val_t";
}

#[cfg(not(feature = "security"))]
mod sized;
#[cfg(feature = "security")]
#[path = "operators/sized_secure.rs"]
mod sized;

extern "C" fn take(size: usize) -> *mut c_void {
    cxx::ralloc_new(size)
}

extern "C" fn take_aligned(size: usize, align: usize) -> *mut c_void {
    cxx::ralloc_new_aligned(size, align)
}

extern "C" fn give_back(block: *mut c_void) {
    // SAFETY: the caller's promise: the operand of `delete`.
    unsafe { cxx::ralloc_delete(block) };
}

symbol_word!(new_in_use, "_Znwm");
symbol_word!(our_new, "ralloc_own__Znwm");
symbol_word!(new_array_in_use, "_Znam");
symbol_word!(our_new_array, "ralloc_own__Znam");
symbol_word!(new_aligned_in_use, "_ZnwmSt11align_val_t");
symbol_word!(our_new_aligned, "ralloc_own__ZnwmSt11align_val_t");
symbol_word!(new_array_aligned_in_use, "_ZnamSt11align_val_t");
symbol_word!(our_new_array_aligned, "ralloc_own__ZnamSt11align_val_t");

extern "C" fn try_take(size: usize) -> *mut c_void {
    if new_in_use() == our_new() {
        return cxx::ralloc_new_nothrow(size);
    }
    cxx::ask_runtime(c"_ZnwmRKSt9nothrow_t", size)
}

extern "C" fn try_take_array(size: usize) -> *mut c_void {
    if new_in_use() == our_new() && new_array_in_use() == our_new_array() {
        return cxx::ralloc_new_nothrow(size);
    }
    cxx::ask_runtime(c"_ZnamRKSt9nothrow_t", size)
}

extern "C" fn try_take_aligned(size: usize, align: usize) -> *mut c_void {
    if new_aligned_in_use() == our_new_aligned() {
        return cxx::ralloc_new_aligned_nothrow(size, align);
    }
    cxx::ask_runtime_aligned(c"_ZnwmSt11align_val_tRKSt9nothrow_t", size, align)
}

extern "C" fn try_take_array_aligned(size: usize, align: usize) -> *mut c_void {
    let ours = new_array_aligned_in_use() == our_new_array_aligned();
    if ours && new_aligned_in_use() == our_new_aligned() {
        return cxx::ralloc_new_aligned_nothrow(size, align);
    }
    cxx::ask_runtime_aligned(c"_ZnamSt11align_val_tRKSt9nothrow_t", size, align)
}
