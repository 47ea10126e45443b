//! The report of leaks: which blocks the program has not freed, from where they were asked for, and whether it could still free
//! them.
//!
//! Blocks are found by their records, so the report knows those that were allocated while
//! [`Watchers::LEAKS`](crate::Watchers::LEAKS) were watching. A block is *reachable* if a word in the program's memory (its data,
//! its stacks, the mappings that it has made) or in a reachable block looks like an address in it, and *lost* if none does. Words that
//! look like addresses by chance make a lost block seem reachable, never the other way round; pointers that are kept in
//! registers of other threads, or in disguise, are not seen.
//!
//! Nothing is allocated but the room for a list of the blocks, which is asked of the kernel.
//!
//! ```
//! use ralloc::{Global, Watchers, leaks};
//!
//! ralloc::watch::<Global>(Watchers::LEAKS);
//! let forgotten = ralloc::alloc(1234, 8);
//! let mut report = String::new();
//! leaks::report_leaks::<Global>(&mut report).expect("a string takes all");
//! assert!(report.contains("1234"));
//! # // SAFETY: allocated above with this size, freed once.
//! # unsafe { ralloc::free(forgotten, 1234) };
//! ```

use core::{
    fmt::{self, Write},
    ptr::NonNull,
};

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    config::{CHUNK, SLICE, SLICES},
    hooks::Quiet,
    primitive::Ordering,
    process::Instance,
    record::{Record, SITES},
    slot::Slot,
};

/// In `next` of a record: it is reachable, and its list ends here.
const END: usize = 1;

/// Bytes of the name of a file that are printed.
const NAME: usize = 256;

/// Write a table of the blocks that the program has: lost ones first, grouped by size and call sites, those that take up most
/// first.
///
/// Each call site is a file and an offset in it, from the innermost call on; without the allocator's own calls, unless it is linked into
/// the program.
/// Other threads may be about: those that allocate or free a block wait until the report has been written.
///
/// # Errors
///
/// Those of `out`.
pub fn report_leaks<I: Instance>(out: &mut impl Write) -> fmt::Result {
    let memory = &I::process().memory;
    let _quiet = Quiet::new(&memory.hooks, &memory.kernel);
    let _guard = memory.lock();
    let _held = memory.hooks.hold(&memory.kernel);
    let mut count = 0;
    records::<I>(|record| {
        record.next.set(0);
        count += 1;
    });
    mark::<I>();
    let bytes = (count.max(1) * size_of::<&Record>()).next_multiple_of(memory.kernel.page_size());
    let Some(room) = memory.kernel.map(bytes, memory.kernel.page_size()) else {
        return writeln!(out, "ralloc: no memory for the report of {count} blocks");
    };
    let list: NonNull<&Record> = room.cast();
    let mut length = 0;
    records::<I>(|record| {
        if length < count {
            // SAFETY: there is room for `count` of them.
            let place = unsafe { list.add(length) };
            // SAFETY: as above.
            unsafe { place.write(record) };
            length += 1;
        }
    });
    let mut list = NonNull::slice_from_raw_parts(list, length);
    // SAFETY: so many have just been written, and the memory is ours.
    let result = write_groups::<I>(unsafe { list.as_mut() }, out);
    // SAFETY: mapped above, and not used any more.
    unsafe { memory.kernel.unmap(room, bytes) };
    result
}

/// What blocks of one group have in common.
type Key = (bool, usize, [usize; SITES]);

fn key(record: &Record) -> Key {
    let is_reachable = record.next.get() != 0;
    (is_reachable, record.size(), record.all_sites())
}

fn write_groups<I: Instance>(blocks: &mut [&Record], out: &mut impl Write) -> fmt::Result {
    blocks.sort_unstable_by_key(|record| key(record));
    for (reachable, what) in [(false, "lost"), (true, "reachable")] {
        let of_kind = || {
            let blocks = blocks.iter();
            blocks.filter(move |record| (record.next.get() != 0) == reachable)
        };
        let bytes: usize = of_kind().map(|record| record.size()).sum();
        writeln!(
            out,
            "ralloc: {what}: {bytes} bytes in {} blocks",
            of_kind().count()
        )?;
    }
    if !blocks.is_empty() {
        let titles = ("", "bytes", "blocks", "size");
        writeln!(
            out,
            "ralloc: {:>9} {:>12} {:>8} {:>10}",
            titles.0, titles.1, titles.2, titles.3
        )?;
    }
    // Groups are written in the order of their bytes, without room to sort them in: each time the next smaller one. Of groups
    // that are as large as each other, all are written in one go.
    for reachable in [false, true] {
        let mut below = usize::MAX;
        loop {
            let of_kind = || groups(blocks).filter(|group| key(group[0]).0 == reachable);
            let next = of_kind().map(total).filter(|&bytes| bytes < below).max();
            let Some(next) = next else { break };
            for group in of_kind().filter(|group| total(group) == next) {
                write_group::<I>(group, out)?;
            }
            below = next;
        }
    }
    Ok(())
}

fn groups<'a, 'b>(blocks: &'a [&'b Record]) -> impl Iterator<Item = &'a [&'b Record]> {
    blocks.chunk_by(|one, other| key(one) == key(other))
}

fn total(group: &[&Record]) -> usize {
    group.iter().map(|record| record.size()).sum()
}

fn write_group<I: Instance>(group: &[&Record], out: &mut impl Write) -> fmt::Result {
    let (is_reachable, size, sites) = key(group[0]);
    let kind = if is_reachable { "reachable" } else { "lost" };
    let (bytes, count) = (total(group), group.len());
    writeln!(out, "ralloc: {kind:>9} {bytes:>12} {count:>8} {size:>10}")?;
    write_sites::<I>(&sites, out)
}

/// A line for each call site.
fn write_sites<I: Instance>(sites: &[usize], out: &mut impl Write) -> fmt::Result {
    let kernel = &I::process().memory.kernel;
    let mut name = [0; NAME];
    let sites = sites.iter().copied().take_while(|&site| site != 0);
    for (number, site) in sites.enumerate() {
        let word = if number == 0 { "at" } else { "by" };
        match kernel.place_of(site, &mut name) {
            Some((length, offset)) => {
                let name = core::str::from_utf8(&name[..length]).unwrap_or("?");
                writeln!(out, "ralloc:           {word} {name}+{offset:#x}")?;
            }
            None => writeln!(out, "ralloc:           {word} {site:#x}")?,
        }
    }
    Ok(())
}

/// Hand the records of all live blocks to `visit`.
///
/// Pre: the purge lock is held.
fn records<I: Instance>(mut visit: impl FnMut(&'static Record)) {
    let memory = &I::process().memory;
    let mut look = |start: NonNull<u8>| {
        // SAFETY: the slot is one that may have a record, in a chunk that stays.
        let record = unsafe { Record::of(start) };
        if record.is_live() {
            visit(record);
        }
    };
    for chunk in memory.chunks.chunks() {
        for slice in 0..SLICES {
            let owner = chunk.owner_acquire(slice);
            if owner.has(Owner::NOT_HEAD | Owner::UNOWNED) || !owner.has(Owner::HOOK) {
                continue;
            }
            let page = chunk.page(slice);
            if owner.has(Owner::RUN) {
                look(page.start());
                continue;
            }
            for index in 0..page.whole_capacity().min(page.initialised.get().into()) {
                look(page.block(index));
            }
        }
    }
    memory.huge.odd().for_each(look);
}

/// Mark what the program can reach: `next` of those records is not 0.
fn mark<I: Instance>() {
    let memory = &I::process().memory;
    let mut waiting = END;
    let here = core::ptr::from_ref(&waiting).addr();
    memory.kernel.roots(&mut |start, size| {
        let first = start.as_ptr().addr();
        let range = first..first + size;
        // Of this thread's stack, what is below is ours.
        let from = if range.contains(&here) { here } else { first };
        outside::<I>(from, range.end, |from, end| {
            scan::<I>(from, end, &mut waiting)
        });
    });
    while waiting != END {
        let record: *const Record = core::ptr::with_exposed_provenance(waiting);
        // SAFETY: the list has addresses of records of live blocks.
        let record = unsafe { &*record };
        waiting = record.next.replace(END);
        let block = record.block().as_ptr().addr();
        scan::<I>(block, block + record.size(), &mut waiting);
    }
}

/// Hand the pieces of a range that lie in no chunk and no huge block to `visit`.
fn outside<I: Instance>(from: usize, end: usize, mut visit: impl FnMut(usize, usize)) {
    let mut at = from;
    while at < end {
        let (ours, step) = match slices_of_ours::<I>(at) {
            ours @ (0 | u64::MAX) => (ours != 0, CHUNK),
            some => (some >> (at % CHUNK / SLICE) & 1 == 1, SLICE),
        };
        let next = (at & !(step - 1)).saturating_add(step).min(end);
        if !ours {
            visit(at, next);
        }
        at = next;
    }
}

/// Which slices of the window that an address lies in are ours: of a chunk those that are mapped. What lies behind them may be the
/// program's.
fn slices_of_ours<I: Instance>(address: usize) -> u64 {
    let memory = &I::process().memory;
    let Some(address) = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address)) else {
        return 0;
    };
    if memory.chunks.map.contains(address.as_ptr().addr()) {
        // SAFETY: the chunk is ours, and none is unmapped while the purge lock is held.
        let index = unsafe { Chunk::of(address) }.index();
        // Relaxed: what is mapped while the report is written has no block of the program's yet.
        return memory.chunks.entry(index).committed.load(Ordering::Relaxed);
    }
    if memory.huge.containing(address).is_some() {
        u64::MAX
    } else {
        0
    }
}

/// Put the blocks that a range of memory leads to on the list, unless they have been there.
fn scan<I: Instance>(from: usize, end: usize, waiting: &mut usize) {
    const WORD: usize = size_of::<usize>();
    let memory = &I::process().memory;
    let (low, high) = memory.huge.bounds();
    let mut at = from.next_multiple_of(WORD);
    while at + WORD <= end {
        let place: *const usize = core::ptr::with_exposed_provenance(at);
        // SAFETY: the range is mapped and can be read, and every word is a number; others may be changing it.
        let word = unsafe { place.read_volatile() };
        at += WORD;
        if !memory.chunks.map.contains(word) && !(low..high).contains(&word) {
            continue;
        }
        let Some(address) = NonNull::new(core::ptr::with_exposed_provenance_mut(word)) else {
            continue;
        };
        if let Some((_, record)) = Slot::recorded(memory, address)
            && record.is_live()
            && record.next.get() == 0
            && (word.wrapping_sub(record.block().as_ptr().addr())) < record.size().max(1)
        {
            record.next.set(*waiting);
            *waiting = core::ptr::from_ref(record).expose_provenance();
        }
    }
}
