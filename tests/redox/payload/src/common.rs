//! What is shared with the tests that run on Linux: a live block with a pattern, the reference, random numbers, recorded
//! traces.

pub use crate::{
    case::{Case, kernel},
    heap::Lock,
};
pub use draw::{Draw, boundaries};
pub use held::Held;
pub use reference::{Op, Reference};

/// 1024 bytes.
pub const KIB: usize = 1 << 10;
/// 1024 KiB.
pub const MIB: usize = 1 << 20;

#[path = "../../../common/draw.rs"]
#[allow(dead_code, unreachable_pub, reason = "each program uses a part of it")]
mod draw;
#[path = "../../../common/held.rs"]
#[allow(dead_code, unreachable_pub, reason = "each program uses a part of it")]
mod held;
#[path = "../../../common/reference.rs"]
#[allow(dead_code, unreachable_pub, reason = "each program uses a part of it")]
mod reference;
#[path = "../../../common/trace.rs"]
#[allow(dead_code, unreachable_pub, reason = "each program uses a part of it")]
pub mod trace;
