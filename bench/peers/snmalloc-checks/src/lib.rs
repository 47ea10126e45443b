extern crate snmalloc_sys;
