//! ralloc: the memory allocator of a libc. START HERE.
//!
//! Thread-local without locks or atomics on the hot path, memory that finds its way back to whoever needs it, and no
//! more of it than the program is using. For Redox' relibc, for C programs on Linux (package `libralloc`), and for Rust
//! programs (`Ralloc`, as `#[global_allocator]`).
//!
//! # Three ways to use it
//!
//! - **As the allocator of a Rust program**: [`Ralloc`] as `#[global_allocator]`, on stable Rust. [`set_oom_handler`] says what happens
//!   when there is no memory; [`Ralloc<Partial>`](Ralloc) (feature `partial`) allows vectors to be freed in parts.
//! - **By its own verbs**: [`alloc()`], [`try_alloc`], [`free`], [`realloc`], [`realloc_inplace`] take sizes and any alignment;
//!   [`Block`] is a block with one owner, that can be split. [`stats()`], [`trim`], [`verify`], [`donate`] and [`sbrk()`](fn@sbrk) are about the
//!   allocator as a whole.
//! - **As several allocators, or inside a libc**: [`instance!`] defines an allocator of its own with the policy of a [`Tuning`], for
//!   collections or beside the program's; the functions of [`native`] take it as a parameter. A libc implements [`Instance`] by hand, for
//!   another kernel or another place for the words of a thread, and calls [`c_abi`].
//!
//! ```
//! #[global_allocator]
//! static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();
//!
//! let text = String::from("served by ralloc");
//! let block = ralloc::Block::<ralloc::Global>::new(1000, 24);
//! assert!(block.as_ptr().addr().get().is_multiple_of(24) && !text.is_empty());
//! ```
//!
//! Each promise has an example in `examples/` and a row in the README.
//!
//! # The map
//!
//! The order of the modules is the order of the dependencies: a module uses only those above it.
//!
//! | layer | modules | what is there |
//! |---|---|---|
//! | numbers | `config` `size_class` `portion` | constants asserted against each other; which block size serves a request; how many blocks a refill brings |
//! | shapes | `fatal` `block` `free_list` `page` `queue` `cold` `chunk` `canary` `live` `chunk_entry` `chunk_map` `donated` `room` `chunk_table` `growth` `recent` `purge` `huge_cache` `parked` `huge` `remote` `ring` | what memory looks like, and the lock-free tables over it |
//! | owners | `memory` `idle` `dense` `guard` `slot` `lent` `heap` `stock` `directory` `process` `counts` `quarantine` `thread` | who may touch what, and how it changes hands |
//! | doors: what they share | `lend` `large` `foreign` `evidence` `secure` `secure_resize` `resize` | refills, and loans between classes; blocks above 32 KiB; pointers that are not ours; the verbs and the sizes of the security build; sizes |
//! | doors: verbs | [`alloc`](mod@alloc) (READ SECOND) [`unborn`] `odd` `partial` [`oom`] `thread_oom` [`native`] | allocate, free, reallocate; any alignment; blocks in parts; no memory; all of it with sizes |
//! | doors: the whole | [`sbrk`](mod@sbrk) [`stats`](mod@stats) [`info`] `account` `verify` | the program break, and what the allocator holds |
//! | doors: C and Rust | [`c_abi`] `instance` `words` `global_instance` `global_alloc` `collection` `allocator_api2` `allocator` `global` `owned` `partial_instance` `secure_instance` | the verbs, as the outside knows them |
//!
//! Below all of them is the crate `ralloc-platform`: the kernel behind one trait.
//!
//! # Words
//!
//! A *block* is what `malloc` returns. Blocks of one *size class* fill a *page*, which is a run of *slices* of 64 KiB; 64
//! slices make a *chunk*, a 4 MiB-aligned window with its metadata in front. Requests of 32 KiB to 2 MiB are runs of slices
//! of their own; *huge* blocks above that are mappings of their own. A *heap* is what one thread owns; an *orphan* is
//! a heap whose thread has gone. A free is *local* when the page is the thread's own, else *remote*: then the block travels
//! to the owner's *inbox* in a batch.
//!
//! # Invariants
//!
//! 1. A page's record is touched only by the heap that the owner word of its first slice names; a heap only by its
//!    thread, or by whoever has claimed it as an orphan.
//! 2. `used + free.len() == initialised <= capacity` for every page. A block is used until its owner has taken it home.
//! 3. A slice is free, or claimed by exactly one page, run, slab or purge; a free slice that is not dirty reads zero.
//! 4. An owner word equals the address of a heap exactly when a free by that heap's thread needs no special care.
//! 5. Nothing is held across `fork`; what the other threads alone wrote to is not trusted in the child.
//! 6. What a thread has in its words is zero when it starts, and zero again when it has left its heap.
//!
//! # One first `malloc(24)`
//!
//! The process has just started; nothing is mapped, all words of the thread are zero.
//!
//! 1. [`alloc::allocate`]: 24 bytes are of the class of 32-byte blocks, says a table. The head of that class is 0: miss.
//! 2. `allocate_small_slow`: the thread has no heap, so
//! 3. `thread::heap_or_enter` asks `Process::enter` for one. There is no orphan to adopt, so
//! 4. `Directory::create` makes heap 1. Heap records live in a slab, which is a slice, so
//! 5. `ChunkTable::claim` looks for a free slice. There is no chunk, so `grow` maps 256 KiB at a multiple of 4 MiB
//!    (`Platform::map`), writes the header (64 owner words: nobody's) and publishes four free slices in the table.
//!    One compare-and-swap claims slice 1 for the slab. Heap 0 in it becomes the commons, heap 1 is ours.
//! 6. The thread's words get the heap's address, and the exit hook is armed.
//! 7. The heap has no page of 32-byte blocks, and has been asked for few: `refill_head` lends it one of 64 bytes, whose head is empty as well.
//! 8. `Process::refill` tries, in the order that is the memory policy: the heap's own pages (none), pages of orphans (none),
//!    then `Heap::open_page`: another claim brings slice 0, whose first 12 KiB are the header; the page record says 64-byte
//!    blocks, the owner word says our heap.
//! 9. The page has no block yet: `Page::extend` links the first 64 of them, one OS page, the first memory that is touched for the
//!    program's sake.
//! 10. The first block is the answer; the other 63 become the head of the class of 64.
//!
//! Requests for 49 to 64 bytes are twelve instructions each from now on: the head is there, its link becomes the head. Those for 17 to 32 are
//! when they have been lent 2 KiB in this way, and the heap has opened a page for them.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(feature = "nightly", feature(allocator_api))]
// The pages name what is there with the default features; without them a link leads nowhere.
#![cfg_attr(
    not(feature = "global"),
    allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)
)]

#[cfg(all(feature = "std", not(test)))]
extern crate std;

// Numbers.
mod primitive;
mod config;
mod hooks;
mod size_class;
mod portion;

// Shapes.
mod fatal;
mod block;
mod free_list;
mod page;
mod queue;
mod cold;
mod chunk;
mod canary;
mod live;
mod chunk_entry;
mod chunk_map;
mod donated;
mod room;
mod order;
mod chunk_table;
mod growth;
mod recent;
mod purge;
mod huge_cache;
mod parked;
mod huge;
mod remote;
mod ring;
mod record;
mod waiting;

// Owners.
mod memory;
mod idle;
mod dense;
mod guard;
mod slot;
mod lent;
mod heap;
mod stock;
mod directory;
mod process;
mod counts;
mod quarantine;
mod thread;

// Doors.
mod lend;
mod large;
mod foreign;
pub mod log;
mod evidence;
mod secure;
mod secure_resize;
mod hooked;
mod resize;
pub mod alloc;
pub mod unborn;
mod odd;
mod partial;
pub mod oom;
#[cfg(feature = "thread_oom")]
mod thread_oom;
pub mod native;
pub mod sbrk;
pub mod stats;
pub mod info;
#[doc(hidden)]
pub mod account;
mod verify;
pub mod leaks;
pub mod c_abi;
mod instance;
#[cfg(feature = "global")]
mod words;
#[cfg(feature = "global")]
mod global_instance;
#[cfg(feature = "global")]
mod global_alloc;
#[cfg(any(feature = "allocator-api2", feature = "nightly"))]
mod collection;
#[cfg(feature = "allocator-api2")]
mod allocator_api2;
#[cfg(feature = "nightly")]
mod allocator;
#[cfg(feature = "global")]
mod global;
#[cfg(feature = "global")]
mod owned;
#[cfg(feature = "partial")]
mod partial_instance;
#[cfg(feature = "security")]
mod secure_instance;

pub use config::{Defaults, Hardened, Level, Purge, Tuning};
pub use foreign::is_read_of_foreign;
#[cfg(feature = "global")]
pub use global::*;
#[cfg(feature = "global")]
pub use global_alloc::Ralloc;
#[cfg(feature = "global")]
pub use global_instance::Global;
pub use hooked::{watch, watch_if_asked};
pub use hooks::{Event, Watchers};
pub use oom::{OomHandler, OutOfMemory, Recovery};
#[cfg(feature = "global")]
pub use owned::Block;
#[cfg(feature = "partial")]
pub use partial_instance::{InParts, Partial};
pub use process::{Failure, Instance, Process};
#[doc(hidden)]
pub use ralloc_platform as platform;
#[cfg(feature = "security")]
pub use secure_instance::Secure;
pub use thread::{has_own_words, hooks, install};
#[cfg(feature = "thread_oom")]
pub use thread_oom::set_thread_oom_handler;
