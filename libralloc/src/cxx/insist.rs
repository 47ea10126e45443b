//! The loop after a failure of `operator new`: the next step, then another attempt, until there is memory or the step
//! does not return.
//!
//! A step that throws is unwound through here. Rust's frames may not be, so this is a function of assembly per
//! processor, which says where it has put the registers that it uses. Elsewhere, and in object files other than
//! ELF, it is Rust, and a step that throws ends the process.

use core::ffi::c_void;

use super::{attempt, next_step};

#[cfg(all(target_arch = "x86_64", not(any(windows, target_vendor = "apple"))))]
core::arch::global_asm!(
    ".pushsection .text.ralloc_insist,\"ax\",@progbits",
    ".globl ralloc_insist",
    ".hidden ralloc_insist",
    ".type ralloc_insist,@function",
    "ralloc_insist:",
    ".cfi_startproc",
    "push rbx",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbx, -16",
    "push rbp",
    ".cfi_def_cfa_offset 24",
    ".cfi_offset rbp, -24",
    "sub rsp, 8",
    ".cfi_def_cfa_offset 32",
    "mov rbx, rdi",
    "mov rbp, rsi",
    "2:",
    "mov rdi, rbx",
    "mov rsi, rbp",
    "call {next_step}",
    "call rax",
    "mov rdi, rbx",
    "mov rsi, rbp",
    "call {attempt}",
    "test rax, rax",
    "je 2b",
    "add rsp, 8",
    ".cfi_def_cfa_offset 24",
    "pop rbp",
    ".cfi_def_cfa_offset 16",
    "pop rbx",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    ".size ralloc_insist, . - ralloc_insist",
    ".popsection",
    next_step = sym next_step,
    attempt = sym attempt,
);

#[cfg(all(target_arch = "aarch64", not(any(windows, target_vendor = "apple"))))]
core::arch::global_asm!(
    ".pushsection .text.ralloc_insist,\"ax\",@progbits",
    ".globl ralloc_insist",
    ".hidden ralloc_insist",
    ".type ralloc_insist,@function",
    "ralloc_insist:",
    ".cfi_startproc",
    "stp x29, x30, [sp, #-32]!",
    ".cfi_def_cfa_offset 32",
    ".cfi_offset x29, -32",
    ".cfi_offset x30, -24",
    "stp x19, x20, [sp, #16]",
    ".cfi_offset x19, -16",
    ".cfi_offset x20, -8",
    "mov x29, sp",
    "mov x19, x0",
    "mov x20, x1",
    "2:",
    "mov x0, x19",
    "mov x1, x20",
    "bl {next_step}",
    "blr x0",
    "mov x0, x19",
    "mov x1, x20",
    "bl {attempt}",
    "cbz x0, 2b",
    "ldp x19, x20, [sp, #16]",
    "ldp x29, x30, [sp], #32",
    "ret",
    ".cfi_endproc",
    ".size ralloc_insist, . - ralloc_insist",
    ".popsection",
    next_step = sym next_step,
    attempt = sym attempt,
);

#[cfg(all(target_arch = "riscv64", not(any(windows, target_vendor = "apple"))))]
core::arch::global_asm!(
    ".pushsection .text.ralloc_insist,\"ax\",@progbits",
    ".globl ralloc_insist",
    ".hidden ralloc_insist",
    ".type ralloc_insist,@function",
    "ralloc_insist:",
    ".cfi_startproc",
    "addi sp, sp, -32",
    ".cfi_def_cfa_offset 32",
    "sd ra, 24(sp)",
    "sd s0, 16(sp)",
    "sd s1, 8(sp)",
    ".cfi_offset ra, -8",
    ".cfi_offset s0, -16",
    ".cfi_offset s1, -24",
    "mv s0, a0",
    "mv s1, a1",
    "2:",
    "mv a0, s0",
    "mv a1, s1",
    "call {next_step}",
    "jalr a0",
    "mv a0, s0",
    "mv a1, s1",
    "call {attempt}",
    "beqz a0, 2b",
    "ld ra, 24(sp)",
    "ld s0, 16(sp)",
    "ld s1, 8(sp)",
    "addi sp, sp, 32",
    "ret",
    ".cfi_endproc",
    ".size ralloc_insist, . - ralloc_insist",
    ".popsection",
    next_step = sym next_step,
    attempt = sym attempt,
);

#[cfg(all(
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    ),
    not(any(windows, target_vendor = "apple"))
))]
pub(super) fn insist(size: usize, align: usize) -> *mut c_void {
    unsafe extern "C" {
        fn ralloc_insist(size: usize, align: usize) -> *mut c_void;
    }
    // SAFETY: takes any two numbers, and calls what `next_step` returns.
    unsafe { ralloc_insist(size, align) }
}

#[cfg(not(all(
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    ),
    not(any(windows, target_vendor = "apple"))
)))]
pub(super) fn insist(size: usize, align: usize) -> *mut c_void {
    loop {
        next_step(size, align)();
        let block = attempt(size, align);
        if !block.is_null() {
            return block.cast();
        }
    }
}
