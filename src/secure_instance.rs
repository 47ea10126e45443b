//! The allocator that looks for misuse.

use crate::config::Hardened;

crate::instance! {
    /// The instance behind `Ralloc<Secure>`: the policy of [`Hardened`].
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: ralloc::Ralloc<ralloc::Secure> = ralloc::Ralloc::new();
    ///
    /// let text = String::from("in a block that nobody writes beyond");
    /// assert!(text.starts_with("in a block"));
    /// ```
    pub struct Secure: Hardened;
}
