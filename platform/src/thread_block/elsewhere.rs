//! Where there is no leaf, thread keys lead to all blocks.

#[doc(hidden)]
#[path = "keyed.rs"]
pub mod keyed;

pub use keyed::KeyBlock as StaticBlock;

/// Define a block for an allocator beside the one that has [`StaticBlock`](crate::StaticBlock), and the type that leads to it.
///
/// It stands among the items of a module, not in a function.
#[macro_export]
macro_rules! thread_block {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident;) => {
        $crate::keyed_block! {
            $(#[$attribute])*
            $visibility struct $name;
        }
    };
}

/// As [`thread_block!`](crate::thread_block): on these systems a thread-local of the standard library may allocate.
#[macro_export]
macro_rules! std_thread_block {
    ($($block:tt)*) => {
        $crate::thread_block! { $($block)* }
    };
}
