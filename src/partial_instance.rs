//! The allocator whose blocks may be freed in parts.

use crate::config::Tuning;

/// The defaults, and partial deallocation.
///
/// ```
/// ralloc::instance! {
///     /// For blocks that are freed in parts, beside the allocator of the program.
///     pub struct Parts: ralloc::InParts;
/// }
/// let block = ralloc::native::alloc::<Parts>(100, 8);
/// // SAFETY: the halves are disjoint, and each is freed once.
/// unsafe {
///     ralloc::native::free::<Parts>(block.add(50), 50);
///     ralloc::native::free::<Parts>(block, 50);
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct InParts;

impl Tuning for InParts {
    const PARTIAL: bool = true;
}

crate::instance! {
    /// The instance behind `Ralloc<Partial>`: the defaults of [`Tuning`], and every block may be freed in parts, in any order, from any
    /// thread.
    ///
    /// ```
    /// use std::mem::ManuallyDrop;
    ///
    /// #[global_allocator]
    /// static GLOBAL: ralloc::Ralloc<ralloc::Partial> = ralloc::Ralloc::new();
    ///
    /// let mut whole = ManuallyDrop::new(vec![7_u8; 200]);
    /// let start = whole.as_mut_ptr();
    /// // SAFETY: the halves are disjoint, and together the vector that is not dropped.
    /// let (left, right) = unsafe {
    ///     (Vec::from_raw_parts(start, 100, 100), Vec::from_raw_parts(start.add(100), 100, 100))
    /// };
    /// drop(right); // The block is not reclaimed before
    /// drop(left); // its last byte is freed.
    /// ```
    pub struct Partial: InParts;
}
