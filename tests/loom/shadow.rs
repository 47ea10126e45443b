//! What the allocator's atomics, cells and words are under loom.
//!
//! Their layout is that of the real ones, and all zero is a valid value, as the allocator expects of memory that it has
//! mapped. So loom's own objects cannot stand in their place; each location that is touched has a *shadow* elsewhere, found
//! by its address. A shadow of an atomic holds its values; a shadow of a cell or word holds nothing, it only tells loom who
//! reads and writes.
//!
//! To loom, making an object is a write by the thread that makes it, and a shadow made by the thread that comes first
//! would race with the thread that comes second. The real location was zero, or initialised, before there were threads.
//! Therefore every location that a model has ever touched is *known*, and the first thread makes the shadows of all known
//! locations before it starts others. A model that fails after it has touched an unknown location is started over (see
//! `world::Model`).
//!
//! Loom leaves out orders that make no difference, and to know them it remembers who touched an atomic last. A thread that
//! reads before it writes, as every exchange in a loop does, hides in this way that another thread has read before, and loom
//! would never let the write come first. So there is an atomic more for each reader of a location that others write,
//! its *mark*: the reader stores to it before it reads, the writers before they write, and of two stores loom tries both
//! orders. Nobody loads a mark, so it orders nothing in the sense of the memory model.
//!
//! Outside of models nothing is shadowed, and everything works as in the ordinary build.

extern crate std;

use loom::{cell::UnsafeCell, sync::atomic as watched};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    ops::Range,
    rc::Rc,
    sync::atomic as plain,
    thread::panicking,
    vec::Vec,
};

#[path = "stand_ins.rs"]
mod stand_ins;

pub(crate) use plain::Ordering;
pub(crate) use stand_ins::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Cell, Tally};

/// What loom watches in place of a location.
struct Shadow {
    object: Object,
    /// For each thread that reads while another writes.
    marks: [Option<watched::AtomicU32>; loom::MAX_THREADS],
}

enum Object {
    U16(watched::AtomicU16),
    U32(watched::AtomicU32),
    U64(watched::AtomicU64),
    Usize(watched::AtomicUsize),
    Bytes(UnsafeCell<()>),
}

/// Which threads read and write a location while there are others: a bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Users {
    readers: u8,
    writers: u8,
}

impl Users {
    fn need_mark(self, thread: usize) -> bool {
        self.readers >> thread & 1 == 1 && self.writers & !(1 << thread) != 0
    }
}

/// How a location is used. One that is a link today may be an atomic tomorrow: each use has its shadow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    U16,
    U32,
    U64,
    Usize,
    /// A cell or word of so many bytes.
    Bytes(usize),
}

impl Kind {
    /// What watches a location with this value.
    fn object(self, value: u64) -> Object {
        match self {
            Self::U16 => Object::U16(watched::AtomicU16::new(value as u16)),
            Self::U32 => Object::U32(watched::AtomicU32::new(value as u32)),
            Self::U64 => Object::U64(watched::AtomicU64::new(value)),
            Self::Usize => Object::Usize(watched::AtomicUsize::new(value as usize)),
            Self::Bytes(_) => Object::Bytes(UnsafeCell::new(())),
        }
    }

    /// 0 for an atomic.
    fn size(self) -> usize {
        match self {
            Self::Bytes(size) => size,
            _ => 0,
        }
    }

    /// What is really at an address.
    ///
    /// # Safety
    ///
    /// A location of this kind is there.
    unsafe fn value(self, address: usize) -> u64 {
        match self {
            // SAFETY: the caller's promise.
            Self::U16 => u64::from(unsafe { *(address as *const u16) }),
            // SAFETY: as above.
            Self::U32 => u64::from(unsafe { *(address as *const u32) }),
            // SAFETY: as above.
            Self::U64 | Self::Usize => unsafe { *(address as *const u64) },
            Self::Bytes(_) => 0,
        }
    }
}

/// Addresses are spread well enough by a multiplication.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// The shadows of one model.
#[derive(Default)]
struct Shadows {
    /// Addresses that are shadowed.
    range: Range<usize>,
    /// The shadows of this execution, by address and size (0 for an atomic).
    live: HashMap<(usize, usize), Rc<Shadow>, BuildHasherDefault<Spread>>,
    /// Locations that were touched in any execution, and who was known to use them when the exploration began.
    known: BTreeMap<(usize, Kind), Users>,
    /// Who has been seen to use them since.
    seen: HashMap<usize, Users, BuildHasherDefault<Spread>>,
    /// Whether a location has become known since the exploration began.
    grew: bool,
    /// Threads that run besides the first.
    others: usize,
    /// If the first thread is going to fork: what the others store to before each operation, so that loom lets the fork
    /// come before it.
    fork: Option<Rc<watched::AtomicU32>>,
    /// Whether the first thread has forked, and the others are no more.
    forked: bool,
    /// Addresses that were unmapped in this execution.
    holes: Vec<Range<usize>>,
}

loom::thread_local! {
    /// The number of the thread in its model; the first has 0.
    static ME: core::cell::Cell<usize> = core::cell::Cell::new(0);
}

/// Say which number the calling thread has.
pub(crate) fn set_me(number: usize) {
    ME.with(|me| me.set(number));
}

std::thread_local! {
    static SHADOWS: RefCell<Shadows> = RefCell::default();
}

impl Shadows {
    fn make(&mut self, address: usize, kind: Kind, users: Users) -> Rc<Shadow> {
        // SAFETY: the location is in use as this, or the memory reads zero.
        let value = unsafe { kind.value(address) };
        let mark = |thread| users.need_mark(thread).then(|| watched::AtomicU32::new(0));
        let shadow = Rc::new(Shadow {
            object: kind.object(value),
            marks: std::array::from_fn(mark),
        });
        self.live.insert((address, kind.size()), Rc::clone(&shadow));
        shadow
    }

    fn find(&mut self, address: usize, kind: Kind) -> Option<Rc<Shadow>> {
        if !self.range.contains(&address) {
            return None;
        }
        let in_hole = self.holes.iter().any(|hole| hole.contains(&address));
        assert!(!in_hole, "{address:#x} is used after it was unmapped");
        if let Some(shadow) = self.live.get(&(address, kind.size())) {
            return Some(Rc::clone(shadow));
        }
        self.known.insert((address, kind), Users::default());
        self.grew = true;
        Some(self.make(address, kind, Users::default()))
    }

    /// Whether more locations need a mark than had one when the exploration began; from now on they have it.
    fn learn(&mut self) -> bool {
        let mut learnt = false;
        for (&(address, _), users) in &mut self.known {
            let Some(&seen) = self.seen.get(&address) else {
                continue;
            };
            learnt |= (0..loom::MAX_THREADS)
                .any(|thread| seen.need_mark(thread) && !users.need_mark(thread));
            *users = seen;
        }
        learnt
    }
}

/// Shadow what lies in `range`, for this operating-system thread. Nothing is known yet.
pub(crate) fn watch(range: Range<usize>) {
    SHADOWS.set(Shadows {
        range,
        ..Shadows::default()
    });
}

/// Whether a location has become known since the last time this was asked.
pub(crate) fn grew() -> bool {
    SHADOWS.with_borrow_mut(|shadows| std::mem::take(&mut shadows.grew))
}

/// Whether the exploration has to begin anew, because marks were missing in it.
pub(crate) fn learnt() -> bool {
    SHADOWS.with_borrow_mut(Shadows::learn)
}

/// Note that a thread has been started, or joined.
pub(crate) fn count_others(change: isize) {
    SHADOWS.with_borrow_mut(|shadows| {
        shadows.others = shadows.others.wrapping_add_signed(change);
    });
}

/// Forget the shadows and the holes of the last execution.
pub(crate) fn forget() {
    SHADOWS.with_borrow_mut(|shadows| {
        shadows.live.clear();
        shadows.holes.clear();
        shadows.others = 0;
        shadows.fork = None;
        shadows.forked = false;
    });
}

/// What a thread ends with that is not in the child of a fork.
pub(crate) struct Gone;

/// The first thread is going to fork.
pub(crate) fn expect_fork() {
    let mark = Rc::new(watched::AtomicU32::new(0));
    SHADOWS.with_borrow_mut(|shadows| shadows.fork = Some(mark));
}

/// The first thread forks: each other thread ends at its next operation. `join` waits for that.
pub(crate) fn fork(join: impl FnOnce()) {
    if let Some(mark) = SHADOWS.with_borrow(|shadows| shadows.fork.clone()) {
        mark.store(0, Ordering::Relaxed);
    }
    SHADOWS.with_borrow_mut(|shadows| shadows.forked = true);
    join();
    SHADOWS.with_borrow_mut(|shadows| {
        shadows.fork = None;
        shadows.forked = false;
    });
}

/// End the calling thread, unless it is the one that forks, if there was a fork.
fn end_if_gone(me: usize) {
    if me == 0 {
        return;
    }
    if let Some(mark) = SHADOWS.with_borrow(|shadows| shadows.fork.clone()) {
        mark.store(0, Ordering::Relaxed);
        if SHADOWS.with_borrow(|shadows| shadows.forked) {
            std::panic::resume_unwind(std::boxed::Box::new(Gone));
        }
    }
}

/// Make the shadows of the known locations in a range, on behalf of the calling thread.
pub(crate) fn renew(range: Range<usize>) {
    SHADOWS.with_borrow_mut(|shadows| {
        let known: Vec<_> = shadows
            .known
            .range((range.start, Kind::U16)..(range.end, Kind::U16))
            .map(|(&location, &users)| (location, users))
            .collect();
        for ((address, kind), users) in known {
            shadows.make(address, kind, users);
        }
    });
}

/// Zero the known cells and words in a range; `written` also tells loom that the calling thread does it.
///
/// # Safety
///
/// The memory is mapped, and no reference to it is held.
pub(crate) unsafe fn zero(range: Range<usize>, written: bool) {
    let cells = SHADOWS.with_borrow(|shadows| {
        let known = shadows
            .known
            .range((range.start, Kind::U16)..(range.end, Kind::U16));
        known
            .filter_map(|(&(address, kind), _)| match kind {
                Kind::Bytes(size) => Some((address, size)),
                _ => None,
            })
            .collect::<Vec<_>>()
    });
    for (address, size) in cells {
        if written {
            touch(address, size, true);
        }
        let cell: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: the caller's promise.
        unsafe { cell.write_bytes(0, size) };
    }
}

/// From now on an access to the range is an error.
pub(crate) fn make_hole(range: Range<usize>) {
    SHADOWS.with_borrow_mut(|shadows| shadows.holes.push(range));
}

/// The hole that begins at `start` is mapped again.
pub(crate) fn fill_hole(start: usize) {
    SHADOWS.with_borrow_mut(|shadows| shadows.holes.retain(|hole| hole.start != start));
}

/// The shadow of a location, if it has one. While a panic unwinds there are none: the execution is over.
fn shadow(address: usize, kind: Kind) -> Option<Rc<Shadow>> {
    if panicking() {
        return None;
    }
    SHADOWS.with_borrow_mut(|shadows| shadows.find(address, kind))
}

/// As [`shadow`], for an atomic that the calling thread is about to read or to write, after a store to the marks.
fn marked(address: usize, kind: Kind, writes: bool) -> Option<Rc<Shadow>> {
    let shadow = shadow(address, kind)?;
    let me = ME.with(core::cell::Cell::get);
    end_if_gone(me);
    SHADOWS.with_borrow_mut(|shadows| {
        if shadows.others > 0 {
            let users = shadows.seen.entry(address).or_default();
            match writes {
                true => users.writers |= 1 << me,
                false => users.readers |= 1 << me,
            }
        }
    });
    let alone = SHADOWS.with_borrow(|shadows| shadows.others == 0);
    for (thread, mark) in shadow.marks.iter().enumerate() {
        if let Some(mark) = mark.as_ref().filter(|_| !alone && writes != (thread == me)) {
            mark.store(0, Ordering::Relaxed);
        }
    }
    Some(shadow)
}

/// Tell loom of an access to a cell or word.
#[track_caller]
fn touch(address: usize, size: usize, writes: bool) {
    if let Some(shadow) = shadow(address, Kind::Bytes(size))
        && let Object::Bytes(cell) = &shadow.object
    {
        if writes {
            // A fork may come between any two writes: what is half made is what its child finds.
            end_if_gone(ME.with(core::cell::Cell::get));
            cell.with_mut(|_| ());
        } else {
            cell.with(|_| ());
        }
    }
}

/// As the `fence` of the core library.
pub(crate) fn fence(order: Ordering) {
    if panicking() || SHADOWS.with_borrow(|shadows| shadows.range.is_empty()) {
        plain::fence(order);
    } else {
        watched::fence(order);
    }
}

/// Read a word of a free block.
///
/// # Safety
///
/// As for [`core::ptr::read`].
#[track_caller]
pub(crate) unsafe fn read(word: *const usize) -> usize {
    touch(word.addr(), size_of::<usize>(), false);
    // SAFETY: the caller's promise.
    unsafe { word.read() }
}

/// Write a word of a free block.
///
/// # Safety
///
/// As for [`core::ptr::write`].
#[track_caller]
pub(crate) unsafe fn write(word: *mut usize, value: usize) {
    touch(word.addr(), size_of::<usize>(), true);
    if !panicking() {
        // SAFETY: the caller's promise.
        unsafe { word.write(value) }
    }
}
