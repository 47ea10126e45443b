//! The kernel: how a program is started, descriptors, debug output, and the counters of the runner.

use core::{
    arch::{asm, global_asm},
    fmt::{self, Write},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use syscall::{
    EEXIST, Error, O_RDONLY, O_RDWR, Result,
    data::{GlobalSchemes, TimeSpec},
    number::{SYS_CLOSE, SYS_OPENAT_INTO},
};

/// Where the kernel puts the descriptors of its schemes: their number, and for each the scheme and the descriptor.
const DESCRIPTORS: *const usize = 0x7fff_ffff_c000 as *const usize;

/// Where debug output goes.
pub const DEBUG: usize = 3;

/// Descriptors that are given out by number: the kernel has room for 64 at the start.
const FIRST_FREE: usize = 8;
const LAST_FREE: usize = 63;

global_asm!(
    ".pushsection .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "lea rsp, [rip + {stack} + {size}]",
    "xor ebp, ebp",
    "call {start}",
    "ud2",
    ".popsection",
    stack = sym STACK,
    size = const size_of::<Stack>(),
    start = sym start,
);

/// The kernel starts a program without a stack.
#[repr(align(4096))]
struct Stack(#[expect(dead_code, reason = "bytes for whoever runs on it")] [u8; 64 << 10]);
static mut STACK: Stack = Stack([0; 64 << 10]);

extern "C" fn start() -> ! {
    // SAFETY: an empty name; nothing has this number.
    let debug = unsafe { open(scheme(GlobalSchemes::Debug), "", O_RDWR, DEBUG) };
    if debug.is_ok() {
        ralloc_platform::redox::set_stderr(DEBUG);
        counters_open();
        crate::frames::open_account();
        crate::heap::open();
        crate::main();
    }
    exit()
}

/// End the current thread. The last one ends the program.
fn exit() -> ! {
    if let Ok(own) = dup(scheme(GlobalSchemes::Proc), "cur-context") {
        exit_by(own)
    }
    fault()
}

/// End the current thread, by its descriptor.
pub fn exit_by(own: usize) -> ! {
    let _ = syscall::write(own, &usize::MAX.to_ne_bytes());
    fault()
}

/// End the current thread by an exception.
pub fn fault() -> ! {
    loop {
        // SAFETY: an exception; the thread has not ended otherwise.
        unsafe { asm!("ud2") };
    }
}

/// The descriptor of a scheme of the kernel.
pub fn scheme(wanted: GlobalSchemes) -> usize {
    // SAFETY: the kernel put the block there, and nobody writes it.
    let count = unsafe { DESCRIPTORS.read() };
    // SAFETY: so many pairs follow.
    let pairs =
        unsafe { core::slice::from_raw_parts(DESCRIPTORS.add(1).cast::<[usize; 2]>(), count) };
    let found = pairs
        .iter()
        .find(|[scheme, _]| *scheme as u8 == wanted as u8);
    found.map_or(usize::MAX, |[_, descriptor]| *descriptor)
}

/// Open a name of a scheme as the descriptor `number`.
///
/// # Safety
///
/// Nobody uses that number.
pub unsafe fn open(scheme: usize, name: &str, flags: usize, number: usize) -> Result<usize> {
    let mut word = SYS_OPENAT_INTO;
    // SAFETY: reads the name, and makes a descriptor.
    unsafe {
        asm!(
            "syscall",
            inout("rax") word,
            in("rdi") scheme,
            in("rsi") name.as_ptr(),
            in("rdx") name.len(),
            in("r10") flags,
            in("r8") 0,
            inout("r9") number => _,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    Error::demux(word)
}

/// Which of the descriptors are in use.
static IN_USE: AtomicU64 = AtomicU64::new(0);

fn free_number() -> usize {
    for number in FIRST_FREE..=LAST_FREE {
        let bit = 1 << number;
        if IN_USE.fetch_or(bit, Relaxed) & bit == 0 {
            return number;
        }
    }
    panic!("no descriptor is free")
}

/// What a descriptor's scheme makes of a name.
pub fn dup(descriptor: usize, name: &str) -> Result<usize> {
    loop {
        let number = free_number();
        match syscall::dup_into(descriptor, number, name.as_bytes()) {
            // A child has its descriptors from another moment than its memory: this number stays in use there.
            Err(error) if error.errno == EEXIST => {}
            Err(error) => {
                IN_USE.fetch_and(!(1 << number), Relaxed);
                return Err(error);
            }
            made => return made,
        }
    }
}

/// Close a descriptor that is from [`dup`].
pub fn close(number: usize) {
    // SAFETY: nobody uses it any more.
    let _ = unsafe { syscall::syscall1(SYS_CLOSE, number) };
    IN_USE.fetch_and(!(1 << number), Relaxed);
}

/// Sleep for so many milliseconds.
pub fn sleep(milliseconds: i32) {
    let time = TimeSpec {
        tv_sec: 0,
        tv_nsec: milliseconds * 1_000_000,
    };
    let mut rest = TimeSpec::default();
    let _ = syscall::nanosleep(&time, &mut rest);
}

/// A line of debug output, written at once.
pub struct Line {
    text: [u8; 400],
    length: usize,
}

impl Line {
    pub const fn new() -> Self {
        Self {
            text: [0; 400],
            length: 0,
        }
    }

    pub fn end(mut self) {
        self.length = self.length.min(self.text.len() - 1);
        self.text[self.length] = b'\n';
        let mut text = &self.text[..=self.length];
        while let Ok(written @ 1..) = syscall::write(DEBUG, text) {
            text = &text[written..];
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(place) = self.text.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
        Ok(())
    }
}

/// Print a line.
macro_rules! say {
    ($($words:tt)*) => {{
        use core::fmt::Write as _;
        let mut line = $crate::kernel::Line::new();
        let _ = write!(line, $($words)*);
        line.end();
    }};
}
pub(crate) use say;

/// What the runner on Linux counts. Their order is the runner's (`tests/redox/runner/src/counters.rs`).
#[derive(Clone, Copy)]
#[repr(usize)]
#[expect(dead_code, reason = "the list is the runner's, whole")]
pub enum Count {
    Fmap,
    Funmap,
    Mprotect,
    Mremap,
    FutexWait,
    FutexWake,
    Yield,
    Clock,
    Other,
    PagesMapped,
    PagesReserved,
    PagesPeak,
    WalkedByFunmap,
    WalkedByFixed,
    WalkedByMprotect,
    WalkedByMremap,
    WalkedByFork,
    WalkedByExit,
    Frames,
    Contexts,
}

const COUNTS: usize = Count::Contexts as usize + 1;

/// Numbers at a moment.
#[derive(Clone, Copy)]
pub struct Counters([u64; COUNTS]);

/// The descriptor of the counters, 0 where nobody counts.
static COUNTERS: AtomicUsize = AtomicUsize::new(0);
const COUNTERS_NUMBER: usize = 4;

fn counters_open() {
    // SAFETY: nothing has this number.
    let opened = unsafe {
        open(
            scheme(GlobalSchemes::Debug),
            "ralloc-counters",
            O_RDONLY,
            COUNTERS_NUMBER,
        )
    };
    // The kernel has no such file, or takes any name for its debug output: then nothing can be read.
    if opened.is_ok() {
        COUNTERS.store(COUNTERS_NUMBER, Relaxed);
    }
}

impl Counters {
    /// The numbers of now; `None` where nobody counts.
    pub fn now() -> Option<Self> {
        let descriptor = COUNTERS.load(Relaxed);
        if descriptor == 0 {
            return None;
        }
        let mut bytes = [0; COUNTS * 8];
        let read = syscall::read(descriptor, &mut bytes).ok()?;
        if read != bytes.len() {
            return None;
        }
        let (words, _) = bytes.as_chunks();
        Some(Self(core::array::from_fn(|number| {
            u64::from_le_bytes(words[number])
        })))
    }

    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// How much more there is of it now.
    pub fn since(&self, count: Count) -> u64 {
        Self::now().map_or(0, |now| now.get(count).saturating_sub(self.get(count)))
    }

    /// Calls about memory since then.
    pub fn memory_calls(&self) -> u64 {
        use Count::{Fmap, Funmap, Mprotect, Mremap};
        [Fmap, Funmap, Mprotect, Mremap]
            .into_iter()
            .map(|count| self.since(count))
            .sum()
    }
}

/// The processor's count of cycles.
pub fn cycles() -> u64 {
    // SAFETY: every processor of this kind counts, and programs may ask.
    unsafe { core::arch::x86_64::_rdtsc() }
}
