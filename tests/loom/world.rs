//! What a model runs in: a kernel in ordinary memory, threads with words of their own, and the loop that has loom try
//! every order.
//!
//! Memory is handed out at the same addresses in every execution, and no address twice in one: a shadow is found by its
//! address, and a use after `unmap` is noticed.

use crate::{
    config::{CHUNK, Tuning},
    primitive::{self, shadow},
    process::{Instance, Process},
};
use loom::thread::JoinHandle;
use ralloc_platform::{Hooks, Platform, System, THREAD_WORDS, ThreadBlock};
use std::{
    any::Any,
    cell::RefCell,
    marker::PhantomData,
    ops::Range,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    ptr::NonNull,
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread::panicking,
    time::Instant,
};

/// Addresses of a model. Memory that is not touched costs nothing.
const SPACE: usize = 128 * CHUNK;
/// The first of them are for what is there from the beginning.
const STATICS: usize = CHUNK;
/// The next are for mappings that are aligned to less than a chunk.
const TABLES: usize = 2 * CHUNK;
/// The last of the statics stands for the lock of the kernel.
const KERNEL_LOCK: usize = 64;
/// Words on the stack of a thread.
const STACK: usize = 1 << 14;
/// Operations of one execution, at most.
const BRANCHES: usize = 20_000;
/// Names a bound in place of the models' own.
const BOUND: &str = "RALLOC_LOOM_BOUND";

/// The addresses of the model that runs in this operating-system thread.
#[derive(Clone)]
struct Space {
    base: usize,
    next_table: usize,
    next: usize,
    /// The mapping that is less than a chunk, and how often its end was mistaken.
    part: Range<usize>,
    misled: usize,
    /// Threads that were started.
    threads: usize,
    /// Whether addresses that become free are given to the next who asks for so many.
    reuses: bool,
    /// Such addresses.
    vacated: Option<(usize, usize)>,
    hooks: Option<Hooks>,
    process: *const (),
}

thread_local! {
    static SPACE_NOW: RefCell<Option<Space>> = const { RefCell::new(None) };
    static LAST_WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
}

loom::thread_local! {
    static WORDS: RefCell<[usize; THREAD_WORDS]> = RefCell::new([0; THREAD_WORDS]);
}

fn with_space<R>(operation: impl FnOnce(&mut Space) -> R) -> R {
    SPACE_NOW.with_borrow_mut(|space| operation(space.as_mut().expect("a model is running")))
}

/// The kernel of a model. It never refuses.
pub(super) struct Kernel;

// SAFETY: the memory is part of one mapping of the real kernel, handed out once in an execution, and zeroed before.
unsafe impl Platform for Kernel {
    fn page_size(&self) -> usize {
        4096
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        meet_in_the_kernel();
        let vacated = with_space(|space| space.vacated.take_if(|&mut (_, room)| room == size));
        let base = match vacated {
            Some((base, _)) => {
                shadow::fill_hole(base);
                base
            }
            None => with_space(|space| space.fresh(size, align)),
        };
        NonNull::new(std::ptr::with_exposed_provenance_mut(base))
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        with_space(|space| space.extend(end.addr().get(), additional))
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        vacate(base, size);
        true
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the caller says that nobody needs what is there.
        unsafe { shadow::zero(range(base, size), true) };
        true
    }

    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        let new = self.map(new_size, align)?;
        // SAFETY: a block has a word, which is all that models write.
        let word = unsafe { primitive::read(old.as_ptr().cast()) };
        // SAFETY: as above.
        unsafe { primitive::write(new.as_ptr().cast(), word) };
        vacate(old, old_size);
        Some(new)
    }

    unsafe fn program_break(&self, _to: Option<usize>) -> usize {
        0
    }

    fn arm_thread_exit(&self) -> bool {
        true
    }

    fn install(&self, hooks: Hooks) {
        with_space(|space| space.hooks = Some(hooks));
    }

    fn entropy(&self) -> usize {
        0
    }

    fn write_stderr(&self, text: &[u8]) {
        eprintln!("{}", String::from_utf8_lossy(text));
    }

    fn yield_now(&self) {
        loom::thread::yield_now();
    }

    fn abort(&self) -> ! {
        panic!("the allocator gave up");
    }
}

impl Space {
    /// Addresses that nobody has had in this execution.
    fn fresh(&mut self, size: usize, align: usize) -> usize {
        let next = match align < CHUNK {
            true => &mut self.next_table,
            false => &mut self.next,
        };
        let base = next.next_multiple_of(align);
        *next = base + size;
        if align >= CHUNK && !size.is_multiple_of(CHUNK) {
            self.next = base + size.next_multiple_of(CHUNK);
            self.part = base..base + size;
        }
        assert!(self.next <= self.base + SPACE, "a model wants too much");
        base
    }

    fn extend(&mut self, end: usize, additional: usize) -> bool {
        let fits = self.part.end == end || self.next == end;
        if self.part.end == end {
            self.part.end += additional;
        } else if self.next == end {
            self.next += additional;
        } else if self.part.contains(&(end - 1)) {
            self.misled += 1;
        }
        fits
    }
}

/// How often the kernel was told an end of a mapping that was not one any more.
pub(super) fn misled() -> usize {
    with_space(|space| space.misled)
}

/// From now on the kernel gives addresses out again.
pub(super) fn reuse_addresses() {
    with_space(|space| space.reuses = true);
}

/// A range is a hole.
fn vacate(base: NonNull<u8>, size: usize) {
    shadow::make_hole(range(base, size));
    meet_in_the_kernel();
    with_space(|space| {
        if space.reuses {
            space.vacated = Some((base.addr().get(), size));
        }
    });
}

/// Whoever is given an address comes after whoever gave it back: the kernel has a lock.
fn meet_in_the_kernel() {
    if !with_space(|space| space.reuses) {
        return;
    }
    let lock: *const primitive::AtomicUsize =
        std::ptr::with_exposed_provenance(with_space(|space| space.base + STATICS - KERNEL_LOCK));
    // SAFETY: the memory is mapped, reads zero, and serves nothing else.
    unsafe { &*lock }.fetch_add(1, primitive::Ordering::AcqRel);
}

fn range(base: NonNull<u8>, size: usize) -> Range<usize> {
    base.addr().get()..base.addr().get() + size
}

/// The words of a thread of the model.
pub(super) struct Words;

// SAFETY: loom keeps a copy for each of its threads.
unsafe impl ThreadBlock for Words {
    unsafe fn get(index: usize) -> usize {
        if panicking() {
            return 0;
        }
        WORDS.with(|words| words.borrow()[index])
    }

    unsafe fn set(index: usize, word: usize) {
        if !panicking() {
            WORDS.with(|words| words.borrow_mut()[index] = word);
        }
    }
}

/// An allocator in a model, with policy `T`.
pub(super) struct Case<T>(PhantomData<T>);

// SAFETY: a model has one process, from its beginning to its end.
unsafe impl<T: Tuning> Instance for Case<T> {
    type Platform = Kernel;
    type Thread = Words;
    type Tuning = T;

    fn process() -> &'static Process<Self> {
        let process: *const Process<Self> = with_space(|space| space.process).cast();
        // SAFETY: set by `run`, for the same policy.
        unsafe { &*process }
    }
}

/// What a thread of the model starts with: blocks, above all.
struct Carried<F>(F);

// SAFETY: all threads of a model run in one thread of the operating system, and loom orders them.
unsafe impl<F> Send for Carried<F> {}

/// A thread that has been started.
pub(super) struct Started(JoinHandle<()>);

impl Started {
    /// Waits for the end of the thread.
    pub(super) fn join(self) {
        self.0.join().expect("a thread fares well");
        shadow::count_others(-1);
    }
}

/// A thread of the model.
pub(super) fn spawn(body: impl FnOnce() + 'static) -> Started {
    let number = with_space(|space| {
        space.threads += 1;
        space.threads
    });
    let carried = Carried(body);
    let body = move || {
        let Carried(body) = { carried };
        shadow::set_me(number);
        if let Err(why) = panic::catch_unwind(AssertUnwindSafe(body))
            && !why.is::<shadow::Gone>()
        {
            panic::resume_unwind(why);
        }
    };
    shadow::count_others(1);
    let thread = loom::thread::Builder::new().stack_size(STACK).spawn(body);
    Started(thread.expect("loom has room for a thread"))
}

/// As [`spawn`], for a thread whose exit hook runs.
pub(super) fn spawn_hooked(body: impl FnOnce() + 'static) -> Started {
    spawn(move || {
        body();
        exit();
    })
}

/// The first thread forks, and goes on as the child.
pub(super) fn fork(others: impl IntoIterator<Item = Started>) {
    let hooks = hooks();
    (hooks.fork_prepare)();
    shadow::fork(|| others.into_iter().for_each(Started::join));
    (hooks.fork_child)();
}

/// What the C library does when the calling thread ends.
pub(super) fn exit() {
    let hooks = hooks();
    (hooks.thread_exit)(0);
}

/// What the allocator has told the kernel.
pub(super) fn hooks() -> Hooks {
    with_space(|space| space.hooks).expect("the allocator has installed its hooks")
}

/// What an execution ends with that needed more marks than it had.
struct StartOver;

/// One protocol, and how far it is explored.
pub(super) struct Model {
    /// As it is called in `tests/README.md`.
    pub(super) name: &'static str,
    /// Preemptions in one execution, at most.
    pub(super) bound: usize,
}

impl Model {
    /// Has loom run `body` in every order, each time on a fresh copy of what `make` made.
    pub(super) fn run<S: Sync + 'static>(
        &self,
        make: impl FnOnce() -> S,
        body: impl Fn(&'static S) + Send + Sync + 'static,
    ) {
        keep_last_words();
        let bound = match std::env::var(BOUND) {
            Ok(text) => text.parse().expect("a number of preemptions"),
            Err(_) => self.bound,
        };
        let template: &'static S = Box::leak(Box::new(make()));
        let base = System.map(SPACE, CHUNK).expect("memory for a model");
        shadow::watch(range(base, SPACE));
        let body = Arc::new(body);
        let start = Instant::now();
        let executions = loop {
            let executions = Arc::new(AtomicUsize::new(0));
            let (count, body) = (Arc::clone(&executions), Arc::clone(&body));
            let base = base.addr().get();
            let execution = move || {
                count.fetch_add(1, Ordering::Relaxed);
                body(begin(base, template));
                if shadow::learnt() {
                    panic::panic_any(StartOver);
                }
            };
            let mut builder = loom::model::Builder::new();
            builder.preemption_bound = Some(bound);
            builder.max_branches = BRANCHES;
            shadow::grew();
            match panic::catch_unwind(AssertUnwindSafe(|| builder.check(execution))) {
                Ok(()) => break executions.load(Ordering::Relaxed),
                // The failure may be that of a shadow which was made too late; if not, it comes again.
                Err(why) if why.is::<StartOver>() || shadow::grew() => {}
                Err(why) => self.fail(executions.load(Ordering::Relaxed), why),
            }
        };
        SPACE_NOW.set(None);
        shadow::watch(0..0);
        // SAFETY: mapped above, and the model is over.
        unsafe { System.unmap(base, SPACE) };
        let seconds = start.elapsed().as_secs_f64();
        let name = self.name;
        println!("model {name} | {bound} | {executions} | {seconds:.1}");
    }

    /// As [`run`](Self::run), on an allocator whose hooks are installed.
    pub(super) fn run_process<T: Tuning>(
        &self,
        body: impl Fn(&'static Process<Case<T>>) + Send + Sync + 'static,
    ) {
        let make = || Process::<Case<T>>::new(Kernel);
        self.run(make, move |process| {
            with_space(|space| space.process = std::ptr::from_ref(process).cast());
            crate::install::<Case<T>>();
            body(process);
        });
    }

    fn fail(&self, executions: usize, why: Box<dyn Any + Send>) -> ! {
        let words = LAST_WORDS.take().unwrap_or_default();
        println!("{}, execution {executions}: {words}", self.name);
        panic::resume_unwind(why)
    }
}

/// Start an execution: all memory is as it was, and what is known is shadowed.
fn begin<S>(base: usize, template: &S) -> &'static S {
    SPACE_NOW.set(Some(Space {
        base,
        next_table: base + STATICS,
        next: base + TABLES,
        part: 0..0,
        misled: 0,
        threads: 0,
        reuses: false,
        vacated: None,
        hooks: None,
        process: std::ptr::null(),
    }));
    shadow::forget();
    // SAFETY: the last execution is over; zero is what fresh memory reads.
    unsafe { shadow::zero(base + STATICS..base + SPACE, false) };
    let place: *mut S = std::ptr::with_exposed_provenance_mut(base);
    // SAFETY: the memory is mapped, aligned and large enough; the template is never dropped.
    unsafe { place.copy_from_nonoverlapping(template, 1) };
    shadow::renew(base..base + SPACE);
    // SAFETY: just initialised, and in place until the next execution.
    unsafe { &*place }
}

/// Of a failure that is a reason to start over nobody wants to hear; of the last one everybody.
fn keep_last_words() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if SPACE_NOW.with_borrow(Option::is_some) {
                LAST_WORDS.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}
