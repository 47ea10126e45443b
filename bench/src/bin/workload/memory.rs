//! Blocks of the C library's `malloc`, whichever that is today: the only unsafe code of this program.
//!
//! A block of at least 8 bytes opens with a word `size | tag << 32`, and its last byte repeats the
//! tag. Both are checked when it is freed, so that an allocator that hands out memory twice or
//! loses contents is found out, not praised for its speed.

use std::{
    arch::asm,
    ffi::c_void,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicPtr, Ordering::AcqRel},
};

/// Blocks up to this are written line by line, as programs do; larger ones page by page.
const TOUCHED_BY_LINE: usize = 32 << 10;
const LINE: usize = 64;
const PAGE: usize = 4096;

/// One live block. Forgetting one leaks it; nothing here does so by dropping.
#[must_use = "a block that is not freed leaks"]
#[repr(transparent)]
pub(crate) struct Block(NonNull<u64>);

// SAFETY: a block belongs to whoever holds it, and `free` may be called on any thread.
unsafe impl Send for Block {}

impl Block {
    /// `malloc`, and the first writes.
    #[inline]
    pub(crate) fn new(size: usize, tag: u32) -> Block {
        // SAFETY: `malloc` takes any size.
        let start = unsafe { libc::malloc(size) };
        let block = Block::adopt(start);
        block.sign(size, tag, 0);
        block
    }

    /// `malloc` alone, to be timed; nothing is written yet.
    #[inline]
    pub(crate) fn room(size: usize) -> Room {
        // SAFETY: `malloc` takes any size.
        Room(Block::adopt(unsafe { libc::malloc(size) }))
    }

    /// `malloc`, of which only the opening word and the last byte are written.
    pub(crate) fn sparse(size: usize, tag: u32) -> Block {
        let block = Block::room(size).0;
        block.open(size, tag);
        block.set_byte(size - 1, tag as u8);
        block
    }

    /// `calloc`; the places that are about to be written must be zero.
    #[inline]
    pub(crate) fn zeroed(size: usize, tag: u32) -> Block {
        // SAFETY: `calloc` takes any size.
        let start = unsafe { libc::calloc(1, size) };
        let block = Block::adopt(start);
        let mut at = 0;
        while at < size {
            if block.byte(at) != 0 {
                die(c"calloc returned memory that is not zero\n");
            }
            at += stride(size);
        }
        block.sign(size, tag, 0);
        block
    }

    /// `realloc`; the new part is written.
    #[inline]
    pub(crate) fn resized(self, size: usize, tag: u32) -> Block {
        let old = self.size();
        // SAFETY: `self` is a live block, and is given up.
        let start = unsafe { libc::realloc(self.0.as_ptr().cast(), size) };
        let block = Block::adopt(start);
        if block.size() != old {
            die(c"realloc lost the contents\n");
        }
        block.sign(size, tag, old.min(size));
        block
    }

    /// `free`; returns the word that the block opened with.
    #[inline]
    pub(crate) fn free(self) -> u64 {
        let word = self.word();
        let size = self.size();
        if size > 8 && self.byte(size - 1) != (word >> 32) as u8 {
            die(c"a block was overwritten\n");
        }
        // SAFETY: `self` is a live block, and is given up.
        unsafe { libc::free(self.0.as_ptr().cast()) };
        word
    }

    /// Loads and stores the first word `times` times.
    #[inline]
    pub(crate) fn hammer(&mut self, times: u64) {
        for _ in 0..times {
            // SAFETY: a block has at least 8 bytes, and is ours alone.
            let word = unsafe { self.0.as_ptr().read_volatile() };
            // SAFETY: as above.
            unsafe { self.0.as_ptr().write_volatile(word) };
        }
    }

    /// Takes what an allocation function returned.
    #[inline]
    fn adopt(start: *mut c_void) -> Block {
        let mut start = start;
        // SAFETY: no instruction at all. It hides where the pointer comes from: the compiler knows
        // `malloc` and `free` by name, and would leave out a pair that it sees through.
        unsafe { asm!("/* {0} */", inout(reg) start, options(nostack, preserves_flags)) };
        match NonNull::new(start.cast()) {
            Some(start) => Block(start),
            None => die(c"out of memory\n"),
        }
    }

    /// Writes the opening word, the last byte, and something in each line or page from `from` on.
    #[inline]
    fn sign(&self, size: usize, tag: u32, from: usize) {
        self.open(size, tag);
        let stride = stride(size);
        let mut at = from.next_multiple_of(stride).max(stride);
        while at < size {
            self.set_byte(at, tag as u8);
            at += stride;
        }
        if size > 8 {
            self.set_byte(size - 1, tag as u8);
        }
    }

    /// Writes the opening word.
    #[inline]
    fn open(&self, size: usize, tag: u32) {
        // SAFETY: a block has at least 8 bytes, and is ours alone.
        unsafe { self.0.as_ptr().write(size as u64 | u64::from(tag) << 32) };
    }

    /// The word that it opens with.
    #[inline]
    pub(crate) fn word(&self) -> u64 {
        // SAFETY: a block opens with an initialised word.
        unsafe { self.0.as_ptr().read() }
    }

    /// What was asked for.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.word() as u32 as usize
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        // SAFETY: callers stay below the size.
        let place = unsafe { self.0.as_ptr().cast::<u8>().add(at) };
        // SAFETY: they read what `sign` wrote, or what `calloc` cleared.
        unsafe { place.read() }
    }

    #[inline]
    fn set_byte(&self, at: usize, value: u8) {
        // SAFETY: callers stay below the size.
        let place = unsafe { self.0.as_ptr().cast::<u8>().add(at) };
        // SAFETY: the block is ours alone.
        unsafe { place.write(value) };
    }
}

/// A block that nobody has written to.
#[must_use = "a block that is not freed leaks"]
pub(crate) struct Room(Block);

impl Room {
    /// The first writes.
    #[inline]
    pub(crate) fn signed(self, size: usize, tag: u32) -> Block {
        self.0.sign(size, tag, 0);
        self.0
    }
}

#[inline]
const fn stride(size: usize) -> usize {
    if size <= TOUCHED_BY_LINE { LINE } else { PAGE }
}

/// Blocks linked through their second word, last pushed first: what one thread passes to another.
#[derive(Default)]
pub(crate) struct Chain(Option<Block>);

impl Chain {
    /// The least size of a block in a chain: its last byte lies behind the link.
    pub(crate) const MIN_BLOCK: usize = 24;

    #[inline]
    pub(crate) fn push(&mut self, block: Block) {
        debug_assert!(block.size() >= Self::MIN_BLOCK, "no room for a link");
        let rest = self
            .0
            .take()
            .map_or(ptr::null_mut(), |block| block.0.as_ptr());
        // SAFETY: the block has at least three words.
        let link = unsafe { block.0.as_ptr().add(1).cast::<*mut u64>() };
        // SAFETY: the block is ours alone.
        unsafe { link.write(rest) };
        self.0 = Some(block);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Block> {
        let block = self.0.take()?;
        // SAFETY: a block in a chain has at least three words.
        let link = unsafe { block.0.as_ptr().add(1).cast::<*mut u64>() };
        // SAFETY: `push` wrote it.
        self.0 = NonNull::new(unsafe { link.read() }).map(Block);
        Some(block)
    }
}

/// A place where a chain waits until another thread comes by.
#[derive(Default)]
pub(crate) struct Mailbox(AtomicPtr<u64>);

impl Mailbox {
    /// Leaves `chain` and takes what was there.
    pub(crate) fn swap(&self, chain: Chain) -> Chain {
        let head = chain.0.map_or(ptr::null_mut(), |block| block.0.as_ptr());
        // AcqRel: pairs with itself on the other threads; hands over the contents of the blocks.
        Chain(NonNull::new(self.0.swap(head, AcqRel)).map(Block))
    }
}

/// Types for which all-zero bytes are a value.
///
/// # Safety
///
/// They are.
pub(crate) unsafe trait Zero {}

// SAFETY: `Block` is a transparent `NonNull`, so that zero is `None`.
unsafe impl Zero for Option<Block> {}
// SAFETY: an empty mailbox is a null pointer.
unsafe impl Zero for Mailbox {}
// SAFETY: any bytes are a number.
unsafe impl Zero for u16 {}

/// A fixed array straight from the kernel, so that the program's own tables do not enter the heap
/// under test.
pub(crate) struct Table<T> {
    start: NonNull<T>,
    len: usize,
    owns: PhantomData<T>,
}

// SAFETY: a table owns its elements, like a vector.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T: Zero> Table<T> {
    /// `len` elements, all zero, none of them resident yet.
    pub(crate) fn new(len: usize) -> Self {
        // SAFETY: a fresh anonymous mapping touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            die(c"no memory for a table\n");
        }
        let start = NonNull::new(start.cast()).expect("no mapping starts at zero");
        Table {
            start,
            len,
            owns: PhantomData,
        }
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping holds `len` elements and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Table<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the mapping holds `len` elements, lives as long as `self`, and is ours alone.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}

/// Ends the process without another allocation.
#[cold]
#[inline(never)]
fn die(why: &std::ffi::CStr) -> ! {
    // SAFETY: `why` is valid for its length.
    unsafe { libc::write(libc::STDERR_FILENO, why.as_ptr().cast(), why.count_bytes()) };
    // SAFETY: always allowed.
    unsafe { libc::abort() }
}

/// The file that `malloc` and `free` come from, if it is one and the same.
pub(crate) fn provider() -> Option<String> {
    let of = |symbol: *const c_void| {
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
        // SAFETY: any address may be asked for, and `info` has room for the answer.
        let found = unsafe { libc::dladdr(symbol, info.as_mut_ptr()) };
        if found == 0 {
            return None;
        }
        // SAFETY: zeroed is valid, and the call has filled it in.
        let info = unsafe { info.assume_init() };
        // SAFETY: the dynamic linker's own string, which stays.
        let name = unsafe { std::ffi::CStr::from_ptr(info.dli_fname) };
        Some(name.to_string_lossy().into_owned())
    };
    let malloc = of(libc::malloc as *const c_void)?;
    let free = of(libc::free as *const c_void)?;
    (malloc == free).then_some(malloc)
}

/// Runs `work` in a child of `fork`, and says whether that ended by itself.
pub(crate) fn in_child(work: impl FnOnce()) -> bool {
    // SAFETY: this process has one thread, so that the child may do what this one may.
    let child = unsafe { libc::fork() };
    if child == 0 {
        work();
        // SAFETY: ends the child without what the parent has left to do.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    waited == child && child > 0 && status == 0
}

/// Kills this process after so many seconds: a workload that hangs is a result too.
pub(crate) fn limit_time(seconds: u32) {
    // SAFETY: always allowed.
    unsafe { libc::alarm(seconds) };
}
