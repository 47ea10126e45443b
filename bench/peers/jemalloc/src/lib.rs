extern crate tikv_jemalloc_sys;
