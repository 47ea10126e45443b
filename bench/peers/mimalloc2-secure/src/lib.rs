extern crate libmimalloc_sys;
