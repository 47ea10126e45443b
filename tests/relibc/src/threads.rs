//! Control blocks, threads and children, in the order of events that relibc has.

use core::{
    arch::global_asm,
    cell::UnsafeCell,
    ptr,
    sync::atomic::{
        AtomicBool, AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use relibc_glue::Words;

use crate::{allocator, kernel};

/// What a control block is mapped as.
pub(crate) const PAGE: usize = 4096;

/// The control block of a thread: the thread pointer is its address.
#[repr(C)]
pub(crate) struct Tcb {
    /// Itself.
    this: *mut Self,
    /// What belongs to others, here as in relibc.
    others: [usize; 100],
    pub(crate) allocator: Words,
    pub(crate) second: Words,
}

const _: () = assert!(size_of::<Tcb>() <= PAGE);

/// Whether the thread pointer is real. relibc has such a word on Redox.
static TLS_ACTIVATED: AtomicBool = AtomicBool::new(false);

/// Whether the thread pointer leads to a control block.
#[inline(always)]
pub(crate) fn is_tls_real() -> bool {
    // Relaxed: written while the process has one thread.
    TLS_ACTIVATED.load(Relaxed)
}

impl Tcb {
    /// A control block on a page of its own, with new words.
    pub(crate) fn map() -> *mut Self {
        let block: *mut Self = kernel::map(PAGE).cast();
        let new = Self {
            this: block,
            others: [usize::MAX; 100],
            allocator: Words::new(),
            second: Words::new(),
        };
        // SAFETY: a page, mapped by the line above.
        unsafe { block.write(new) };
        block
    }

    /// Make the thread pointer of this thread lead to a control block.
    ///
    /// # Safety
    ///
    /// Nobody else has it.
    pub(crate) unsafe fn activate(block: *mut Self) {
        set_thread_pointer(block.addr());
        TLS_ACTIVATED.store(true, Relaxed);
    }

    /// The words of the allocator in a control block.
    pub(crate) fn words(block: *mut Self) -> *mut Words {
        block
            .wrapping_byte_add(core::mem::offset_of!(Self, allocator))
            .cast()
    }

    /// That of this thread.
    pub(crate) fn current() -> *mut Self {
        let block;
        // SAFETY: reads the first word of the control block.
        unsafe { core::arch::asm!("mov {}, fs:[0]", out(reg) block, options(nostack)) };
        block
    }
}

/// Take the thread pointer away, as is done before exec.
pub(crate) fn deactivate() {
    TLS_ACTIVATED.store(false, Relaxed);
    set_thread_pointer(0);
}

/// Give it back: this exec has failed.
///
/// # Safety
///
/// The control block is this thread's.
pub(crate) unsafe fn activate_again(block: *mut Tcb) {
    // SAFETY: the caller's promise.
    unsafe { Tcb::activate(block) };
}

fn set_thread_pointer(address: usize) {
    // SAFETY: arch_prctl(ARCH_SET_FS).
    unsafe { kernel::call(158, [0x1002, address, 0, 0, 0, 0]) };
}

/// The start of a static program on Redox, up to where threads can be.
pub(crate) fn start() {
    let block = Tcb::map();
    // SAFETY: mapped by the line above.
    unsafe { Tcb::activate(block) };
    allocator::tls_is_real();
}

/// A word that threads wait for: 0, then 1.
pub(crate) struct Event(AtomicU32);

impl Event {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(crate) fn set(&self) {
        // Release: pairs with the Acquire in `is_set`.
        self.0.store(1, Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        self.0.load(Acquire) == 1
    }

    pub(crate) fn wait(&self) {
        while !self.is_set() {
            yield_now();
        }
    }
}

fn yield_now() {
    // SAFETY: sched_yield(2).
    unsafe { kernel::call(24, [0; 6]) };
}

/// A thread that was started, in memory that stays.
pub(crate) struct Thread {
    entry: fn(usize),
    argument: usize,
    tcb: *mut Tcb,
    /// 1 until the kernel clears it: the thread has run its last instruction.
    alive: AtomicU32,
    /// What relibc's table of threads keeps of this one; freed by the thread itself, on its way out.
    node: UnsafeCell<*mut u8>,
}

/// CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM and CHILD_CLEARTID. The thread pointer is not among them: the shim sets it.
const SHARE_ALL: usize = 0x0025_0f00;

const STACK: usize = 256 << 10;

// The child finds on its stack what to call, and with what.
global_asm!(
    ".globl stand_in_clone",
    "stand_in_clone:",
    "mov r10, rdx",
    "xor edx, edx",
    "xor r8d, r8d",
    "mov eax, 56",
    "syscall",
    "test rax, rax",
    "jz 2f",
    "ret",
    "2: xor ebp, ebp",
    "pop rdi",
    "call {shim}",
    "ud2",
    shim = sym shim,
);

unsafe extern "C" {
    fn stand_in_clone(flags: usize, stack: *mut u8, alive: *const AtomicU32) -> isize;
}

impl Thread {
    /// Start a thread. As in relibc, the creator maps its stack and its control block.
    pub(crate) fn start(entry: fn(usize), argument: usize) -> &'static Self {
        let record: *mut Self = kernel::map(PAGE).cast();
        let thread = Self {
            entry,
            argument,
            tcb: Tcb::map(),
            alive: AtomicU32::new(1),
            // SAFETY: any size will do.
            node: UnsafeCell::new(unsafe { allocator::alloc(200) }.cast()),
        };
        // SAFETY: mapped above, a page.
        unsafe { record.write(thread) };
        let top: *mut usize = kernel::map(STACK).wrapping_add(STACK - 8).cast();
        // SAFETY: the end of the stack that was mapped by the line above.
        unsafe { top.write(record.expose_provenance()) };
        // SAFETY: written above, and never unmapped.
        let thread = unsafe { &*record };
        // SAFETY: the stack is the new thread's, and so is the word.
        if unsafe { stand_in_clone(SHARE_ALL, top.cast(), &raw const thread.alive) } < 0 {
            kernel::fail(&["no thread"]);
        }
        thread
    }

    /// Wait until the thread has ended.
    pub(crate) fn join(&self) {
        // Acquire: what the thread did is visible once the kernel has cleared the word.
        while self.alive.load(Acquire) != 0 {
            yield_now();
        }
    }
}

/// Where a thread begins: without a thread pointer.
unsafe extern "C" fn shim(thread: &'static Thread) -> ! {
    // SAFETY: the creator has mapped it for this thread.
    unsafe { Tcb::activate(thread.tcb) };
    (thread.entry)(thread.argument);
    // As in relibc's `exit_current_thread`: destructors, the hook, then the table of threads gives its node back, and the
    // control block goes.
    allocator::thread_exits();
    // SAFETY: nobody but this thread looks at it.
    let node = unsafe { *thread.node.get() };
    // SAFETY: allocated by the creator, freed once.
    unsafe { allocator::free(node.cast()) };
    // SAFETY: the hook has run, and what comes now touches no words. Had it to, it would fault.
    unsafe { kernel::unmap(thread.tcb.cast(), PAGE) };
    loop {
        // SAFETY: exit(2): the thread ends, and the kernel clears `alive`.
        unsafe { kernel::call(60, [0; 6]) };
    }
}

/// fork, as relibc does it: the hooks around, and what the system's part of it allocates in between, in parent and child.
pub(crate) fn fork() -> isize {
    allocator::fork_prepare();
    // SAFETY: any size will do.
    let before = unsafe { allocator::alloc(300) };
    let child = kernel::fork();
    // The child's hook has not run yet.
    // SAFETY: any size will do.
    let after = unsafe { allocator::alloc(300) };
    if child == 0 {
        allocator::fork_child();
    } else {
        allocator::fork_parent();
    }
    for block in [before, after] {
        if block.is_null() {
            kernel::fail(&["fork found no memory"]);
        }
        // SAFETY: allocated above.
        unsafe { allocator::free(block) };
    }
    child
}

/// Run something in a child that must die of SIGABRT.
pub(crate) fn dies(what: impl FnOnce()) {
    let child = fork();
    if child == 0 {
        what();
        kernel::fail(&["nothing was noticed"]);
    }
    const SIGABRT: i32 = 6;
    if kernel::wait(child) != SIGABRT {
        kernel::fail(&["the child did not abort"]);
    }
}

/// Fill a block with a byte of its own.
pub(crate) fn fill(block: *mut u8, size: usize, seed: usize) {
    // SAFETY: a live block of so many bytes.
    unsafe { ptr::write_bytes(block, seed as u8, size) };
}

/// Check that a block has kept what [`fill`] wrote.
pub(crate) fn check_filled(block: *const u8, size: usize, seed: usize) {
    for index in 0..size {
        // SAFETY: a live block of so many bytes.
        if unsafe { block.wrapping_add(index).read() } != seed as u8 {
            kernel::fail(&["a block has lost its contents"]);
        }
    }
}
