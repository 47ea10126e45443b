//! A second copy of what the platform has variables in: where mappings go, and the program break. In a dynamic program the loader
//! has one and the C library has another.

use core::ptr::{self, NonNull};
use syscall::{EEXIST, Error, MapFlags, PAGE_SIZE, data::Map};

#[path = "../../../../platform/src/redox/place.rs"]
#[allow(dead_code, reason = "the platform uses all of it")]
mod place;
#[path = "../../../../platform/src/redox/program_break.rs"]
mod program_break;

/// The break.
pub fn get() -> usize {
    program_break::get()
}

/// Set it. Returns where it is then.
pub fn set(to: usize) -> usize {
    program_break::set(to)
}

/// What the first chunk of a process is mapped by.
pub fn map_first_chunk() -> NonNull<u8> {
    const SIZE: usize = 256 << 10;
    let exactly = |base| map_raw(base, SIZE, MapFlags::MAP_FIXED_NOREPLACE).map(|_| ());
    let base = place::choose(SIZE, 4 << 20, exactly).expect("room");
    NonNull::new(ptr::with_exposed_provenance_mut(base)).expect("not null")
}

/// With `MAP_FIXED` it replaces what is there: that is the caller's and out of use.
fn map_raw(address: usize, size: usize, flags: MapFlags) -> syscall::Result<usize> {
    let map = Map {
        offset: 0,
        size,
        flags: flags | MapFlags::MAP_PRIVATE | MapFlags::PROT_READ | MapFlags::PROT_WRITE,
        address,
    };
    // SAFETY: replaces only what the caller says.
    unsafe { syscall::fmap(!0, &map) }
}

/// # Safety
///
/// The range is ours, in whole OS pages, and out of use.
unsafe fn unmap_raw(base: usize, size: usize) -> bool {
    assert!(base.is_multiple_of(PAGE_SIZE));
    // SAFETY: the caller's promise.
    unsafe { syscall::funmap(base, size) }.is_ok()
}

fn is_occupied(error: &Error) -> bool {
    error.errno == EEXIST
}
