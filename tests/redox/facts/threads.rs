//! What is known of contexts, of waiting, and of faults.

use crate::{
    Fact,
    kernel::*,
    memory::{FAR, clean, load, store},
};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};

pub const FACTS: &[Fact] = &[
    ("a context runs in the same memory", || {
        let before = COUNT.load(SeqCst);
        let context = Context::begin(add_one);
        context.join() == DEAD && COUNT.load(SeqCst) == before + 1
    }),
    ("each context has a thread pointer of its own", || {
        let contexts = [1, 2].map(|slot| Context::begin_with(store_by_pointer, &WORDS[slot]));
        let ended = contexts.each_ref().map(Context::join);
        ended == [DEAD; 2]
            && [&WORDS[1], &WORDS[2]]
                .iter()
                .all(|word| word.load(SeqCst) == 7)
    }),
    ("who waits is woken", || {
        WORD.store(0, SeqCst);
        let context = Context::begin(wait_for_one);
        let mut woken = Ok(0);
        while woken == Ok(0) {
            woken = futex(WORD.as_ptr(), WAKE, 1, core::ptr::null());
            let _ = give_way();
        }
        woken == Ok(1) && context.join() == DEAD
    }),
    ("who is too late to wait does not", || {
        WORD.store(1, SeqCst);
        futex(WORD.as_ptr(), WAIT, 0, core::ptr::null()) == Err(EAGAIN)
            && futex(WORD.as_ptr(), 9, 0, core::ptr::null()) == Err(EINVAL)
    }),
    (
        "a time to wait until is a time of the monotonic clock",
        || {
            WORD.store(0, SeqCst);
            let begun = now();
            let until = [begun[0], begun[1] + 20_000_000];
            let until = [
                until[0] + until[1] / 1_000_000_000,
                until[1] % 1_000_000_000,
            ];
            let waited = futex(WORD.as_ptr(), WAIT, 0, &until);
            let past = futex(WORD.as_ptr(), WAIT, 0, &begun);
            (waited, past) == (Err(ETIMEDOUT), Err(ETIMEDOUT)) && now() >= until
        },
    ),
    ("a fault in a hole ends its context only", || {
        Context::begin(touch_a_hole).join() == FAULT
    }),
    ("a write to memory without rights is a fault", || {
        fmap(FAR, PAGE, BOTH | NOREPLACE).unwrap();
        mprotect(FAR, PAGE, READABLE).unwrap();
        Context::begin(write_there).join() == FAULT && clean()
    }),
    ("an invalid instruction ends its context only", || {
        Context::begin(invalid).join() == FAULT
    }),
    ("a context that has not been started says so", || {
        dup(root(PROC), "new-context", SPARE).unwrap();
        dup(SPARE, "status", SPARE + 1).unwrap();
        let mut status = [9];
        let _ = read(SPARE + 1, &mut status);
        close(SPARE + 1).is_ok() && close(SPARE).is_ok() && status == [NOT_YET]
    }),
    ("a copy of the address space costs nobody anything", || {
        store_far();
        dup(root(PROC), "cur-context", SPARE).unwrap();
        dup(SPARE, "addrspace", SPARE + 1).unwrap();
        let copied = dup(SPARE + 1, "exclusive", SPARE + 2);
        store(FAR, 8);
        let closed = [2, 1, 0].map(|file| close(SPARE + file));
        copied == Ok(SPARE + 2) && closed == [Ok(0); 3] && load(FAR) == 8 && clean()
    }),
    ("a context in a copy changes nothing here", || {
        store_far();
        let context = Context::begin_in_copy(change_far);
        context.join() == DEAD && load(FAR) == 7 && clean()
    }),
    (
        "nobody else may be told to end by a descriptor of the context",
        || {
            dup(root(PROC), "new-context", SPARE).unwrap();
            write_words(SPARE, &[usize::MAX]) == Err(EPERM) && close(SPARE).is_ok()
        },
    ),
    ("no kernel has what is not there", || {
        openat(root(DEBUG), "nothing", SPARE) == Err(ENOENT)
    }),
];

const WAIT: usize = 0;
const WAKE: usize = 1;

const NOT_YET: usize = 2;
const DEAD: usize = 3;
const FAULT: usize = 6;

/// Descriptors that no context has.
const SPARE: usize = 40;

/// The first of the descriptors of contexts; each has a few.
const FILES: usize = 8;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static WORD: AtomicU32 = AtomicU32::new(0);
static WORDS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
static NEXT: AtomicUsize = AtomicUsize::new(0);

const STACK: usize = 16 * PAGE;

/// A context, with its stack and descriptors.
struct Context {
    file: usize,
    stack: usize,
}

impl Context {
    fn begin(code: extern "C" fn() -> !) -> Self {
        Self::make(code, 0, "addrspace")
    }

    /// With this word at the thread pointer.
    fn begin_with(code: extern "C" fn() -> !, word: &AtomicUsize) -> Self {
        Self::make(code, word.as_ptr() as usize, "addrspace")
    }

    fn begin_in_copy(code: extern "C" fn() -> !) -> Self {
        Self::make(code, 0, "exclusive")
    }

    fn make(code: extern "C" fn() -> !, pointer: usize, space: &str) -> Self {
        let stack = fmap(0, STACK, BOTH).unwrap();
        let file = FILES + 8 * (NEXT.fetch_add(1, SeqCst) % 4);
        let [own, other, choice] = [1, 2, 3].map(|index| file + index);
        dup(root(PROC), "cur-context", own).unwrap();
        dup(root(PROC), "new-context", file).unwrap();
        dup(own, "addrspace", other).unwrap();
        if space == "exclusive" {
            dup(other, "exclusive", file + 4).unwrap();
            close(other).unwrap();
            dup(file + 4, "", other).unwrap();
            close(file + 4).unwrap();
        }
        dup(file, "current-addrspace", choice).unwrap();
        // As after a call: the address of the return is missing.
        write_words(choice, &[other, stack + STACK - 8, code as usize]).unwrap();
        close(choice).unwrap();
        close(other).unwrap();
        dup(own, "filetable", other).unwrap();
        dup(file, "current-filetable", choice).unwrap();
        write_words(choice, &[other]).unwrap();
        close(choice).unwrap();
        close(other).unwrap();
        close(own).unwrap();
        if pointer != 0 {
            dup(file, "regs/env", other).unwrap();
            write_words(other, &[pointer, 0]).unwrap();
            close(other).unwrap();
        }
        dup(file, "start", other).unwrap();
        write(other, &[0]).unwrap();
        close(other).unwrap();
        Self { file, stack }
    }

    /// Waits for the end, and says which it was.
    fn join(&self) -> usize {
        let status = self.file + 1;
        dup(self.file, "status", status).unwrap();
        let mut words = [0; 4];
        while words[0] < DEAD {
            let _ = give_way();
            let _ = read(status, &mut words);
        }
        close(status).unwrap();
        close(self.file).unwrap();
        funmap(self.stack, STACK).unwrap();
        words[0]
    }
}

/// Ends this context.
pub fn exit() -> ! {
    const OWN: usize = 60;
    for file in OWN.. {
        if dup(root(PROC), "cur-context", file).is_ok() {
            let _ = write_words(file, &[usize::MAX]);
        }
    }
    unreachable!()
}

extern "C" fn add_one() -> ! {
    COUNT.fetch_add(1, SeqCst);
    exit()
}

extern "C" fn store_by_pointer() -> ! {
    // SAFETY: the thread pointer leads to a word.
    unsafe { core::arch::asm!("mov qword ptr fs:[0], 7") };
    exit()
}

extern "C" fn wait_for_one() -> ! {
    let _ = futex(WORD.as_ptr(), WAIT, 0, core::ptr::null());
    exit()
}

extern "C" fn touch_a_hole() -> ! {
    load(FAR);
    exit()
}

extern "C" fn write_there() -> ! {
    store(FAR, 1);
    exit()
}

extern "C" fn invalid() -> ! {
    // SAFETY: that is what it is for.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}

fn store_far() {
    fmap(FAR, PAGE, BOTH | NOREPLACE).unwrap();
    store(FAR, 7);
}

extern "C" fn change_far() -> ! {
    store(FAR, 9);
    exit()
}
