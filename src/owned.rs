//! A block that has one owner, and can be taken apart.

use core::{
    fmt,
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ptr::NonNull,
    slice,
};

use crate::{
    global_instance::Global,
    native,
    oom::{OutOfMemory, exhausted, insist},
    partial::{self, slot_of},
    process::Instance,
};

/// A block of memory, or a part of one, that belongs to whoever holds this value: it cannot be copied, and is freed when
/// it is dropped.
///
/// It can be [split](Self::split), and the parts freed in any order, by any threads; the allocator takes the block back when its
/// last byte is freed. Until a block is split for the first time that costs nothing.
///
/// ```
/// use ralloc::Block;
///
/// let mut header: Block = Block::new(1000, 8);
/// let body = header.split_off(100);
/// std::thread::spawn(move || drop(body)).join().unwrap();
/// assert_eq!(header.len(), 100);
/// header.as_uninit_slice()[99].write(7);
/// header.free(); // now all of it is free
/// ```
pub struct Block<I: Instance = Global> {
    start: NonNull<u8>,
    bytes: usize,
    /// Others have the rest, or had it.
    is_part: bool,
    instance: PhantomData<fn() -> I>,
}

// SAFETY: memory belongs to whoever holds it, and any thread may free it.
unsafe impl<I: Instance> Send for Block<I> {}
// SAFETY: a shared reference tells where the block is, and no more.
unsafe impl<I: Instance> Sync for Block<I> {}

impl<I: Instance> Block<I> {
    /// A block of `size` bytes at a multiple of `align`, which may be any number but 0.
    ///
    /// If there is no memory: as [`alloc`](crate::alloc()).
    ///
    /// # Panics
    ///
    /// If `align` is 0.
    pub fn new(size: usize, align: usize) -> Self {
        Self::whole(native::alloc::<I>(size, align), size)
    }

    /// As [`new`](Self::new), but asks no handler.
    ///
    /// # Errors
    ///
    /// There is no memory, or there could never be so much.
    ///
    /// # Panics
    ///
    /// If `align` is 0.
    pub fn try_new(size: usize, align: usize) -> Result<Self, OutOfMemory> {
        Ok(Self::whole(native::try_alloc::<I>(size, align)?, size))
    }

    fn whole(start: NonNull<u8>, bytes: usize) -> Self {
        Self {
            start,
            bytes,
            is_part: false,
            instance: PhantomData,
        }
    }

    fn part(start: NonNull<u8>, bytes: usize) -> Self {
        Self {
            start,
            bytes,
            is_part: true,
            instance: PhantomData,
        }
    }

    /// The block of `size` bytes at `start`, which [`alloc`](crate::alloc()) or another native function has returned.
    ///
    /// # Safety
    ///
    /// It is a live block of this instance of that size, not a part of one, and nobody else frees it.
    pub unsafe fn from_raw(start: NonNull<u8>, size: usize) -> Self {
        Self::whole(start, size)
    }

    /// Where the block is, and how long. It is not freed any more, but by [`free`](crate::free).
    ///
    /// # Errors
    ///
    /// It is a part: nobody could free that by its address.
    pub fn into_raw(self) -> Result<(NonNull<u8>, usize), Self> {
        if self.is_part {
            return Err(self);
        }
        let this = ManuallyDrop::new(self);
        Ok((this.start, this.bytes))
    }

    /// The first byte.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The bytes, whatever they hold.
    pub fn as_uninit_slice(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the bytes are ours alone, and may be uninitialised.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.bytes) }
    }

    /// The first `at` bytes, and the rest.
    ///
    /// The first split of a block notes how long it was; if there is no memory for that: as [`alloc`](crate::alloc()).
    ///
    /// # Panics
    ///
    /// If there are fewer than `at`.
    pub fn split(mut self, at: usize) -> (Self, Self) {
        let rest = self.split_off(at);
        (self, rest)
    }

    /// Keep the first `at` bytes. Returns the rest. Otherwise as [`split`](Self::split).
    ///
    /// # Panics
    ///
    /// If there are fewer than `at`.
    pub fn split_off(&mut self, at: usize) -> Self {
        let request = OutOfMemory {
            size: self.bytes,
            align: 1,
        };
        let marker = self.start.as_ptr();
        let mut rest = None;
        let served = insist::<I>(request.size, request.align, || {
            rest = self.try_split_off(at).ok();
            if rest.is_some() {
                marker
            } else {
                core::ptr::null_mut()
            }
        });
        match rest {
            Some(rest) if !served.is_null() => rest,
            _ => exhausted::<I>(request),
        }
    }

    /// As [`split_off`](Self::split_off), but asks no handler.
    ///
    /// # Errors
    ///
    /// There is no memory to note the length in; then the block is as it was.
    ///
    /// # Panics
    ///
    /// If there are fewer than `at` bytes.
    pub fn try_split_off(&mut self, at: usize) -> Result<Self, OutOfMemory> {
        assert!(at <= self.bytes, "ralloc: split beyond the end of a block");
        if !self.is_part && self.bytes != 0 {
            // SAFETY: the block is live and ours.
            let slot = unsafe { slot_of::<I>(self.start) };
            if !partial::note::<I>(slot, self.bytes) {
                return Err(OutOfMemory {
                    size: self.bytes,
                    align: 1,
                });
            }
            self.is_part = true;
        }
        // SAFETY: so many bytes are ours.
        let start = unsafe { self.start.add(at) };
        let rest = Self::part(start, self.bytes - at);
        self.bytes = at;
        Ok(rest)
    }

    /// One part again of two that lie side by side.
    ///
    /// # Errors
    ///
    /// `next` does not begin where this part ends, or they are not of the same block.
    pub fn merge(self, next: Self) -> Result<Self, (Self, Self)> {
        if next.bytes == 0 || self.bytes == 0 {
            // A part of no bytes is nothing.
            return Ok(if next.bytes == 0 { self } else { next });
        }
        // SAFETY: the part ends there.
        let end = unsafe { self.start.add(self.bytes) };
        let fit = self.is_part && next.is_part && end == next.start;
        // SAFETY: both are parts of live blocks.
        if !fit || unsafe { !is_same_slot::<I>(self.start, next.start) } {
            return Err((self, next));
        }
        let (left, right) = (ManuallyDrop::new(self), ManuallyDrop::new(next));
        Ok(Self::part(left.start, left.bytes + right.bytes))
    }

    /// Give it back. The same as to drop it.
    pub fn free(self) {}

    /// Make it `size` bytes, at a multiple of `align`, of which it is at one: in place if possible, else elsewhere. Bytes that it had
    /// keep their contents. A part gets smaller where it is, and larger elsewhere.
    ///
    /// # Errors
    ///
    /// There is no memory: the block as it was.
    ///
    /// # Panics
    ///
    /// If `align` is 0, or the block is not at a multiple of it.
    pub fn realloc(self, size: usize, align: usize) -> Result<Self, Self> {
        assert!(
            self.start.as_ptr().addr().is_multiple_of(align),
            "ralloc: the block is not so aligned"
        );
        if !self.is_part {
            let this = ManuallyDrop::new(self);
            // SAFETY: the block is ours, whole, and given up if that succeeds.
            let moved = unsafe { native::try_realloc::<I>(this.start, this.bytes, size, align) };
            return match moved {
                Ok(start) => Ok(Self::whole(start, size)),
                Err(_) => Err(ManuallyDrop::into_inner(this)),
            };
        }
        let mut this = self;
        if this.realloc_inplace(size).is_ok() {
            return Ok(this);
        }
        let Ok(new) = Self::try_new(size, align) else {
            return Err(this);
        };
        let common = this.bytes.min(size);
        // SAFETY: both have that many bytes, and they are two blocks.
        unsafe { this.start.copy_to_nonoverlapping(new.start, common) };
        Ok(new)
    }

    /// Make it `size` bytes where it stands. Nothing is ever copied.
    ///
    /// # Errors
    ///
    /// It cannot grow there (a part never can), or would have no bytes; then it is as it was.
    #[expect(clippy::result_unit_err, reason = "there is one way to fail")]
    pub fn realloc_inplace(&mut self, size: usize) -> Result<(), ()> {
        if self.is_part {
            if size > self.bytes || size == 0 {
                return Err(());
            }
            // The tail is freed at once.
            // SAFETY: the tail is ours.
            let tail = unsafe { self.start.add(size) };
            drop(Self::part(tail, self.bytes - size));
        } else {
            // SAFETY: the block is ours and whole.
            unsafe { native::realloc_inplace::<I>(self.start, self.bytes, size) }?;
        }
        self.bytes = size;
        Ok(())
    }
}

/// Whether two parts are of the same block.
///
/// # Safety
///
/// Both lie in live blocks of this instance.
unsafe fn is_same_slot<I: Instance>(one: NonNull<u8>, other: NonNull<u8>) -> bool {
    // SAFETY: the caller's promise.
    let one = unsafe { slot_of::<I>(one) };
    // SAFETY: as above.
    let other = unsafe { slot_of::<I>(other) };
    one.start() == other.start()
}

impl<I: Instance> Drop for Block<I> {
    fn drop(&mut self) {
        if self.is_part {
            // SAFETY: the bytes are ours, and the whole was noted at the first split.
            unsafe { partial::free_part::<I>(self.start, self.bytes) };
        } else {
            // SAFETY: the block is ours, and whole.
            unsafe { native::free::<I>(self.start, self.bytes) };
        }
    }
}

impl<I: Instance> fmt::Debug for Block<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}[{}]", self.start, self.bytes)
    }
}
