//! What the runner (`bench`) and the programs it runs (`workload`, `hello`) agree on: which
//! workloads there are, and the one line in which a finished workload says what it found.

mod catalogue;
mod outcome;

pub use catalogue::{Group, Heap, Kind, WORKLOADS, Workload};
pub use outcome::{Calls, Kept, Latency, Outcome};
