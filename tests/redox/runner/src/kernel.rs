//! The kernel that the program sees: its contexts, what they wait for, and the loop that serves them.
//!
//! A context is a thread of a [`Process`]. It runs by itself until it makes a system call or faults; then Linux stops
//! it and tells the runner, which answers one context at a time. So a call has no other call in its middle, as on the
//! real kernel, whose lock of the address space is taken for each.

use crate::{
    abi::{self, Answer, Errno, Status},
    console::Console,
    counters::{Count, Counters},
    files::Table,
    image::{BASE, Image},
    process::{self, Process, Start},
    space::{Access, PAGE, Place, Space, Span},
};
use anyhow::{Context as _, Result, bail};
use nix::{
    libc::user_regs_struct as Registers,
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

/// How often contexts that run are looked at while another waits for a time.
const TICK: Duration = Duration::from_micros(200);

/// An address space: the model, and the process that looks like it. It ends with its last owner.
#[derive(Debug)]
pub(crate) struct AddressSpace {
    pub(crate) model: Space,
    pub(crate) process: Process,
}

pub(crate) type SharedSpace = Rc<RefCell<AddressSpace>>;
pub(crate) type SharedTable = Rc<RefCell<Table>>;

/// A thread of the program.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) status: Status,
    /// Vector, code and address of the fault that ended it.
    pub(crate) exception: [u64; 3],
    pub(crate) space: Option<SharedSpace>,
    pub(crate) files: SharedTable,
    /// How it begins.
    pub(crate) start: Start,
    pub(crate) thread: Option<Pid>,
    pub(crate) waits: Option<Wait>,
}

/// What a blocked context waits for.
#[derive(Debug)]
pub(crate) struct Wait {
    /// The word of a futex, by the place of its address space and by its address.
    pub(crate) word: Option<(usize, usize)>,
    pub(crate) until: Option<Instant>,
    /// What it gets when the time has come.
    pub(crate) late: Answer,
}

/// What becomes of a context after a call.
pub(crate) enum After {
    Answer(Answer),
    Wait(Wait),
    Gone,
}

/// How the run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All contexts have.
    All,
    /// All that are left wait for one another.
    Stuck(usize),
}

/// The whole machine.
pub(crate) struct Kernel {
    pub(crate) contexts: BTreeMap<usize, Context>,
    threads: HashMap<Pid, usize>,
    pub(crate) counters: Counters,
    pub(crate) console: Console,
    pub(crate) begun: Instant,
    next: usize,
}

/// The context that the program begins in.
pub(crate) const FIRST: usize = 1;

impl Kernel {
    /// A machine that is about to start this image.
    pub(crate) fn boot(image: &Image) -> Result<Self> {
        let process = Process::empty()?;
        let mut model = Space::new();
        let whole = Access {
            write: true,
            execute: true,
        };
        let size = image.bytes.len();
        model
            .map(size, Place::Free(BASE), whole, false)
            .ok()
            .context("the program is too large")?;
        load(&process, image, whole)?;
        let block = Span::new(abi::METADATA, abi::METADATA_SIZE);
        let closed = Access {
            write: false,
            execute: false,
        };
        model
            .map(block.size, Place::Free(block.start), closed, false)
            .ok()
            .context("the program is too large")?;
        let open = Access {
            write: true,
            execute: false,
        };
        let page = Span::new(block.start, PAGE);
        process.map(page, open, false)?;
        process
            .write(page.start, &descriptors())
            .context("the block of descriptors")?;
        process.protect(page, closed)?;
        process.map(Span::new(page.end(), PAGE), closed, false)?;

        let mut kernel = Self {
            contexts: BTreeMap::new(),
            threads: HashMap::new(),
            counters: Counters::default(),
            console: Console::new(std::io::stdout()),
            begun: Instant::now(),
            next: FIRST,
        };
        let files = Rc::new(RefCell::new(Table::of_bootstrap()));
        let first = kernel.add_context(files);
        let context = kernel.context(first);
        context.space = Some(Rc::new(RefCell::new(AddressSpace { model, process })));
        context.start.instruction = image.entry();
        kernel.start(first)?;
        Ok(kernel)
    }

    pub(crate) fn context(&mut self, id: usize) -> &mut Context {
        self.contexts
            .get_mut(&id)
            .expect("contexts are never removed")
    }

    /// The address space of a context that runs.
    pub(crate) fn space(&self, id: usize) -> SharedSpace {
        let space = self
            .contexts
            .get(&id)
            .and_then(|context| context.space.clone());
        space.expect("a context that runs has memory")
    }

    pub(crate) fn add_context(&mut self, files: SharedTable) -> usize {
        let id = self.next;
        self.next += 1;
        let context = Context {
            status: Status::NotYetStarted,
            exception: [0; 3],
            space: None,
            files,
            start: Start::default(),
            thread: None,
            waits: None,
        };
        self.contexts.insert(id, context);
        id
    }

    /// Lets a context run that never has.
    pub(crate) fn start(&mut self, id: usize) -> Result<()> {
        let context = self.context(id);
        let space = context
            .space
            .clone()
            .context("a context without memory was started")?;
        let thread = space.borrow().process.spawn(&context.start)?;
        context.thread = Some(thread);
        context.status = Status::Runnable;
        self.threads.insert(thread, id);
        self.counters.add(Count::Contexts, 1);
        resume(thread)
    }

    /// Serves the contexts until none can run.
    pub(crate) fn run(&mut self) -> Result<End> {
        loop {
            let deadline = self.wake_the_late()?;
            let count = |status| {
                self.contexts
                    .values()
                    .filter(|context| context.status == status)
                    .count()
            };
            match (count(Status::Runnable), deadline) {
                (0, Some(deadline)) => {
                    thread::sleep(deadline.saturating_duration_since(Instant::now()));
                    continue;
                }
                (0, None) => {
                    let left = count(Status::Blocked);
                    return Ok(if left == 0 {
                        End::All
                    } else {
                        End::Stuck(left)
                    });
                }
                _ => {}
            }
            let flags = match deadline {
                Some(_) => WaitPidFlag::__WALL | WaitPidFlag::WNOHANG,
                None => WaitPidFlag::__WALL,
            };
            match waitpid(None, Some(flags))? {
                WaitStatus::StillAlive => thread::sleep(TICK),
                status => self.happened(status)?,
            }
        }
    }

    /// Wakes those whose time has come; returns when the next one's does.
    fn wake_the_late(&mut self) -> Result<Option<Instant>> {
        let now = Instant::now();
        let mut late = Vec::new();
        let mut next: Option<Instant> = None;
        for (&id, context) in &self.contexts {
            match context.waits.as_ref().and_then(|wait| wait.until) {
                Some(until) if until <= now => late.push(id),
                Some(until) => next = Some(next.map_or(until, |next| next.min(until))),
                None => {}
            }
        }
        for id in late {
            let late = self
                .context(id)
                .waits
                .as_ref()
                .map_or(Ok(0), |wait| wait.late);
            self.wake(id, late)?;
        }
        Ok(next)
    }

    /// Ends the wait of a context.
    pub(crate) fn wake(&mut self, id: usize, answer: Answer) -> Result<()> {
        let context = self.context(id);
        context.waits = None;
        context.status = Status::Runnable;
        let thread = context.thread.context("a context that waits has run")?;
        answer_with(thread, answer)
    }

    fn happened(&mut self, status: WaitStatus) -> Result<()> {
        let Some(thread) = status.pid() else {
            return Ok(());
        };
        let known = self.threads.get(&thread).copied();
        let Some(id) = known.filter(|&id| self.context(id).status == Status::Runnable) else {
            return Ok(());
        };
        match status {
            WaitStatus::PtraceSyscall(_) => self.called(id, thread),
            WaitStatus::Stopped(_, Signal::SIGSTOP | Signal::SIGCHLD | Signal::SIGCONT) => {
                resume(thread)
            }
            WaitStatus::Stopped(_, signal) => self.faulted(id, thread, signal),
            other => bail!("context {id} was ended from outside: {other:?}"),
        }
    }

    fn called(&mut self, id: usize, thread: Pid) -> Result<()> {
        let registers = ptrace::getregs(thread)?;
        match self.dispatch(id, &registers)? {
            After::Answer(answer) => answer_with(thread, answer),
            After::Wait(wait) => {
                let context = self.context(id);
                context.waits = Some(wait);
                context.status = Status::Blocked;
                Ok(())
            }
            After::Gone => Ok(()),
        }
    }

    fn dispatch(&mut self, id: usize, registers: &Registers) -> Result<After> {
        let number = registers.orig_rax as usize;
        let [b, c, d, e, f, g] = [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ]
        .map(|word| word as usize);
        self.counters.add(kind(number, c), 1);
        let answer = match number {
            abi::FMAP => self.fmap(id, b, c, d)?,
            abi::FUNMAP => self.funmap(id, b, c)?,
            abi::MPROTECT => self.mprotect(id, b, c, d)?,
            abi::MREMAP => self.mremap(id, [b, c, d, e], f)?,
            abi::FUTEX => return self.futex(id, b, c, d, e),
            abi::YIELD => Ok(0),
            abi::CLOCK_GETTIME => self.clock_gettime(id, b, c),
            abi::NANOSLEEP => return Ok(self.nanosleep(id, b)),
            abi::OPENAT_INTO => self.openat_into(id, b, (c, d), g),
            abi::DUP_INTO => self.dup(id, b, (c, d), e, false)?,
            abi::DUP2 => self.dup(id, b, (d, e), c, true)?,
            abi::CLOSE => self.close(id, b)?,
            abi::READ | abi::READ2 => self.read(id, b, c, d),
            abi::WRITE | abi::WRITE2 => return self.write(id, b, c, d),
            abi::CALL => self.call(id, b, (c, d), e, f),
            _ => Err(Errno::ENOSYS),
        };
        Ok(After::Answer(answer))
    }

    fn faulted(&mut self, id: usize, thread: Pid, signal: Signal) -> Result<()> {
        let registers = ptrace::getregs(thread)?;
        let information = ptrace::getsiginfo(thread)?;
        // SAFETY: the signals of faults come with an address.
        let address = unsafe { information.si_addr() }.addr();
        let of_kernel = information.si_code == libc::SI_KERNEL;
        let (vector, name) = match signal {
            Signal::SIGSEGV if of_kernel => (13, "general protection fault"),
            Signal::SIGSEGV | Signal::SIGBUS => (14, "page fault"),
            Signal::SIGILL => (6, "invalid instruction"),
            Signal::SIGFPE => (0, "arithmetic error"),
            Signal::SIGTRAP => (3, "breakpoint"),
            _ => (2, signal.as_str()),
        };
        let at = registers.rip;
        eprintln!("runner: context {id}: {name} at {address:#x}, by the instruction at {at:#x}");
        let context = self.context(id);
        context.exception = [vector, 0, address as u64];
        self.leave(id, Status::UnhandledException)
    }

    /// Ends a context, and what it was the last to have.
    pub(crate) fn leave(&mut self, id: usize, status: Status) -> Result<()> {
        let context = self.context(id);
        context.status = status;
        context.waits = None;
        context.files = Rc::default();
        let space = context.space.take();
        if let Some(thread) = context.thread.take() {
            self.threads.remove(&thread);
            process::end(thread)?;
        }
        self.release(space);
        Ok(())
    }

    /// Gives up one owner's share of an address space. The last one ends it, and the kernel walks all of it.
    pub(crate) fn release(&mut self, space: Option<SharedSpace>) {
        if let Some(space) = space.and_then(Rc::into_inner) {
            let space = space.into_inner();
            self.counters.add(Count::WalkedByExit, space.model.pages());
            space.process.kill();
        }
    }
}

/// Puts the image where the kernel does. Pages that Linux grants to nobody are left out where nothing is in them.
fn load(process: &Process, image: &Image, access: Access) -> Result<()> {
    let whole = Span::new(BASE, image.bytes.len());
    if process.map(whole, access, false).is_ok() {
        return process
            .write(BASE, &image.bytes)
            .context("the program's memory");
    }
    let least = std::fs::read_to_string("/proc/sys/vm/mmap_min_addr").unwrap_or_default();
    let least: usize = least.trim().parse().unwrap_or(0x1_0000);
    let skipped = least
        .saturating_sub(BASE)
        .next_multiple_of(PAGE)
        .min(image.bytes.len());
    // Behind the word that says where the program begins.
    if image.bytes[0x22..skipped].iter().any(|&byte| byte != 0) {
        bail!(
            "the program has memory below {least:#x}, which this machine grants to root only: link it higher, or \
             lower vm.mmap_min_addr"
        );
    }
    let rest = Span::new(BASE + skipped, whole.size - skipped);
    process.map(rest, access, false)?;
    process
        .write(rest.start, &image.bytes[skipped..])
        .context("the program's memory")
}

/// The block that the kernel leaves for the program: how many schemes, a descriptor of each, and one more.
fn descriptors() -> Vec<u8> {
    let mut bytes = u64::from(abi::SCHEMES).to_le_bytes().to_vec();
    for scheme in 1..=abi::SCHEMES {
        bytes.extend(u64::from(scheme).to_le_bytes());
        bytes.extend((abi::UPPER_TABLE | usize::from(scheme)).to_le_bytes());
    }
    bytes.extend(abi::UPPER_TABLE.to_le_bytes());
    bytes
}

/// Lets a stopped context run, up to its next call.
fn resume(thread: Pid) -> Result<()> {
    ptrace::sysemu(thread, None).context("a context could not go on")
}

fn answer_with(thread: Pid, answer: Answer) -> Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    registers.rax = abi::register(answer);
    // No call of Linux is to be made again.
    registers.orig_rax = u64::MAX;
    ptrace::setregs(thread, registers)?;
    resume(thread)
}

fn kind(number: usize, operation: usize) -> Count {
    match number {
        abi::FMAP => Count::Fmap,
        abi::FUNMAP => Count::Funmap,
        abi::MPROTECT => Count::Mprotect,
        abi::MREMAP => Count::Mremap,
        abi::FUTEX if operation == abi::futex::WAKE => Count::FutexWake,
        abi::FUTEX => Count::FutexWait,
        abi::YIELD => Count::Yield,
        abi::CLOCK_GETTIME => Count::Clock,
        _ => Count::Other,
    }
}
