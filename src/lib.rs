//! ralloc
#![cfg_attr(not(test), no_std)]

// Numbers.
mod primitive;
mod config;
mod size_class;

// Shapes.
mod block;
mod free_list;
mod page;
mod chunk;
mod chunk_table;
mod purge;
mod huge_cache;
mod huge;
mod remote;

// Owners.
mod memory;
mod heap;
mod directory;
mod process;
mod thread;

// Doors.
mod fatal;
pub mod alloc;
pub mod sbrk;
pub mod stats;
mod verify;
pub mod c_abi;
#[cfg(feature = "global")]
mod global_alloc;

pub use config::{Defaults, Tuning};
#[cfg(feature = "global")]
pub use global_alloc::{Global, Ralloc};
pub use process::{Failure, Instance, Process};
pub use thread::install;
