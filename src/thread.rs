//! The life of a thread, as the allocator sees it, and the words it keeps in the thread's block.
//!
//! All words zero *is* the state of a thread that has not used the allocator: its free-list heads are empty and
//! its heap address matches no owner word, so its first operation falls into a slow path without a check of its own.

use ralloc_platform::{Hooks, Platform, ThreadBlock, prefetch};

use crate::{
    block::Block,
    chunk::Owner,
    config::{HEADS, Tuning},
    free_list::{self, Link},
    heap::{Heap, page_of},
    primitive::Ordering,
    process::{Busy, HEAP, Instance},
    quarantine,
    remote::Batch,
    size_class::SizeClass,
    stock::Stock,
};

/// In the security build, which has no use for the free-list heads: where the stock of the thread's heap is.
const STOCK: usize = 0;

/// Where the state of the thread is.
const LIFE: usize = HEADS + 1;

/// Where a thread without a heap counts what it has freed.
const FREES: usize = HEADS + 2;

/// Not 0 while the thread finds out who has called: the C library may allocate when it is asked.
const ASKING: usize = HEADS + 5;

/// Remote frees after which a thread is worth a heap, to collect them in. Threads that free a block or two, or only on
/// their way out when no hook will run any more, are not.
const FREES_WITHOUT_HEAP: usize = 8;

/// What the allocator knows of the current thread. Stored as a word; zero is the first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// No exit hook: the thread has not used the allocator, or did so before the hooks could be installed (the loader
    /// runs some constructors earlier than ours).
    Unarmed = 0,
    /// The exit hook will run. Between the hooks, the only state the hit path sees.
    Armed = 1,
    /// The exit hook has run; other hooks and the C library still free and may allocate. Every free is remote, every allocation
    /// borrows a heap that has no thread.
    Gone = 2,
}

/// The free-list head of `class`.
///
/// Pre: a small class.
#[inline(always)]
pub(crate) fn head<I: Instance>(class: SizeClass) -> Link {
    debug_assert!(class.is_small());
    // SAFETY: the block has more words than there are small classes.
    unsafe { I::Thread::get(class.index()) }
}

/// Set the free-list head of `class`.
///
/// Pre: a small class.
#[inline(always)]
pub(crate) fn set_head<I: Instance>(class: SizeClass, link: Link) {
    debug_assert!(class.is_small());
    // SAFETY: as in `head`.
    unsafe { I::Thread::set(class.index(), link) }
}

/// The first block of a thread's free-list head.
///
/// Pre: a small class.
#[inline(always)]
pub(crate) fn take_head<I: Instance>(class: SizeClass) -> Option<Block> {
    // SAFETY: a head begins a list of this thread's blocks.
    let block = unsafe { Block::from_link(head::<I>(class)) }?;
    let next = block.next();
    // The next block opens with the link that the next request reads: one instruction, for 8 % less time of random replacement (pareto)
    // and 3 % of a server.
    prefetch(next);
    set_head::<I>(class, next);
    Some(block)
}

/// The address of the thread's heap, 0 if it has none.
#[inline(always)]
pub(crate) fn heap_address<I: Instance>() -> usize {
    I::Thread::get_fixed::<HEAP>()
}

/// The thread's heap, if it has one.
#[inline(always)]
pub(crate) fn heap<I: Instance>() -> Option<&'static Heap> {
    match heap_address::<I>() {
        0 => None,
        // SAFETY: the word is the address of a heap record.
        address => Some(unsafe { Heap::at(address) }),
    }
}

fn life<I: Instance>() -> Life {
    match I::Thread::get_fixed::<LIFE>() {
        0 => Life::Unarmed,
        1 => Life::Armed,
        _ => Life::Gone,
    }
}

fn set_life<I: Instance>(life: Life) {
    I::Thread::set_fixed::<LIFE>(life as usize);
}

fn set_heap<I: Instance>(address: usize) {
    if I::Tuning::SECURITY {
        // SAFETY: not 0, so the address of a heap record.
        let heap = (address != 0).then(|| unsafe { Heap::at(address) });
        I::Thread::set_fixed::<STOCK>(heap.map_or(0, Stock::address));
        let memory = &I::process().memory;
        stock::<I>().inspect(|stock| stock.prepare(memory.key(), || memory.kernel.entropy()));
    }
    I::Thread::set_fixed::<HEAP>(address);
}

/// What the thread has in stock; `None` if it has no heap, and in all builds but the security build.
#[inline(always)]
pub(crate) fn stock<I: Instance>() -> Option<&'static Stock> {
    if !I::Tuning::SECURITY {
        return None;
    }
    // SAFETY: the word is 0 or the address of the stock of the thread's heap.
    unsafe { Stock::at(I::Thread::get_fixed::<STOCK>()) }
}

/// As [`heap_or_enter`], for a thread that is about to free a block of another heap.
pub(crate) fn heap_to_collect_in<I: Instance>() -> Option<&'static Heap> {
    if heap::<I>().is_none() {
        let frees = I::Thread::get_fixed::<FREES>();
        if frees < FREES_WITHOUT_HEAP {
            I::Thread::set_fixed::<FREES>(frees + 1);
            return None;
        }
    }
    heap_or_enter::<I>()
}

/// The thread's heap; a thread that has none gets one, unless it is gone or there is no memory for it.
#[inline(always)]
pub(crate) fn heap_or_enter<I: Instance>() -> Option<&'static Heap> {
    heap::<I>().or_else(enter::<I>)
}

#[cold]
#[inline(never)]
fn enter<I: Instance>() -> Option<&'static Heap> {
    if life::<I>() == Life::Gone || !I::process().memory.hooks.watchers().is_none() {
        return None;
    }
    let heap = I::process().enter()?;
    // First the heap, then the hook: arming may allocate.
    set_heap::<I>(heap.address());
    arm::<I>();
    Some(heap)
}

/// Have `ask` find out who has called, unless the thread is at it already.
pub(crate) fn ask_once<I: Instance>(ask: impl FnOnce()) {
    if I::Thread::get_fixed::<ASKING>() == 0 {
        I::Thread::set_fixed::<ASKING>(1);
        ask();
        I::Thread::set_fixed::<ASKING>(0);
    }
}

/// Have the exit hook run for this thread, if that is possible by now.
pub(crate) fn arm<I: Instance>() {
    let process = I::process();
    let installed = process.hooks_installed.load(Ordering::Relaxed) != 0;
    if installed && life::<I>() == Life::Unarmed {
        set_life::<I>(Life::Armed);
        if !process.memory.kernel.arm_thread_exit() {
            set_life::<I>(Life::Unarmed);
        }
    }
}

/// Whom to call when threads exit and around `fork`: for a C library that makes the calls itself, and needs no [`install`].
pub fn hooks<I: Instance>() -> Hooks {
    Hooks {
        thread_exit: thread_exit::<I>,
        fork_prepare: fork_prepare::<I>,
        fork_parent,
        fork_child: fork_child::<I>,
    }
}

/// Whether the words of the current thread are this allocator's. False if another one has written to them: a second copy of a
/// C library that has the words in the same place.
pub fn has_own_words<I: Instance>() -> bool {
    let heap = heap_address::<I>();
    heap == 0 || I::process().memory.chunks.map.contains(heap)
}

/// Tell the platform whom to call when threads exit and around `fork`. To be called once, as early as the C library is
/// ready for it; until then, and if it is never called, threads that exit keep their heaps.
pub fn install<I: Instance>() {
    let process = I::process();
    if process.hooks_installed.swap(1, Ordering::Relaxed) == 0 {
        process.memory.kernel.install(hooks::<I>());
    }
    if heap::<I>().is_some() {
        arm::<I>();
    }
}

/// In hooked mode a thread has no heap, so that all it does passes the hooks: if it had one before, it gives it up.
pub(crate) fn leave_for_hooks<I: Instance>() {
    // Not in a signal handler that interrupted a slow path: that goes on, and what it serves is not seen.
    if let Some(heap) = heap::<I>().filter(|heap| heap.busy.get() == 0) {
        let life = life::<I>();
        leave::<I>(heap);
        set_life::<I>(life);
    }
}

/// The exit hook. The heap goes in the first round: a thread cannot tell how many rounds are left, and a heap that no
/// round takes away would be lost with everything in it. What the thread does later works without one.
fn thread_exit<I: Instance>(_round: usize) {
    match heap::<I>() {
        Some(heap) => leave::<I>(heap),
        None => set_life::<I>(Life::Gone),
    }
}

/// Take the blocks in the thread's heads home and give the heap up.
fn leave<I: Instance>(heap: &'static Heap) {
    let process = I::process();
    let busy = Busy::new(heap);
    if cfg!(debug_assertions) {
        check_heads::<I>();
    }
    empty_heads::<I>(heap);
    // Before the heap is given up: whoever takes it over counts in the same cell.
    drop(busy);
    // From here on the thread has no heap: a signal handler that allocates borrows one.
    set_life::<I>(Life::Gone);
    set_heap::<I>(0);
    process.exit(heap);
}

/// Take home what the thread holds in reserve, what it has collected for others, and what has arrived for it and for
/// threads that are gone: then blocks count as used exactly while somebody has them.
pub(crate) fn settle<I: Instance>() {
    with_heads_empty::<I>(|heap| I::process().settle(heap));
}

/// Give back what can be given back, of this thread, of threads that are gone, and of what all share: a block in a head keeps its page,
/// and the page a chunk.
pub(crate) fn reclaim<I: Instance>() {
    with_heads_empty::<I>(|heap| I::process().reclaim(heap));
}

fn with_heads_empty<I: Instance>(then: impl FnOnce(Option<&Heap>)) {
    let heap = heap::<I>();
    let _busy = heap.map(Busy::new);
    if let Some(heap) = heap {
        empty_heads::<I>(heap);
    }
    then(heap);
}

/// Take the blocks in the thread's heads home.
fn empty_heads<I: Instance>(heap: &'static Heap) {
    if let Some(stock) = stock::<I>() {
        return quarantine::empty::<I>(heap, stock);
    }
    for class in SizeClass::small() {
        let link = head::<I>(class);
        set_head::<I>(class, 0);
        // SAFETY: the head's list belongs to this thread.
        for block in unsafe { free_list::drain(link) } {
            take_home::<I>(heap, block);
        }
    }
}

/// Check that every block in this thread's heads is of the class that the head serves, or was lent to it. Returns how many there are.
pub(crate) fn check_heads<I: Instance>() -> usize {
    if I::Tuning::SECURITY {
        stock::<I>().inspect(|stock| quarantine::check::<I>(stock));
        return 0;
    }
    SizeClass::small()
        .map(|class| {
            // SAFETY: the head's list belongs to this thread.
            let blocks = unsafe { free_list::drain(head::<I>(class)) };
            let lends = |other| I::Tuning::LENDS && class.lenders().any(|lender| lender == other);
            blocks
                .inspect(|block| {
                    let (page, owner) = page_of(block.start());
                    assert!(
                        !owner.has(Owner::RUN | Owner::UNOWNED)
                            && (page.class() == class || lends(page.class())),
                        "a head has blocks of its class, or of one that lends to it"
                    );
                })
                .count()
        })
        .sum()
}

fn take_home<I: Instance>(heap: &Heap, block: Block) {
    let (page, owner) = page_of(block.start());
    if owner.heap_address() == heap.address() {
        // SAFETY: the block was on one of the thread's heads, the page is the heap's.
        unsafe { heap.free_local(page, block, &I::process().memory) };
    } else {
        I::process().send(Batch::single(block));
    }
}

fn fork_prepare<I: Instance>() {
    I::process().before_fork(heap::<I>());
}

fn fork_parent() {}

fn fork_child<I: Instance>() {
    I::process().after_fork_in_child(heap_address::<I>());
}
