//! Threads, by the kernel's own files, and children: threads in a copy of our memory, with a copy of our descriptors, which is
//! all that the kernel knows of `fork`. There is no process manager: whoever faults dies alone.

use crate::{case, heap::Stack, kernel};
use core::{
    arch::{asm, naked_asm},
    iter,
    mem::{self, offset_of},
    sync::atomic::{
        AtomicBool, AtomicUsize,
        Ordering::{Acquire, Release},
    },
};
use ralloc_platform::{THREAD_WORDS, ThreadBlock};
use std::{boxed::Box, sync::Arc, vec::Vec};
use syscall::{ContextStatus, data::GlobalSchemes};

/// How a thread ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It returned.
    Done,
    /// It panicked.
    Panicked,
    /// By an exception, as a fault is.
    Faulted,
}

/// What a thread is given. Its thread pointer leads here, and so do the words of the allocator under test.
#[repr(C, align(64))]
pub struct Block {
    /// Where it is, for the thread to read.
    this: usize,
    words: [usize; THREAD_WORDS],
    /// Whether the thread runs in a copy of our memory. What it notes in its outcome nobody sees.
    is_child: bool,
    work: Option<Box<dyn FnOnce()>>,
    outcome: Arc<Outcome>,
}

#[derive(Default)]
struct Outcome {
    is_done: AtomicBool,
    has_panicked: AtomicBool,
    /// The descriptor by which it has ended itself.
    own: AtomicUsize,
}

impl Outcome {
    /// End the current thread, whose outcome this is.
    fn exit(&self) -> ! {
        let all = kernel::scheme(GlobalSchemes::Proc);
        let own = kernel::dup(all, "cur-context").unwrap_or(0);
        self.own.store(own, Release);
        kernel::exit_by(own)
    }
}

/// A thread that has been started.
pub struct Thread {
    status: usize,
    memory: Memory,
    outcome: Arc<Outcome>,
    block: *mut Block,
    stack: Stack,
}

/// Start a thread.
pub fn spawn(work: impl FnOnce() + Send + 'static) -> Thread {
    // SAFETY: what it borrows, if anything, is static.
    unsafe { spawn_borrowing(Box::new(work), Memory::Ours) }
}

/// What a thread sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Ours,
    /// A copy, which is the kernel's part of `fork`.
    Copy,
}

/// # Safety
///
/// The thread is waited for before anything that it borrows is gone.
unsafe fn spawn_borrowing<'a>(work: Box<dyn FnOnce() + Send + 'a>, memory: Memory) -> Thread {
    let work: Box<dyn FnOnce() + 'a> = work;
    // SAFETY: the borrowed things outlive the thread, by the caller's promise.
    let work = unsafe { core::mem::transmute::<Box<dyn FnOnce() + 'a>, Box<dyn FnOnce()>>(work) };
    let outcome = Arc::new(Outcome::default());
    let block = Box::into_raw(Box::new(Block {
        this: 0,
        words: match memory {
            Memory::Ours => [0; THREAD_WORDS],
            // The child is the thread that forks.
            // SAFETY: the block is this thread's.
            Memory::Copy => unsafe { (*self::block()).words },
        },
        is_child: memory == Memory::Copy,
        work: Some(work),
        outcome: Arc::clone(&outcome),
    }));
    let address = block.expose_provenance();
    // SAFETY: just made.
    unsafe { (*block).this = address };
    let stack = Stack::take();
    let status = start(entry as *const () as usize, stack.top(), address, memory)
        .unwrap_or_else(|error| panic!("no thread: {error}"));
    Thread {
        status,
        memory,
        outcome,
        block,
        stack,
    }
}

/// A context with our memory and our descriptors, or with copies of them. Returns the descriptor of its status.
fn start(
    instruction: usize,
    stack: usize,
    pointer: usize,
    memory: Memory,
) -> syscall::Result<usize> {
    let all = kernel::scheme(GlobalSchemes::Proc);
    let own = kernel::dup(all, "cur-context")?;
    let new = kernel::dup(all, "new-context")?;
    let tell = |name: &str, words: &[usize]| -> syscall::Result<()> {
        let file = kernel::dup(new, name)?;
        let length = size_of_val(words);
        // SAFETY: the words, as bytes.
        let bytes = unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), length) };
        let written = syscall::write(file, bytes);
        kernel::close(file);
        written.map(|_| ())
    };
    let status = kernel::dup(new, "status")?;
    let give = |what: &str, copy: &str, to: &str, rest: &[usize]| -> syscall::Result<()> {
        let mut given = kernel::dup(own, what)?;
        if memory == Memory::Copy {
            let copy = kernel::dup(given, copy)?;
            kernel::close(mem::replace(&mut given, copy));
        }
        let words: Vec<usize> = iter::once(given).chain(rest.iter().copied()).collect();
        let told = tell(to, &words);
        kernel::close(given);
        told
    };
    give("filetable", "copy", "current-filetable", &[])?;
    give(
        "addrspace",
        "exclusive",
        "current-addrspace",
        &[stack, instruction],
    )?;
    tell("regs/env", &[pointer, 0])?;
    let start = kernel::dup(new, "start")?;
    syscall::write(start, &[0])?;
    kernel::close(start);
    kernel::close(new);
    kernel::close(own);
    Ok(status)
}

/// Where a thread begins: with a stack, and nothing on it.
#[unsafe(naked)]
extern "C" fn entry() {
    naked_asm!("xor ebp, ebp", "call {run}", "ud2", run = sym run)
}

/// The block of the current thread.
fn block() -> *mut Block {
    let address: usize;
    // SAFETY: the first word of the block.
    unsafe { asm!("mov {}, fs:[0]", out(reg) address, options(pure, readonly, nostack)) };
    core::ptr::with_exposed_provenance_mut(address)
}

/// The words of the allocator under test: behind the thread pointer, as the libc's.
#[derive(Clone, Copy, Debug)]
pub struct Words;

// SAFETY: each thread has a block of its own, zero at first, and nobody else touches the words.
unsafe impl ThreadBlock for Words {
    #[inline(always)]
    unsafe fn get(index: usize) -> usize {
        let word;
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe {
            asm!(
                "mov {word}, qword ptr fs:[{index} * 8 + {offset}]",
                index = in(reg) index,
                word = lateout(reg) word,
                offset = const offset_of!(Block, words),
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        word
    }

    #[inline(always)]
    unsafe fn set(index: usize, word: usize) {
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe {
            asm!(
                "mov qword ptr fs:[{index} * 8 + {offset}], {word}",
                index = in(reg) index,
                word = in(reg) word,
                offset = const offset_of!(Block, words),
                options(nostack, preserves_flags),
            );
        }
    }
}

extern "C" fn run() -> ! {
    let block = block();
    // SAFETY: the block is this thread's.
    let (work, is_child) = unsafe { ((*block).work.take(), (*block).is_child) };
    if is_child {
        ralloc_platform::redox::fork_child();
    }
    if let Some(work) = work {
        work();
    }
    case::leave();
    // SAFETY: as above.
    let outcome = unsafe { &(*block).outcome };
    // Release: pairs with the Acquire in `end`.
    outcome.is_done.store(true, Release);
    outcome.exit()
}

/// The current thread has panicked: it ends here.
pub fn fail() -> ! {
    // SAFETY: the block is this thread's.
    let block = unsafe { &*block() };
    if block.is_child {
        kernel::fault();
    }
    block.outcome.has_panicked.store(true, Release);
    block.outcome.exit()
}

impl Thread {
    /// Wait until it has ended, and say how.
    pub fn end(self) -> End {
        let fate = loop {
            match self.fate() {
                Fate::Alive => kernel::sleep(1),
                fate => break fate,
            }
        };
        kernel::close(self.status);
        let own = self.outcome.own.load(Acquire);
        if own != 0 {
            kernel::close(own);
        }
        // SAFETY: the thread is gone.
        drop(unsafe { Box::from_raw(self.block) });
        drop(self.stack);
        if self.memory == Memory::Copy {
            return match fate {
                Fate::Exited => End::Done,
                _ => End::Faulted,
            };
        }
        // Acquire: pairs with the Release in `run`.
        match (
            self.outcome.is_done.load(Acquire),
            self.outcome.has_panicked.load(Acquire),
        ) {
            (true, false) => End::Done,
            (_, true) => End::Panicked,
            _ => End::Faulted,
        }
    }

    fn fate(&self) -> Fate {
        let mut word = [0; 8];
        let status = match syscall::read(self.status, &mut word) {
            Ok(8..) => usize::from_le_bytes(word),
            // Who is gone has no status.
            _ => return Fate::Exited,
        };
        if status == ContextStatus::Dead as usize {
            Fate::Exited
        } else if status == ContextStatus::ForceKilled as usize
            || status == ContextStatus::UnhandledExcp as usize
        {
            Fate::Faulted
        } else {
            Fate::Alive
        }
    }
}

/// What the kernel says of a thread.
enum Fate {
    Alive,
    Exited,
    Faulted,
}

/// Run all these at the same time, in threads, and wait for them.
///
/// # Panics
///
/// If one does.
pub fn together<'a>(works: impl IntoIterator<Item = Box<dyn FnOnce() + Send + 'a>>) {
    let threads: Vec<_> = works
        .into_iter()
        // SAFETY: waited for below.
        .map(|work| unsafe { spawn_borrowing(work, Memory::Ours) })
        .collect();
    let ends: Vec<_> = threads.into_iter().map(Thread::end).collect();
    for end in ends {
        assert!(end == End::Done, "a thread ended as {end:?}");
    }
}

/// Run this in a thread, and wait for it.
pub fn apart<'a>(work: impl FnOnce() + Send + 'a) -> End {
    // SAFETY: waited for at once.
    unsafe { spawn_borrowing(Box::new(work), Memory::Ours) }.end()
}

/// Fork: run this in a child, and wait for it. The child has this thread's heap, and of all others nothing. A panic in it is a
/// fault.
pub fn in_child<'a>(work: impl FnOnce() + Send + 'a) -> End {
    ralloc_platform::redox::fork_prepare();
    // SAFETY: waited for at once.
    let child = unsafe { spawn_borrowing(Box::new(work), Memory::Copy) };
    ralloc_platform::redox::fork_parent();
    child.end()
}
