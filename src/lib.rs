//! ralloc
#![cfg_attr(not(test), no_std)]

pub mod alloc;
mod block;
pub mod c_abi;
mod chunk;
mod chunk_table;
mod config;
mod directory;
mod fatal;
mod free_list;
#[cfg(feature = "global")]
mod global_alloc;
mod heap;
mod huge;
mod memory;
mod page;
mod primitive;
mod process;
mod purge;
mod remote;
pub mod sbrk;
mod size_class;
pub mod stats;
mod thread;
mod verify;

pub use config::{Defaults, Tuning};
#[cfg(feature = "global")]
pub use global_alloc::{Global, Ralloc};
pub use process::{Failure, Instance, Process};
pub use thread::install;
