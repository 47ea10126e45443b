//! The numbers of the Redox system calls that the runner answers, for x86-64.

pub(crate) use errno::Errno;

/// Redox has the numbers of Linux for its errors.
mod errno {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(i32)]
    #[expect(clippy::upper_case_acronyms, reason = "their names")]
    pub(crate) enum Errno {
        EPERM = 1,
        ENOENT = 2,
        EBADF = 9,
        EAGAIN = 11,
        ENOMEM = 12,
        EACCES = 13,
        EFAULT = 14,
        EBUSY = 16,
        EEXIST = 17,
        EINVAL = 22,
        ENOSYS = 38,
        EOPNOTSUPP = 95,
        ETIMEDOUT = 110,
        EOWNERDEAD = 130,
    }
}

/// What a call answers: a number, or an error.
pub(crate) type Answer = Result<usize, Errno>;

/// The answer as the program finds it in its register.
pub(crate) fn register(answer: Answer) -> u64 {
    match answer {
        Ok(value) => value as u64,
        Err(error) => (error as i64).wrapping_neg().cast_unsigned(),
    }
}

pub(crate) const OPENAT_INTO: usize = 0x1010_0000 | 987;
pub(crate) const CLOSE: usize = 0x2000_0000 | 6;
pub(crate) const DUP_INTO: usize = 0x2010_0000 | 988;
pub(crate) const DUP2: usize = 0x2010_0000 | 63;
pub(crate) const READ: usize = 0x2200_0000 | 3;
pub(crate) const READ2: usize = 0x2200_0000 | 35;
pub(crate) const WRITE: usize = 0x2100_0000 | 4;
pub(crate) const WRITE2: usize = 0x2100_0000 | 45;
pub(crate) const CALL: usize = 0x2300_0000 | 0xca11;
pub(crate) const FMAP: usize = 0x2100_0000 | 900;
pub(crate) const FUNMAP: usize = 0x2000_0000 | 92;
pub(crate) const MREMAP: usize = 155;
pub(crate) const MPROTECT: usize = 125;
pub(crate) const FUTEX: usize = 240;
pub(crate) const YIELD: usize = 158;
pub(crate) const NANOSLEEP: usize = 162;
pub(crate) const CLOCK_GETTIME: usize = 265;

/// Flags of `FMAP` and `MPROTECT`.
pub(crate) mod map {
    pub(crate) const SHARED: usize = 1;
    pub(crate) const FIXED: usize = 4;
    /// Holds the bit of [`FIXED`] too.
    pub(crate) const FIXED_NOREPLACE: usize = 0xc;
    pub(crate) const EXECUTE: usize = 0x1_0000;
    pub(crate) const WRITE: usize = 0x2_0000;
}

/// Flags of `MREMAP`, beside those of protection.
pub(crate) mod remap {
    pub(crate) const FIXED: usize = 1;
    /// Holds the bit of [`FIXED`] too.
    pub(crate) const FIXED_REPLACE: usize = 3;
    pub(crate) const KEEP_OLD: usize = 4;
}

/// Operations of `FUTEX`.
pub(crate) mod futex {
    pub(crate) const WAIT: usize = 0;
    pub(crate) const WAKE: usize = 1;
    pub(crate) const WAIT64: usize = 3;
}

/// `CALL`: a standard request to a file, of which the kernel's memory scheme knows one that matters here.
pub(crate) const CALL_STD_FS: usize = 1 << 16;
/// How many frames there are, and how many are free.
pub(crate) const STD_FSTATVFS: u64 = 5;

/// The clocks of `CLOCK_GETTIME`.
pub(crate) const CLOCK_REALTIME: usize = 1;
pub(crate) const CLOCK_MONOTONIC: usize = 4;

/// The schemes of the kernel, by number. A descriptor of each stands in the block at [`METADATA`].
pub(crate) const SCHEMES: u8 = 11;
pub(crate) const DEBUG: u8 = 1;
pub(crate) const MEMORY: u8 = 3;
pub(crate) const PROC: u8 = 9;

/// Where the block of descriptors is, and how large.
pub(crate) const METADATA: usize = 0x7fff_ffff_c000;
pub(crate) const METADATA_SIZE: usize = 0x4000;

/// Descriptors with this bit are in a table of their own.
pub(crate) const UPPER_TABLE: usize = 1 << 62;

/// What a context does, as a read of its status says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Status {
    Runnable = 0,
    Blocked = 1,
    NotYetStarted = 2,
    Dead = 3,
    ForceKilled = 4,
    UnhandledException = 6,
}
