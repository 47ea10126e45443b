//! `Ralloc` for collections that take an allocator, on stable Rust.

use core::{alloc::Layout, ptr::NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use crate::{collection, global_alloc::Ralloc, process::Instance};

collection::implement_allocator!();
