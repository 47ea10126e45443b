//! Blocks of the allocator that comes behind this library, where `RALLOC_OPTIONS=foreign=forward` asks for it.
//!
//! Its functions are looked for when the first such block turns up, by the loader: nothing is linked to.

use core::{
    ffi::{CStr, c_void},
    mem::transmute,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use ralloc_platform::{next_symbol, plant_pages};

use crate::{Libc, options};

/// See to it that pointers of others are recognised wherever they lead: what `free` reads of them first may not be mapped.
pub(crate) fn expect() {
    plant_pages(core_ralloc::is_read_of_foreign::<Libc>, usize::MAX);
}

/// A function of the next allocator.
struct Next {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            address: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Where it is, if blocks are to be forwarded and there is a next allocator.
    fn find(&self) -> Option<NonNull<c_void>> {
        if !options::forward() {
            return None;
        }
        // Relaxed: an address, found by any thread with the same result.
        NonNull::new(self.address.load(Relaxed)).or_else(|| {
            let found = next_symbol(self.name)?;
            self.address.store(found.as_ptr(), Relaxed);
            Some(found)
        })
    }
}

static FREE: Next = Next::new(c"free");
static REALLOC: Next = Next::new(c"realloc");
static USABLE_SIZE: Next = Next::new(c"malloc_usable_size");

pub(crate) fn free(block: NonNull<u8>) -> bool {
    let Some(free) = FREE.find() else {
        return false;
    };
    // SAFETY: free(3).
    let free = unsafe { transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut c_void)>(free) };
    // SAFETY: the program frees the block, which is not ours.
    unsafe { free(block.as_ptr().cast()) };
    true
}

pub(crate) fn reallocate(block: NonNull<u8>, size: usize) -> Option<*mut u8> {
    type Realloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
    // SAFETY: realloc(3).
    let realloc = unsafe { transmute::<NonNull<c_void>, Realloc>(REALLOC.find()?) };
    // SAFETY: the program reallocates the block, which is not ours.
    Some(unsafe { realloc(block.as_ptr().cast(), size) }.cast())
}

pub(crate) fn usable_size(block: NonNull<u8>) -> Option<usize> {
    type UsableSize = unsafe extern "C" fn(*mut c_void) -> usize;
    // SAFETY: malloc_usable_size(3).
    let usable_size = unsafe { transmute::<NonNull<c_void>, UsableSize>(USABLE_SIZE.find()?) };
    // SAFETY: the program asks for the size of the block, which is not ours.
    Some(unsafe { usable_size(block.as_ptr().cast()) })
}
