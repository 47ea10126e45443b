//! A Linux process that stands for a Redox address space.
//!
//! Its first thread, the *anchor*, never runs the program: it stays stopped, and executes the system calls of Linux
//! that make the memory look as the model says. The contexts are further threads of the process, and `fork` is a fork of the
//! anchor. Nothing of the runner is in the process: only the program's memory, and one page with the instruction by
//! which the anchor makes its calls.

use crate::{
    abi::METADATA,
    space::{Access, END, PAGE, Span},
};
use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::{
        ptrace::{self, Options},
        signal::{self, Signal},
        uio::{self, RemoteIoVec},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork},
};
use std::{
    fs,
    io::{IoSlice, IoSliceMut},
};

/// The page of the anchor: inside the kernel's block, whose other pages but the first are not used. The last page
/// below [`END`] is none that Linux has.
const PORT: usize = METADATA + 2 * PAGE;
const LINUX_END: usize = END - PAGE;

/// `syscall`, and a trap for the anchor to stop at.
const PORT_CODE: [u8; 3] = [0x0f, 0x05, 0xcc];

std::arch::global_asm!(
    ".globl redox_runner_port",
    "redox_runner_port:",
    "syscall",
    "int3",
);

unsafe extern "C" {
    /// The same in the runner's own text, for a process that has the runner's memory still.
    #[link_name = "redox_runner_port"]
    static OWN_PORT: u8;
}

/// The threads of an address space that run: as stopped threads with memory and registers.
#[derive(Debug)]
pub(crate) struct Process {
    anchor: Pid,
}

/// Registers of a thread, as far as Redox sets them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    pub(crate) instruction: usize,
    pub(crate) stack: usize,
    /// `rdi`.
    pub(crate) argument: usize,
    pub(crate) fs: u64,
    pub(crate) gs: u64,
}

impl Process {
    /// A process with nothing in it.
    pub(crate) fn empty() -> Result<Self> {
        // SAFETY: the child only makes system calls.
        let first = match unsafe { fork() }? {
            ForkResult::Child => become_first(),
            ForkResult::Parent { child } => child,
        };
        let status = waitpid(first, Some(WaitPidFlag::__WALL))?;
        ensure!(
            matches!(status, WaitStatus::Stopped(_, Signal::SIGSTOP)),
            "this machine allows no tracing of processes (ptrace): {status:?}"
        );
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACESYSGOOD;
        ptrace::setoptions(first, options)?;
        // A thread that libc has made known to the kernel needs libc's memory. One that shares the memory is not known.
        let port = (&raw const OWN_PORT).addr();
        let first = Process { anchor: first };
        let own = libc::CLONE_VM | libc::CLONE_PARENT;
        let anchor = first.fork_at(port, own)?;
        first.kill();
        anchor.clear(port)?;
        Ok(anchor)
    }

    /// Leaves nothing but the port.
    fn clear(&self, port: usize) -> Result<()> {
        let below = [0, PORT, 0, 0, 0, 0];
        let above = [METADATA, LINUX_END - METADATA, 0, 0, 0, 0];
        self.call_at(port, libc::SYS_munmap, above)?;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        self.call_at(
            port,
            libc::SYS_mmap,
            fresh(Span::new(PORT, PAGE), rights, libc::MAP_PRIVATE),
        )?;
        self.write(PORT, &PORT_CODE).context("the port")?;
        let rights = (libc::PROT_READ | libc::PROT_EXEC) as usize;
        self.call_at(port, libc::SYS_mprotect, [PORT, PAGE, rights, 0, 0, 0])?;
        self.call(libc::SYS_munmap, below)?;
        Ok(())
    }

    /// A copy of the process, as of this moment.
    pub(crate) fn fork(&self) -> Result<Self> {
        self.fork_at(PORT, libc::CLONE_PARENT)
    }

    fn fork_at(&self, port: usize, flags: i32) -> Result<Self> {
        let pid = self.call_at(port, libc::SYS_clone, [flags as usize, 0, 0, 0, 0, 0])?;
        let anchor = Pid::from_raw(i32::try_from(pid)?);
        settle(anchor)?;
        Ok(Self { anchor })
    }

    /// A thread that begins here, when it is resumed.
    pub(crate) fn spawn(&self, start: &Start) -> Result<Pid> {
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM;
        let thread = self.call(libc::SYS_clone, [flags as usize, 0, 0, 0, 0, 0])?;
        let thread = Pid::from_raw(i32::try_from(thread)?);
        settle(thread)?;
        let old = ptrace::getregs(thread)?;
        // SAFETY: a structure of integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        registers.rip = start.instruction as u64;
        registers.rsp = start.stack as u64;
        registers.rdi = start.argument as u64;
        registers.fs_base = start.fs;
        registers.gs_base = start.gs;
        registers.eflags = 0x202;
        registers.orig_rax = u64::MAX;
        (registers.cs, registers.ss) = (old.cs, old.ss);
        ptrace::setregs(thread, registers)?;
        Ok(thread)
    }

    /// Ends everything in it. Its last thread to be waited for is the anchor, so that is left to who waits for all.
    pub(crate) fn kill(&self) {
        let _ = signal::kill(self.anchor, Signal::SIGKILL);
    }

    /// Fresh memory here, whatever there was.
    pub(crate) fn map(&self, span: Span, access: Access, shared: bool) -> Result<()> {
        let kind = if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        let Some(span) = within_linux(span) else {
            return Ok(());
        };
        self.call(libc::SYS_mmap, fresh(span, rights(access), kind))
            .map(drop)
    }

    pub(crate) fn unmap(&self, span: Span) -> Result<()> {
        let Some(span) = within_linux(span) else {
            return Ok(());
        };
        self.call(libc::SYS_munmap, [span.start, span.size, 0, 0, 0, 0])
            .map(drop)
    }

    pub(crate) fn protect(&self, span: Span, access: Access) -> Result<()> {
        let Some(span) = within_linux(span) else {
            return Ok(());
        };
        let rights = rights(access) as usize;
        self.call(libc::SYS_mprotect, [span.start, span.size, rights, 0, 0, 0])
            .map(drop)
    }

    /// Moves pages. Linux moves only what is one mapping to it: else in halves.
    pub(crate) fn relocate(&self, from: Span, to: usize) -> Result<()> {
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        let words = [from.start, from.size, from.size, flags, to, 0];
        match self.try_call_at(PORT, libc::SYS_mremap, words)? {
            Err(libc::EFAULT) if from.size > PAGE => {
                let half = from.pages() / 2 * PAGE;
                self.relocate(Span::new(from.start, half), to)?;
                let rest = Span::new(from.start + half, from.size - half);
                self.relocate(rest, to + half)
            }
            Err(error) => bail!("Linux does not move {from:x?} to {to:#x}: error {error}"),
            Ok(_) => Ok(()),
        }
    }

    /// Lets `to` show the same page as `from`, which is one page of private memory.
    pub(crate) fn alias(&self, from: usize, to: usize, access: Access) -> Result<()> {
        let page = Span::new(to, PAGE);
        let mut contents = vec![0; PAGE];
        self.read(from, &mut contents)
            .context("a page to be shown twice")?;
        let both = libc::PROT_READ | libc::PROT_WRITE;
        self.call(libc::SYS_mmap, fresh(page, both, libc::MAP_SHARED))?;
        self.write(to, &contents)
            .context("a page to be shown twice")?;
        // Of shared memory Linux makes a second view when none of the first is to be moved.
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        self.call(libc::SYS_mremap, [to, 0, PAGE, flags, from, 0])?;
        self.protect(page, access)
    }

    /// How many pages have a frame.
    pub(crate) fn frames(&self) -> usize {
        let table =
            fs::read_to_string(format!("/proc/{}/smaps_rollup", self.anchor)).unwrap_or_default();
        let line = table.lines().find_map(|line| line.strip_prefix("Rss:"));
        let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let size: usize = size.and_then(|size| size.trim().parse().ok()).unwrap_or(0);
        // Less the port.
        (size * 1024 / PAGE).saturating_sub(1)
    }

    /// Copies from the program's memory; `None` where there is none.
    pub(crate) fn read(&self, address: usize, to: &mut [u8]) -> Option<()> {
        let (base, len) = (address, to.len());
        let read = uio::process_vm_readv(
            self.anchor,
            &mut [IoSliceMut::new(to)],
            &[RemoteIoVec { base, len }],
        );
        (len == 0 || read == Ok(len)).then_some(())
    }

    /// Copies to memory that the program could write to.
    pub(crate) fn write(&self, address: usize, from: &[u8]) -> Option<()> {
        let (base, len) = (address, from.len());
        let written = uio::process_vm_writev(
            self.anchor,
            &[IoSlice::new(from)],
            &[RemoteIoVec { base, len }],
        );
        (len == 0 || written == Ok(len)).then_some(())
    }

    fn call(&self, number: i64, words: [usize; 6]) -> Result<usize> {
        self.call_at(PORT, number, words)
    }

    fn call_at(&self, port: usize, number: i64, words: [usize; 6]) -> Result<usize> {
        match self.try_call_at(port, number, words)? {
            Ok(value) => Ok(value),
            Err(error) => {
                let error = std::io::Error::from_raw_os_error(error);
                bail!("Linux refuses what the program needs: call {number} of {words:x?}: {error}")
            }
        }
    }

    /// Has the anchor make a system call of Linux.
    fn try_call_at(
        &self,
        port: usize,
        number: i64,
        words: [usize; 6],
    ) -> Result<Result<usize, i32>> {
        let mut registers = ptrace::getregs(self.anchor)?;
        registers.rip = port as u64;
        registers.rax = number.cast_unsigned();
        registers.orig_rax = u64::MAX;
        let [rdi, rsi, rdx, r10, r8, r9] = words.map(|word| word as u64);
        (registers.rdi, registers.rsi, registers.rdx) = (rdi, rsi, rdx);
        (registers.r10, registers.r8, registers.r9) = (r10, r8, r9);
        ptrace::setregs(self.anchor, registers)?;
        loop {
            ptrace::cont(self.anchor, None)?;
            match waitpid(self.anchor, Some(WaitPidFlag::__WALL))? {
                WaitStatus::Stopped(_, Signal::SIGTRAP) => break,
                // A new thread or process is told of; and signals are for nobody here.
                WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..) => {}
                other => bail!("the anchor ended: {other:?}"),
            }
        }
        let value = ptrace::getregs(self.anchor)?.rax.cast_signed();
        Ok(match i32::try_from(-value) {
            Ok(error @ 1..=4095) => Err(error),
            _ => Ok(value.cast_unsigned() as usize),
        })
    }
}

/// The child of the runner, until it stops itself for good.
fn become_first() -> ! {
    // The kernel that is imitated has no large pages.
    let _ = nix::errno::Errno::result({
        // SAFETY: a flag of this process.
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) }
    });
    let _ = ptrace::traceme();
    let _ = signal::raise(Signal::SIGSTOP);
    // SAFETY: ends the process, without what libc would do before.
    unsafe { libc::_exit(127) }
}

/// Waits until a new thread is stopped, as each begins.
fn settle(thread: Pid) -> Result<()> {
    match waitpid(thread, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Stopped(_, Signal::SIGSTOP) => Ok(()),
        other => bail!("a new thread did not stop: {other:?}"),
    }
}

/// Has a stopped thread end, by itself and alone.
pub(crate) fn end(thread: Pid) -> Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    registers.rip = PORT as u64;
    registers.rax = libc::SYS_exit.cast_unsigned();
    registers.rdi = 0;
    registers.orig_rax = u64::MAX;
    ptrace::setregs(thread, registers)?;
    ptrace::cont(thread, None)?;
    Ok(())
}

/// Stops a thread that runs. `false` if it has ended by itself.
pub(crate) fn stop(process: &Process, thread: Pid) -> Result<bool> {
    // SAFETY: a signal to a thread of ours.
    unsafe {
        libc::syscall(
            libc::SYS_tgkill,
            process.anchor.as_raw(),
            thread.as_raw(),
            libc::SIGSTOP,
        )
    };
    let status = waitpid(thread, Some(WaitPidFlag::__WALL))?;
    Ok(matches!(
        status,
        WaitStatus::Stopped(..) | WaitStatus::PtraceSyscall(_)
    ))
}

fn within_linux(span: Span) -> Option<Span> {
    let end = span.end().min(PORT);
    (span.start < end).then(|| Span::new(span.start, end - span.start))
}

fn rights(access: Access) -> i32 {
    let mut rights = libc::PROT_READ;
    if access.write {
        rights |= libc::PROT_WRITE;
    }
    if access.execute {
        rights |= libc::PROT_EXEC;
    }
    rights
}

/// The words of an `mmap` of anonymous memory.
fn fresh(span: Span, rights: i32, kind: i32) -> [usize; 6] {
    let flags = kind | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    [
        span.start,
        span.size,
        rights as usize,
        flags as usize,
        usize::MAX,
        0,
    ]
}

/// Sets the bases of the segments of a stopped thread.
pub(crate) fn set_bases(thread: Pid, fs: u64, gs: u64) -> Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    (registers.fs_base, registers.gs_base) = (fs, gs);
    ptrace::setregs(thread, registers)?;
    Ok(())
}
