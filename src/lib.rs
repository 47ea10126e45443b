//! ralloc
#![cfg_attr(not(test), no_std)]

mod primitive;
mod config;
mod size_class;
mod block;
mod free_list;
mod page;
mod chunk;
mod chunk_table;
mod purge;
mod huge;
mod remote;
mod fatal;
mod memory;
mod heap;
mod directory;
mod process;
mod thread;
pub mod alloc;
pub mod c_abi;
pub mod sbrk;
pub mod stats;

pub use config::{Defaults, Tuning};
pub use process::{Failure, Instance, Process};
pub use thread::install;
