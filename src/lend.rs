//! Refills of a thread's free-list heads, and lending: the first few blocks of a class are of a larger one.
//!
//! A page is of one class, and the first block in it makes an OS page resident: a process that used twenty classes for twenty blocks
//! (`hello`) had 76 KiB resident for them. So a heap has pages of a class from the moment on that it has asked for a few blocks of it;
//! before, they are of a class that serves several ([`SizeClass::lender`]). A block knows its size by its page, so nothing else is
//! different about it. `hello` has 160 KiB instead of 220, a server 0.9 of the memory, 1,000 idle threads 0.98; with half or twice the
//! [`LENT_BYTES`](Tuning::LENT_BYTES) it is the same within some per cent.

use crate::{
    block::Block,
    config::Tuning,
    heap::{Heap, Refill},
    portion::Portion,
    process::{Busy, Instance},
    size_class::SizeClass,
    thread,
};

/// Blocks from the thread's heap, and housekeeping when it is due.
pub(crate) fn refill<I: Instance>(
    heap: &Heap,
    class: SizeClass,
    portion: Portion,
) -> Option<Refill> {
    let _busy = Busy::new(heap);
    let process = I::process();
    if heap.tick::<I::Tuning>() {
        process.keep_house(heap, class);
        thread::arm::<I>();
    }
    let newcomer = heap.is_newcomer::<I::Tuning>();
    let shared = newcomer.then(|| process.share(class, portion)).flatten();
    shared.or_else(|| process.refill(heap, class, portion))
}

/// A block for the thread's free-list head of `class`, which is empty; the head gets what else there is.
pub(crate) fn refill_head<I: Instance>(heap: &Heap, class: SizeClass) -> Option<Block> {
    // Else random replacement takes 1.05 to 1.1 times as long, a server 1.05 times.
    if let Some(first) = heap.take_listed::<I::Tuning>(class) {
        thread::set_head::<I>(class, first.next());
        return Some(first);
    }
    let lender = class.lender();
    if lender != class
        && heap.any_with_room(class).is_none()
        && heap.lent.note(class, I::Tuning::LENT_BYTES)
    {
        return thread::take_head::<I>(lender).or_else(|| fill_head::<I>(heap, lender));
    }
    fill_head::<I>(heap, class)
}

fn fill_head<I: Instance>(heap: &Heap, class: SizeClass) -> Option<Block> {
    let refill = refill::<I>(heap, class, Portion::of_head::<I::Tuning>(class))?;
    thread::set_head::<I>(class, refill.first.next());
    Some(refill.first)
}
