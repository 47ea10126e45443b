//! The verbs in hooked mode. Every block has a [record](crate::record) in front, is followed by a red zone, and is as large as was
//! asked for, to the byte. See [`hooks`](crate::hooks) for how operations get here.
//!
//! A thread in hooked mode has no heap: each allocation borrows one, each free travels to the owner of the page at once, as
//! those of a thread that is gone.

use core::ptr::{self, NonNull};

use ralloc_platform::Platform;

use crate::{
    block::Block,
    chunk::{Chunk, Owner},
    config::{CHUNK, GRANULE, LARGE_MAX, MEDIUM_MAX, Tuning},
    foreign::{self, refuse},
    hooks::{Event, Quiet, Watchers},
    large::{Cleaner, SIZE_MAX, allocate_odd_huge, allocate_run, free_run, up_to},
    log,
    portion::Portion,
    primitive::Ordering,
    process::Instance,
    record::{RED_ZONE, Record, SITES},
    remote::Batch,
    size_class::SizeClass,
    slot::Slot,
    thread,
};

/// Whether somebody watches. The first that asks finds out.
#[inline]
pub(crate) fn is_on<I: Instance>() -> bool {
    let hooks = &I::process().memory.hooks;
    // The security build watches by itself, with other means.
    !I::Tuning::SECURITY && !hooks.is_off() && (hooks.is_decided() || decide::<I>())
}

#[cold]
fn decide<I: Instance>() -> bool {
    let process = I::process();
    let Some(watchers) = I::watchers(process.memory.kernel.is_debugged()) else {
        return false;
    };
    watch::<I>(watchers);
    watchers != Watchers::NONE
}

/// Have `watchers` watch the allocator from now on, beside those that do already; see [`hooks`](Watchers).
///
/// Blocks that the program has already are not known to them, nor are those that other threads hold in reserve: of each size at most
/// those of a page. An instance with [`Tuning::SECURITY`] watches by itself, and nobody else does. So the earlier the better:
/// [`Instance::watchers`] is asked first of all.
///
/// ```
/// use ralloc::{Watchers, watch};
///
/// ralloc::instance! {
///     /// An allocator beside that of the program.
///     pub struct Watched: ralloc::Defaults;
/// }
/// watch::<Watched>(Watchers::LEAKS);
/// let block = ralloc::Block::<Watched>::new(100, 8);
/// # drop(block);
/// ```
pub fn watch<I: Instance>(watchers: Watchers) {
    if I::Tuning::SECURITY {
        return;
    }
    let memory = &I::process().memory;
    if watchers.note_sites() {
        // A program has its code in one piece with the allocator's, if that is linked into it: then nothing can be told apart.
        let here = watch::<I> as fn(Watchers) as usize;
        if let Some((from, to)) = memory.kernel.object_around(here) {
            memory.hooks.own_code[0].store(from, Ordering::Relaxed);
            memory.hooks.own_code[1].store(to, Ordering::Relaxed);
        }
        // The first time the C library may load another one to find out: before anybody watches what that allocates.
        thread::ask_once::<I>(|| {
            memory.kernel.call_sites(&mut [0; SITES]);
        });
    }
    memory.hooks.add(watchers);
    if !watchers.is_none() {
        thread::leave_for_hooks::<I>();
    }
}

/// Ask the instance who watches, if that is not known yet. For the moment at which it begins to know: what is allocated before
/// the next slow path would not be seen.
pub fn watch_if_asked<I: Instance>() {
    is_on::<I>();
}

/// Tell those who watch what has happened, because of a call from `site`.
fn tell<I: Instance>(event: Event, site: usize) {
    let watchers = I::process().memory.hooks.watchers();
    if watchers.has(Watchers::EVENTS) {
        I::on_event(event);
    }
    if watchers.has(Watchers::LOG) {
        log::log::<I>(event, site);
    }
}

/// Where the call has come from, for the log.
fn site<I: Instance>() -> usize {
    let watchers = I::process().memory.hooks.watchers();
    let wanted = watchers.has(Watchers::LOG);
    if wanted { call_sites::<I>()[0] } else { 0 }
}

/// A block of `size` bytes at a multiple of `align`, which may be any number but 0; all of them zero if that is asked for.
#[cold]
#[inline(never)]
pub(crate) fn allocate<I: Instance>(
    size: usize,
    align: usize,
    zeroed: bool,
) -> Option<NonNull<u8>> {
    thread::leave_for_hooks::<I>();
    let sites = call_sites::<I>();
    let block = make::<I>(size, align, zeroed, &sites);
    let event = match block {
        Some(block) => Event::Allocated {
            block: block.as_ptr().expose_provenance(),
            size,
            align,
        },
        None => Event::Failed { size },
    };
    tell::<I>(event, sites[0]);
    block
}

/// Where the program has called the allocator, innermost first, if that is noted; 0 ends them.
fn call_sites<I: Instance>() -> [usize; SITES] {
    let mut sites = [0; SITES];
    let memory = &I::process().memory;
    if memory.hooks.notes_sites() {
        thread::ask_once::<I>(|| {
            let mut all = [0; 2 * SITES];
            let found = memory.kernel.call_sites(&mut all).min(all.len());
            let [from, to] = &memory.hooks.own_code;
            let own = from.load(Ordering::Relaxed)..to.load(Ordering::Relaxed);
            let inner = all[..found].iter().take_while(|site| own.contains(site));
            // In a program that the allocator is linked into, all of the program's are its own.
            let skipped = Some(inner.count()).filter(|&inner| inner < found);
            let outer = &all[skipped.unwrap_or(0)..found];
            let kept = outer.len().min(SITES);
            sites[..kept].copy_from_slice(&outer[..kept]);
        });
    }
    sites
}

fn make<I: Instance>(
    size: usize,
    align: usize,
    zeroed: bool,
    sites: &[usize; SITES],
) -> Option<NonNull<u8>> {
    let memory = &I::process().memory;
    let _under_way = memory.hooks.enter(&memory.kernel);
    let quiet = Quiet::new(&memory.hooks, &memory.kernel);
    let room = align
        .max(GRANULE)
        .checked_add(Record::EXTRA)
        .and_then(|extra| size.checked_add(extra))
        .filter(|&room| room <= SIZE_MAX)?;
    let (block, cleaner) = if room <= LARGE_MAX {
        in_chunk::<I>(room, align)?
    } else {
        let behind = size.checked_add(RED_ZONE)?;
        allocate_odd_huge::<I>(behind, align.max(GRANULE), Record::HUGE_FRONT)?
    };
    // SAFETY: it lies in a slot of ours.
    let slot = unsafe { Slot::of(memory, block) }?;
    let start = slot.whole_start();
    if zeroed {
        match cleaner {
            Cleaner::Run(run) => {
                let offset = block.as_ptr().addr() - start.as_ptr().addr();
                run.clear(offset + size);
            }
            // In front of a huge block is the word by which a free knows it.
            cleaner => cleaner.clear(block, size),
        }
    }
    // SAFETY: the slot is ours, and large enough.
    let record = unsafe { Record::of(start) };
    record.open(block, size, slot.whole_size());
    record.set_sites(sites);
    drop(quiet);
    if memory.hooks.has_debugger() {
        introduce::<I>(slot, block, size, zeroed);
    }
    Some(block)
}

/// Room for a record and a block in a page or run, which is marked as having such.
fn in_chunk<I: Instance>(room: usize, align: usize) -> Option<(NonNull<u8>, Cleaner)> {
    let process = I::process();
    let (start, cleaner) = if room <= MEDIUM_MAX {
        let class = SizeClass::of(room);
        let refill = process.with_borrowed(|heap| process.refill(heap, class, Portion::ONE));
        (refill.flatten()?.first.start(), Cleaner::First(usize::MAX))
    } else {
        allocate_run::<I>(room, GRANULE)?
    };
    // SAFETY: the slot is ours, so its chunk is mapped.
    let chunk = unsafe { Chunk::of(start) };
    let slice = Chunk::slice_of(start);
    let owner = chunk.owner(slice);
    let flags = Owner::INTERIOR | Owner::HOOK;
    if owner.has(Owner::RUN) {
        // All slices: the block may begin in a later one.
        let slices = chunk.page(slice).slices();
        chunk.set_owners(slice, slices, Owner::nobody(Owner::RUN | flags));
    } else {
        let head = chunk.head_of(slice, owner);
        if !chunk.owner(head).has(Owner::HOOK) {
            chunk.change_owner(head, |owner| owner.with(flags));
        }
    }
    let front = size_of::<Record>() + RED_ZONE;
    let at = start.as_ptr().addr() + front;
    // SAFETY: there is room for that.
    let block = unsafe { start.add(front + up_to(at, align.max(1))) };
    Some((block, cleaner))
}

/// Tell the debugger of a block: nothing else in the slot may be touched.
fn introduce<I: Instance>(slot: Slot<'_>, block: NonNull<u8>, size: usize, zeroed: bool) {
    let kernel = &I::process().memory.kernel;
    kernel.mark_free(slot.whole_start(), slot.whole_size());
    let is_in_window = !block.as_ptr().addr().is_multiple_of(CHUNK);
    if let (Slot::Huge { .. }, true) = (slot, is_in_window) {
        // A free reads there whose slice this is.
        let window = block.as_ptr().map_addr(|address| address & !(CHUNK - 1));
        let word = window.wrapping_add(Chunk::slice_of(block) * size_of::<usize>());
        if let Some(word) = NonNull::new(word) {
            kernel.mark_defined(word, size_of::<usize>());
        }
    }
    kernel.block_allocated(block, size, RED_ZONE, zeroed);
}

/// Give a block back. False if there has never been a block with a record there, which says nothing of others.
///
/// # Safety
///
/// The program gives the block up.
#[cold]
#[inline(never)]
pub(crate) unsafe fn free<I: Instance>(block: NonNull<u8>) -> bool {
    let memory = &I::process().memory;
    let _quiet = Quiet::new(&memory.hooks, &memory.kernel);
    let under_way = memory.hooks.enter(&memory.kernel);
    let Some((slot, record)) = Slot::recorded(memory, block) else {
        return false;
    };
    let size = record.size();
    let closed = record.block() == block && record.close();
    drop(under_way);
    if !closed {
        misused::<I>(block);
        return true;
    }
    let event = Event::Freed {
        block: block.as_ptr().expose_provenance(),
        size,
    };
    tell::<I>(event, site::<I>());
    let _under_way = memory.hooks.enter(&memory.kernel);
    if memory.hooks.has_debugger() {
        memory.kernel.debugger_looks(true);
        memory.kernel.block_freed(block, RED_ZONE);
        memory.kernel.debugger_looks(false);
        memory.waiting.add(record, |record| {
            // SAFETY: a record lies in its slot, which nobody has yet given back.
            if let Some(slot) = unsafe { Slot::of(memory, NonNull::from(record).cast()) } {
                release::<I>(slot);
            }
        });
    } else {
        release::<I>(slot);
    }
    true
}

/// Give back a block that lies in no chunk of ours, and does not begin where a huge block does.
///
/// # Safety
///
/// The program gives the block up.
#[cold]
pub(crate) unsafe fn free_not_in_chunk<I: Instance>(block: NonNull<u8>) {
    // SAFETY: the caller's promise.
    if !(is_on::<I>() && unsafe { free::<I>(block) }) {
        foreign::free::<I>(block);
    }
}

/// A pointer was freed that leads to no block, but to where one is or was. The debugger reports it, and the program goes on, as it
/// does with the debugger's own allocator; without one it ends here.
fn misused<I: Instance>(block: NonNull<u8>) {
    let event = Event::Misused {
        block: block.as_ptr().expose_provenance(),
    };
    tell::<I>(event, site::<I>());
    let memory = &I::process().memory;
    if !memory.hooks.has_debugger() {
        refuse::<I>(block);
    }
    memory.kernel.debugger_looks(true);
    memory.kernel.block_freed(block, RED_ZONE);
    memory.kernel.debugger_looks(false);
}

/// Give a slot back to where it is from.
fn release<I: Instance>(slot: Slot<'_>) {
    let process = I::process();
    let start = slot.whole_start();
    match slot {
        Slot::Block { .. } => {
            // SAFETY: the slot is the caller's.
            process.send(Batch::single(unsafe { Block::from_ptr(start) }));
        }
        Slot::Run { .. } => {
            // SAFETY: the run is live, so its chunk is mapped.
            let chunk = unsafe { Chunk::of(start) };
            free_run::<I>(start, chunk, chunk.owner(Chunk::slice_of(start)));
        }
        Slot::Huge { .. } => {
            process.memory.release_huge(start);
        }
    }
}

/// The block of another size that takes the place of `block`, always somewhere else: a program that goes on using the old address
/// is found out. The outer `None` if the block has no record, the inner one if there is no memory.
///
/// # Safety
///
/// `block` is a live block of this instance at a multiple of `align`.
#[cold]
pub(crate) unsafe fn reallocate<I: Instance>(
    block: NonNull<u8>,
    size: usize,
    align: usize,
) -> Option<Option<NonNull<u8>>> {
    let kept = foreign::recorded::<I>(block)?.2.min(size);
    let Some(new) = allocate::<I>(size, align, false) else {
        return Some(None);
    };
    // SAFETY: two live blocks do not overlap, and both have that many bytes.
    unsafe { ptr::copy_nonoverlapping(block.as_ptr(), new.as_ptr(), kept) };
    // SAFETY: the caller gives the old block up when it gets a new one.
    unsafe { free::<I>(block) };
    Some(Some(new))
}

/// Make a block serve `size` bytes where it stands. `None` if it has no record.
///
/// # Safety
///
/// `block` is a live block of this instance; its user gives up what lies behind `size`.
#[cold]
pub(crate) unsafe fn resize_in_place<I: Instance>(block: NonNull<u8>, size: usize) -> Option<bool> {
    let memory = &I::process().memory;
    let quiet = Quiet::new(&memory.hooks, &memory.kernel);
    let under_way = memory.hooks.enter(&memory.kernel);
    let (slot, record, old) = foreign::recorded::<I>(block)?;
    let offset = block.as_ptr().addr() - slot.whole_start().as_ptr().addr();
    if size == 0 || size > slot.whole_size() - offset - RED_ZONE {
        return Some(false);
    }
    record.set_size(size);
    drop(under_way);
    drop(quiet);
    if memory.hooks.has_debugger() && old != size {
        if old == 0 {
            memory.kernel.block_freed(block, RED_ZONE);
            memory.kernel.block_allocated(block, size, RED_ZONE, false);
        } else {
            memory.kernel.block_resized(block, old, size, RED_ZONE);
        }
    }
    let event = Event::Resized {
        block: block.as_ptr().expose_provenance(),
        old,
        size,
    };
    tell::<I>(event, site::<I>());
    Some(true)
}
