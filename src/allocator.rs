//! `Ralloc` for collections that take an allocator, by the unstable trait of the core library.

use core::{
    alloc::{AllocError, Allocator, Layout},
    ptr::NonNull,
};

use crate::{collection, global_alloc::Ralloc, process::Instance};

collection::implement_allocator!();
