//! What the program asked for, by address: a word for every 16 bytes of address space that blocks have come from.
//!
//! Equation: a word is 0, a mark, or [`MARKS`] more than the bytes asked for at its address; `LIVE` is their sum.

use crate::kernel;
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// In a thread's heads, in a ring, in an inbox: not the program's.
pub(crate) const HEAD: u32 = 1;
pub(crate) const RING: u32 = 2;
pub(crate) const INBOX: u32 = 3;
const MARKS: u32 = 4;

const WINDOW: usize = 4 << 20;
const GRANULE: usize = 16;
const WORDS: usize = WINDOW / GRANULE;
const WINDOWS: usize = 1 << (47 - 22);

/// What is noted about a window: the words, and the size of a block that does not fit into one.
pub(crate) struct Leaf {
    words: [AtomicU32; WORDS],
    huge: AtomicUsize,
}

use std::sync::atomic::AtomicU32;

static LEAVES: AtomicPtr<AtomicPtr<Leaf>> = AtomicPtr::new(std::ptr::null_mut());
/// Bytes that the program has asked for and not given back.
pub(crate) static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The table of leaves, mapped when it is first needed; its pages cost nothing until they are touched.
fn leaves() -> Option<&'static [AtomicPtr<Leaf>]> {
    let mut leaves = LEAVES.load(Acquire);
    if leaves.is_null() {
        let size = WINDOWS * size_of::<AtomicPtr<Leaf>>();
        let fresh = kernel::map(size)?.cast();
        match LEAVES.compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Acquire) {
            Ok(_) => leaves = fresh,
            Err(there) => {
                kernel::unmap(fresh.cast(), size);
                leaves = there;
            }
        }
    }
    // SAFETY: a mapping of so many zeroed words that stays.
    Some(unsafe { std::slice::from_raw_parts(leaves, WINDOWS) })
}

/// What is noted about the window that an address lies in.
pub(crate) fn leaf(address: usize) -> Option<&'static Leaf> {
    let leaf = leaves()?.get(address / WINDOW)?.load(Acquire);
    // SAFETY: a leaf that is published stays.
    unsafe { leaf.as_ref() }
}

fn leaf_or_map(address: usize) -> Option<&'static Leaf> {
    if let Some(leaf) = leaf(address) {
        return Some(leaf);
    }
    let fresh = kernel::map(size_of::<Leaf>())?.cast::<Leaf>();
    let place = leaves()?.get(address / WINDOW)?;
    if place
        .compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Acquire)
        .is_err()
    {
        kernel::unmap(fresh.cast(), size_of::<Leaf>());
    }
    leaf(address)
}

fn word(leaf: &Leaf, address: usize) -> &AtomicU32 {
    &leaf.words[address % WINDOW / GRANULE]
}

/// The program was given `size` bytes at `address`.
pub(crate) fn born(address: usize, size: usize) {
    if address == 0 {
        return;
    }
    let Some(leaf) = leaf_or_map(address) else {
        return;
    };
    LIVE.fetch_add(size, Relaxed);
    let noted = u32::try_from(size)
        .ok()
        .and_then(|size| size.checked_add(MARKS));
    if noted.is_none() {
        leaf.huge.store(size, Relaxed);
    }
    word(leaf, address).store(noted.unwrap_or(u32::MAX), Relaxed);
}

/// The program gives a block back. Returns what it had asked for.
pub(crate) fn gone(address: usize) -> Option<usize> {
    let leaf = leaf(address)?;
    let size = asked(leaf, address)?;
    LIVE.fetch_sub(size, Relaxed);
    word(leaf, address).store(0, Relaxed);
    Some(size)
}

/// What the program asked for at an address where it has a block.
pub(crate) fn asked(leaf: &Leaf, address: usize) -> Option<usize> {
    match word(leaf, address).load(Relaxed) {
        0..MARKS => None,
        u32::MAX => Some(leaf.huge.load(Relaxed)),
        noted => Some((noted - MARKS) as usize),
    }
}

/// The mark at an address, if there is one.
pub(crate) fn marked(leaf: &Leaf, address: usize) -> Option<u32> {
    let mark = word(leaf, address).load(Relaxed);
    (1..MARKS).contains(&mark).then_some(mark)
}

/// Mark a block that the program does not have.
pub(crate) fn mark(address: usize, mark: u32) {
    if let Some(leaf) = leaf_or_map(address) {
        // A thread may have been stopped between taking a block off its heads and the note.
        if asked(leaf, address).is_none() {
            word(leaf, address).store(mark, Relaxed);
        }
    }
}

/// Hand address and size of every mapping of the notes to `visit`.
pub(crate) fn mappings(visit: &mut dyn FnMut(usize, usize)) {
    let Some(leaves) = leaves() else { return };
    visit(leaves.as_ptr().addr(), size_of_val(leaves));
    // One OS page of the table at a time: most of it was never touched, and must not be now.
    for (number, page) in leaves.chunks(512).enumerate() {
        let address = leaves.as_ptr().addr() + number * 4096;
        if !kernel::is_resident(address) {
            continue;
        }
        for leaf in page
            .iter()
            .map(|leaf| leaf.load(Acquire))
            .filter(|leaf| !leaf.is_null())
        {
            visit(leaf.addr(), size_of::<Leaf>());
        }
    }
}
