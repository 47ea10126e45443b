//! An allocator whose name, line and column another has: this file is two modules.

ralloc::instance! {
    /// One of two.
    pub(super) struct Twin: ralloc::Defaults;
}
