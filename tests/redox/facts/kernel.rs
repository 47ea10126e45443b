//! The system calls of Redox, for x86-64.

use core::arch::asm;

pub type Answer = Result<usize, i32>;

pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const EAGAIN: i32 = 11;
pub const ENOMEM: i32 = 12;
pub const EBUSY: i32 = 16;
pub const EEXIST: i32 = 17;
pub const EINVAL: i32 = 22;
pub const EOPNOTSUPP: i32 = 95;
pub const ETIMEDOUT: i32 = 110;

const OPENAT_INTO: usize = 0x1010_0000 | 987;
const CLOSE: usize = 0x2000_0000 | 6;
const DUP_INTO: usize = 0x2010_0000 | 988;
const READ: usize = 0x2200_0000 | 3;
const WRITE: usize = 0x2100_0000 | 4;
const CALL: usize = 0x2300_0000 | 0xca11;
const FMAP: usize = 0x2100_0000 | 900;
const FUNMAP: usize = 0x2000_0000 | 92;
const MREMAP: usize = 155;
const MPROTECT: usize = 125;
const FUTEX: usize = 240;
const YIELD: usize = 158;
const CLOCK_GETTIME: usize = 265;

pub const PAGE: usize = 4096;

pub const NONE: usize = 0;
pub const BOTH: usize = 0x6_0000;
pub const READABLE: usize = 0x4_0000;
pub const PRIVATE: usize = 2;
pub const FIXED: usize = 4;
pub const NOREPLACE: usize = 0xc;

pub const MOVE_FIXED: usize = 1;
pub const MOVE_REPLACING: usize = 3;
pub const KEEP_OLD: usize = 4;

pub const DEBUG: usize = 1;
pub const MEMORY: usize = 3;
pub const PROC: usize = 9;

const READ_AND_WRITE: usize = 0x3_0000;
const METADATA: *const usize = 0x7fff_ffff_c000 as *const usize;

fn call(number: usize, words: [usize; 6]) -> Answer {
    let result: isize;
    let [a, b, c, d, e, f] = words;
    // SAFETY: what the calls do to memory is up to the callers.
    unsafe {
        asm!(
            "syscall",
            inout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    match result {
        -4095..=-1 => Err(-result as i32),
        _ => Ok(result as usize),
    }
}

/// The descriptor of a scheme's root, from the block that the kernel leaves.
pub fn root(scheme: usize) -> usize {
    for index in 0.. {
        // SAFETY: within the block: the scheme is one of them.
        let (number, file) =
            unsafe { (*METADATA.add(1 + 2 * index), *METADATA.add(2 + 2 * index)) };
        if number & 0xff == scheme {
            return file;
        }
    }
    unreachable!()
}

pub fn openat(root: usize, name: &str, into: usize) -> Answer {
    call(
        OPENAT_INTO,
        [
            root,
            name.as_ptr() as usize,
            name.len(),
            READ_AND_WRITE,
            0,
            into,
        ],
    )
}

pub fn dup(file: usize, name: &str, into: usize) -> Answer {
    call(
        DUP_INTO,
        [file, name.as_ptr() as usize, name.len(), into, 0, 0],
    )
}

pub fn close(file: usize) -> Answer {
    call(CLOSE, [file, 0, 0, 0, 0, 0])
}

pub fn read(file: usize, words: &mut [usize]) -> Answer {
    call(
        READ,
        [
            file,
            words.as_mut_ptr() as usize,
            size_of_val(words),
            0,
            0,
            0,
        ],
    )
}

pub fn write(file: usize, bytes: &[u8]) -> Answer {
    call(WRITE, [file, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])
}

pub fn write_words(file: usize, words: &[usize]) -> Answer {
    call(
        WRITE,
        [file, words.as_ptr() as usize, size_of_val(words), 0, 0, 0],
    )
}

/// How many frames are free.
pub fn free_frames(memory: usize) -> Answer {
    let mut answer = [0_usize; 4];
    let request = [5_usize, 0, 0];
    let flags = 1 << 16 | 1 << 10 | request.len();
    let words = [
        memory,
        answer.as_mut_ptr() as usize,
        size_of_val(&answer),
        flags,
        request.as_ptr() as usize,
        0,
    ];
    call(CALL, words).map(|_| answer[2])
}

/// Fresh memory; with `FIXED` at `address`.
pub fn fmap(address: usize, size: usize, flags: usize) -> Answer {
    let map = [0, size, flags | PRIVATE, address];
    call(
        FMAP,
        [
            usize::MAX,
            map.as_ptr() as usize,
            size_of_val(&map),
            0,
            0,
            0,
        ],
    )
}

pub fn funmap(address: usize, size: usize) -> Answer {
    call(FUNMAP, [address, size, 0, 0, 0, 0])
}

pub fn mprotect(address: usize, size: usize, flags: usize) -> Answer {
    call(MPROTECT, [address, size, flags, 0, 0, 0])
}

pub fn mremap(from: usize, from_size: usize, to: usize, size: usize, flags: usize) -> Answer {
    call(MREMAP, [from, from_size, to, size, flags | BOTH, 0])
}

pub fn futex(word: *const u32, operation: usize, value: usize, time: *const [i64; 2]) -> Answer {
    call(
        FUTEX,
        [word as usize, operation, value, time as usize, 0, 0],
    )
}

pub fn give_way() -> Answer {
    call(YIELD, [0; 6])
}

/// Seconds and nanoseconds of the monotonic clock.
pub fn now() -> [i64; 2] {
    let mut time = [0; 2];
    let _ = call(CLOCK_GETTIME, [4, (&raw mut time) as usize, 0, 0, 0, 0]);
    time[1] &= 0xffff_ffff;
    time
}
