//! The system calls of x86-64 Linux that the stand-in makes for itself, and how it starts and ends.

use core::{
    arch::{asm, global_asm},
    ffi::{CStr, c_char},
};

/// A system call.
///
/// # Safety
///
/// That of the call.
pub(crate) unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel keeps all registers but these.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Print a line on standard error.
pub(crate) fn say(words: &[&str]) {
    for word in words.iter().chain(&["\n"]) {
        // SAFETY: write(2) reads the text.
        unsafe { call(1, [2, word.as_ptr().addr(), word.len(), 0, 0, 0]) };
    }
}

/// End the process.
pub(crate) fn exit(status: usize) -> ! {
    loop {
        // SAFETY: exit_group(2).
        unsafe { call(231, [status, 0, 0, 0, 0, 0]) };
    }
}

/// End the process with a line.
pub(crate) fn fail(words: &[&str]) -> ! {
    say(words);
    exit(1)
}

/// Fresh memory, all zero.
pub(crate) fn map(size: usize) -> *mut u8 {
    // SAFETY: mmap(2): private, anonymous, anywhere.
    let at = unsafe { call(9, [0, size, 3, 0x22, usize::MAX, 0]) };
    if at < 0 {
        fail(&["no memory"]);
    }
    core::ptr::with_exposed_provenance_mut(at.cast_unsigned())
}

/// Give memory back.
///
/// # Safety
///
/// It is from [`map`], and nobody uses it any more.
pub(crate) unsafe fn unmap(at: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { call(11, [at.addr(), size, 0, 0, 0, 0]) };
}

/// fork(2), which tells nobody.
pub(crate) fn fork() -> isize {
    // SAFETY: the child runs on a copy of everything.
    unsafe { call(57, [0; 6]) }
}

/// Wait for a child to end. Its status: the signal that ended it, or 256 times what it exited with.
pub(crate) fn wait(child: isize) -> i32 {
    let mut status = 0;
    let out: *mut i32 = &raw mut status;
    // SAFETY: wait4(2) writes the status.
    unsafe { call(61, [child.cast_unsigned(), out.addr(), 0, 0, 0, 0]) };
    // SAFETY: written by the kernel, behind the compiler's back.
    unsafe { out.read_volatile() }
}

// The kernel leaves argc and argv on the stack, no thread pointer, and nothing to return to.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);

unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel puts argc, argv[0], argv[1] there.
    let argc = unsafe { stack.read() };
    if argc != 2 {
        fail(&["usage: stand-in SITUATION"]);
    }
    // SAFETY: as above.
    let name = unsafe { stack.add(2) };
    let name: *const *const c_char = name.cast();
    // SAFETY: as above.
    let name = unsafe { name.read() };
    // SAFETY: a string of the kernel's.
    let name = unsafe { CStr::from_ptr(name) };
    crate::situations::run(name.to_str().unwrap_or("?"))
}
