//! What valgrind is told, without a header or a library of it.
//!
//! A *client request* is a sequence of instructions that changes nothing on the processor and that valgrind, which
//! translates the program as it runs, knows for a request. One register holds the address of six words (the request and its
//! arguments), another the answer if nobody is there, and the answer after. The sequences and the numbers are those that
//! valgrind documents for its users; they do not change between versions. On processors without a sequence here nothing is said.

use core::ptr::NonNull;

/// Any tool: is valgrind there?
const RUNNING_ON_VALGRIND: usize = 0x1001;
/// Tools that know blocks: a block was allocated, freed, resized.
const MALLOCLIKE_BLOCK: usize = 0x1301;
const FREELIKE_BLOCK: usize = 0x1302;
const RESIZEINPLACE_BLOCK: usize = 0x130B;
/// Any tool: errors of this thread are reported less (1), or again (-1).
const CHANGE_ERROR_DISABLEMENT: usize = 0x1801;
/// Memcheck: memory may not be touched, may be written to, may be read.
const MAKE_MEM_NOACCESS: usize = memcheck(0);
const MAKE_MEM_UNDEFINED: usize = memcheck(1);
const MAKE_MEM_DEFINED: usize = memcheck(2);

/// The requests of a tool have its initials in front.
const fn memcheck(number: usize) -> usize {
    (b'M' as usize) << 24 | (b'C' as usize) << 16 | number
}

/// The request is the first word.
type Request = [usize; 6];

/// What valgrind answers, or 0 if it is not there.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
fn ask(request: &Request) -> usize {
    let mut answer = 0;
    // SAFETY: four rotations by 128 bits together, and an exchange of a register with itself, leave everything as it was
    // but for the flags. Valgrind reads the request, and what a tool does to its own notes does not concern the program.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") request,
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

/// As for x86-64.
#[cfg(target_arch = "x86")]
#[inline(always)]
fn ask(request: &Request) -> usize {
    let mut answer = 0;
    // SAFETY: as for x86-64, with rotations by 64 bits together.
    unsafe {
        core::arch::asm!(
            "rol edi, 3",
            "rol edi, 13",
            "rol edi, 29",
            "rol edi, 19",
            "xchg ebx, ebx",
            in("eax") request,
            inout("edx") answer,
            options(nostack),
        );
    }
    answer
}

/// As for x86-64.
#[cfg(all(target_arch = "aarch64", target_pointer_width = "64"))]
#[inline(always)]
fn ask(request: &Request) -> usize {
    let mut answer = 0;
    // SAFETY: as for x86-64.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") request,
            inout("x3") answer,
            options(nostack),
        );
    }
    answer
}

/// Nobody is there.
#[cfg(not(any(
    all(target_arch = "x86_64", target_pointer_width = "64"),
    target_arch = "x86",
    all(target_arch = "aarch64", target_pointer_width = "64"),
)))]
fn ask(_request: &Request) -> usize {
    0
}

fn say(request: usize, arguments: [usize; 5]) -> usize {
    let [one, two, three, four, five] = arguments;
    ask(&[request, one, two, three, four, five])
}

fn mark(how: usize, base: NonNull<u8>, size: usize) {
    say(how, [base.as_ptr().expose_provenance(), size, 0, 0, 0]);
}

/// Whether the process runs under valgrind, whatever the tool.
pub(crate) fn is_running() -> bool {
    say(RUNNING_ON_VALGRIND, [0; 5]) != 0
}

/// As [`Platform::mark_undefined`](crate::Platform::mark_undefined).
pub(crate) fn mark_undefined(base: NonNull<u8>, size: usize) {
    mark(MAKE_MEM_UNDEFINED, base, size);
}

/// As [`Platform::mark_free`](crate::Platform::mark_free).
pub(crate) fn mark_free(base: NonNull<u8>, size: usize) {
    mark(MAKE_MEM_NOACCESS, base, size);
}

/// As [`Platform::mark_defined`](crate::Platform::mark_defined).
pub(crate) fn mark_defined(base: NonNull<u8>, size: usize) {
    mark(MAKE_MEM_DEFINED, base, size);
}

/// As [`Platform::block_allocated`](crate::Platform::block_allocated).
pub(crate) fn block_allocated(block: NonNull<u8>, size: usize, red_zone: usize, zeroed: bool) {
    let block = block.as_ptr().expose_provenance();
    say(
        MALLOCLIKE_BLOCK,
        [block, size, red_zone, usize::from(zeroed), 0],
    );
}

/// As [`Platform::block_resized`](crate::Platform::block_resized).
pub(crate) fn block_resized(block: NonNull<u8>, old: usize, size: usize, red_zone: usize) {
    let block = block.as_ptr().expose_provenance();
    say(RESIZEINPLACE_BLOCK, [block, old, size, red_zone, 0]);
}

/// As [`Platform::block_freed`](crate::Platform::block_freed).
pub(crate) fn block_freed(block: NonNull<u8>, red_zone: usize) {
    let block = block.as_ptr().expose_provenance();
    say(FREELIKE_BLOCK, [block, red_zone, 0, 0, 0]);
}

/// As [`Platform::debugger_looks`](crate::Platform::debugger_looks).
pub(crate) fn report_errors(report: bool) {
    let change = if report { usize::MAX } else { 1 };
    say(CHANGE_ERROR_DISABLEMENT, [change, 0, 0, 0, 0]);
}
