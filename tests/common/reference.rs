//! All public operations, and a reference that cannot be wrong: a map of live ranges, each with contents of its own.

use super::{Case, Held, Lock, kernel};
use ralloc::{alloc, c_abi, sbrk};
use std::{collections::BTreeMap, ptr, vec::Vec};

/// One call. Blocks are picked from the live ones, by a number that is reduced to their count.
///
/// Where a power of two is meant, the exponent is given.
#[derive(Clone, Debug)]
pub enum Op {
    Malloc(usize),
    Calloc(usize, usize),
    Realloc(usize, usize),
    ReallocArray(usize, usize, usize),
    AlignedAlloc(u32, usize),
    Memalign(usize, usize),
    PosixMemalign(u32, usize),
    Valloc(usize),
    Pvalloc(usize),
    /// Of the Rust interface: aligned and zeroed.
    AlignedZeroed(u32, usize),
    /// Of the Rust interface: `realloc` that keeps the alignment.
    ReallocAligned(usize, usize),
    Free(usize),
    Check(usize),
    Nonsense,
    Trim,
    /// Move the program break up, and down again.
    Sbrk(usize),
}

/// The reference: live blocks by address.
///
/// `addresses` has the keys of `live`, and `bytes` is the sum of their usable sizes.
pub struct Reference {
    live: BTreeMap<usize, Held>,
    addresses: Vec<usize>,
    bytes: usize,
    most_bytes: usize,
    blocks_so_far: u64,
}

impl Reference {
    /// A reference that frees something first when more than `most_bytes` are live. Blocks of two references with
    /// different seeds have different contents.
    pub fn new(most_bytes: usize, seed: u64) -> Self {
        Self {
            live: BTreeMap::new(),
            addresses: Vec::new(),
            bytes: 0,
            most_bytes,
            blocks_so_far: seed << 32,
        }
    }

    /// How many blocks are live.
    pub fn blocks(&self) -> usize {
        self.addresses.len()
    }

    fn seed(&mut self) -> u64 {
        self.blocks_so_far += 1;
        self.blocks_so_far
    }

    /// A block has come into being. It overlaps no other. Null is an answer only where the kernel has refused something.
    pub fn insert(&mut self, held: Option<Held>) {
        let Some(held) = held else {
            assert!(has_refused(), "there is memory enough");
            return;
        };
        let (start, end) = (held.address(), held.address() + held.usable());
        let before = self.live.range(..end).next_back();
        if let Some((_, other)) = before {
            let other_end = other.address() + other.usable();
            assert!(other_end <= start, "{held:?} overlaps {other:?}");
        }
        self.bytes += held.usable();
        self.addresses.push(start);
        self.live.insert(start, held);
    }

    /// Take a block out, if there is any.
    pub fn remove(&mut self, pick: usize) -> Option<Held> {
        let index = pick.checked_rem(self.addresses.len())?;
        let address = self.addresses.swap_remove(index);
        let held = self.live.remove(&address).expect("its address is known");
        self.bytes -= held.usable();
        Some(held)
    }

    fn resize(&mut self, pick: usize, resize: impl FnOnce(Held, u64) -> Resized, size: usize) {
        let seed = self.seed();
        let Some(held) = self.remove(pick) else {
            // SAFETY: null is allowed.
            let block = unsafe { c_abi::realloc::<Case>(ptr::null_mut(), size) };
            return self.insert(Held::new(block, size, 16, seed));
        };
        match resize(held, seed) {
            Ok(Some(held)) => self.insert(Some(held)),
            Ok(None) => {}
            Err(old) => {
                assert!(has_refused(), "there is memory enough");
                self.insert(Some(old));
            }
        }
    }

    /// Make the call, on the allocator and in the reference.
    pub fn apply(&mut self, op: &Op) {
        while self.bytes > self.most_bytes {
            self.remove(self.blocks_so_far as usize)
                .expect("live")
                .free();
        }
        match *op {
            Op::Realloc(pick, size) => {
                self.resize(pick, |held, seed| held.resize(None, size, seed), size);
            }
            Op::ReallocArray(pick, count, size) => {
                self.resize(
                    pick,
                    |held, seed| held.resize(Some(count), size, seed),
                    size,
                );
            }
            Op::ReallocAligned(pick, size) => {
                self.resize(pick, |held, seed| held.resize_aligned(size, seed), size);
            }
            Op::Free(pick) => match self.remove(pick) {
                Some(held) => held.free(),
                // SAFETY: null is allowed.
                None => unsafe { c_abi::free::<Case>(ptr::null_mut()) },
            },
            Op::Check(pick) => {
                if let Some(index) = pick.checked_rem(self.addresses.len()) {
                    self.live[&self.addresses[index]].check();
                }
            }
            Op::Nonsense => refuses_nonsense(),
            Op::Trim => _ = c_abi::malloc_trim::<Case>(),
            Op::Sbrk(bytes) => moves_break(bytes),
            _ => {
                let held = allocate(op, self.seed());
                self.insert(held);
            }
        }
    }

    /// Whether all live blocks have their contents.
    pub fn check_all(&self) {
        self.live.values().for_each(Held::check);
    }

    /// Free all blocks, from the lowest address.
    pub fn free_all(self) {
        self.live.into_values().for_each(Held::free);
    }
}

/// A block of another size, none because that was 0, or the old one.
type Resized = Result<Option<Held>, Held>;

/// A block by any of the verbs that give one; filled. `None`: there was no memory.
fn allocate(op: &Op, seed: u64) -> Option<Held> {
    match *op {
        Op::Malloc(size) => Held::new(c_abi::malloc::<Case>(size), size, 16, seed),
        Op::Calloc(count, size) => {
            let block = c_abi::calloc::<Case>(count, size);
            Held::new_zeroed(block, count * size, 16, seed)
        }
        Op::AlignedAlloc(shift, size) => {
            let block = c_abi::aligned_alloc::<Case>(1 << shift, size);
            Held::new(block, size, 1 << shift, seed)
        }
        Op::Memalign(align, size) => {
            let block = c_abi::memalign::<Case>(align, size);
            Held::new(block, size, align.next_power_of_two(), seed)
        }
        Op::PosixMemalign(shift, size) => {
            let block = c_abi::posix_memalign::<Case>(1 << shift, size).ok()?;
            Held::new(block.as_ptr(), size, 1 << shift, seed)
        }
        Op::AlignedZeroed(shift, size) => {
            let block = alloc::allocate_aligned_zeroed::<Case>(size, 1 << shift);
            Held::new_zeroed(block, size, 1 << shift, seed)
        }
        Op::Valloc(size) => Held::new(c_abi::valloc::<Case>(size), size, 4096, seed),
        Op::Pvalloc(size) => {
            let whole = size.max(1).next_multiple_of(4096);
            Held::new(c_abi::pvalloc::<Case>(size), whole, 4096, seed)
        }
        _ => unreachable!("{op:?} gives no block"),
    }
}

fn has_refused() -> bool {
    kernel().was_asked_to_fail()
}

fn moves_break(bytes: usize) {
    // The process has one break, and other threads may be at the same test.
    static BREAK: Lock<()> = Lock::new(());
    let _mine = BREAK.lock();
    let by = bytes as isize;
    // SAFETY: nobody else uses the break.
    if let Ok(old) = unsafe { sbrk::sbrk::<Case>(by) } {
        // SAFETY: as above.
        let now = unsafe { sbrk::sbrk::<Case>(0) };
        assert_eq!(now, Ok(old + bytes));
        // SAFETY: nobody has anything between there and here.
        let back = unsafe { sbrk::sbrk::<Case>(-by) };
        assert!(back == Ok(old + bytes) || has_refused());
    }
}

fn refuses_nonsense() {
    let half = usize::MAX / 2;
    assert!(c_abi::malloc::<Case>(usize::MAX).is_null());
    assert!(c_abi::malloc::<Case>(half + 1).is_null());
    assert!(c_abi::calloc::<Case>(half, 3).is_null());
    assert!(c_abi::aligned_alloc::<Case>(48, 100).is_null());
    assert!(c_abi::aligned_alloc::<Case>(0, 100).is_null());
    assert!(c_abi::memalign::<Case>(half + 2, 100).is_null());
    assert!(c_abi::posix_memalign::<Case>(size_of::<usize>() / 2, 100).is_err());
    assert!(c_abi::posix_memalign::<Case>(24, 100).is_err());
    assert!(c_abi::pvalloc::<Case>(usize::MAX).is_null());
    // SAFETY: null is allowed.
    let usable = unsafe { c_abi::malloc_usable_size::<Case>(ptr::null_mut()) };
    assert_eq!(usable, 0);
    // SAFETY: null is allowed.
    assert!(unsafe { c_abi::reallocarray::<Case>(ptr::null_mut(), half, 3) }.is_null());
}
