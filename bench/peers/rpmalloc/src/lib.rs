extern crate rpmalloc_sys;
