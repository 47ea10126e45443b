//! The workloads, in the order in which they are run and reported.

/// How much a workload keeps alive, which decides the mean that its peak memory enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heap {
    /// Less than 32 MiB.
    Small,
    /// 32 MiB and more.
    Large,
}

/// What a workload spends its time on, which decides the comparison with a locked allocator that it
/// enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Small blocks on one thread.
    Single,
    /// Small blocks on several threads at once.
    Parallel,
    /// Something else: large blocks, the start of a thread or of the program, memory given back.
    Other,
}

/// One pattern of use, run by the program `workload` (`hello`: by the program of that name).
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line and in the tables.
    pub name: &'static str,
    /// The mean of peak memory that it enters.
    pub heap: Heap,
    /// The comparison with a locked allocator that it enters.
    pub kind: Kind,
    /// What it does, and which well-known program has the same pattern.
    pub what: &'static str,
}

const fn workload(name: &'static str, heap: Heap, kind: Kind, what: &'static str) -> Workload {
    Workload {
        name,
        heap,
        kind,
        what,
    }
}

/// All workloads.
pub const WORKLOADS: &[Workload] = {
    use Heap::{Large, Small};
    use Kind::{Other, Parallel, Single};
    &[
        workload(
            "small",
            Small,
            Single,
            "short-lived objects of 8 to 512 bytes (cfrac, espresso)",
        ),
        workload(
            "pareto",
            Small,
            Single,
            "random replacement, Pareto sizes (alloc-test)",
        ),
        workload(
            "pareto-threads",
            Large,
            Parallel,
            "the same in each thread, larger heaps",
        ),
        workload(
            "server",
            Small,
            Parallel,
            "threads that hand their blocks to successors (larson)",
        ),
        workload(
            "producer-consumer",
            Small,
            Parallel,
            "one allocates, the other frees (xmalloc-test)",
        ),
        workload(
            "bulk-lifo",
            Small,
            Parallel,
            "bulks freed last first, half of them by a neighbour (sh6bench)",
        ),
        workload(
            "bulk-fifo",
            Small,
            Parallel,
            "bulks freed first first, half of them by a neighbour (sh8bench)",
        ),
        workload(
            "survivors",
            Large,
            Parallel,
            "blocks that outlive their threads, round after round (mstress)",
        ),
        workload(
            "linear-falloff",
            Large,
            Parallel,
            "16 to 8000 bytes, some freed by a neighbour (rptest)",
        ),
        workload(
            "false-sharing-active",
            Small,
            Other,
            "tiny objects written often (cache-thrash)",
        ),
        workload(
            "false-sharing-passive",
            Small,
            Other,
            "the same after freeing a stranger's object (cache-scratch)",
        ),
        workload(
            "large-pairs",
            Large,
            Other,
            "32 KiB to 16 MiB, allocated and freed in turn",
        ),
        workload(
            "realloc-growth",
            Large,
            Other,
            "vectors that grow by half to 1 GiB, and in small steps",
        ),
        workload(
            "calloc-large",
            Large,
            Other,
            "64 KiB to 64 MiB of zeros, sparsely used",
        ),
        workload(
            "idle-threads",
            Small,
            Other,
            "a thousand threads that allocate a little and wait",
        ),
        workload("hello", Small, Other, "start, 20 blocks, exit"),
        workload(
            "free-1gib",
            Large,
            Other,
            "1 GiB of small blocks, freed in random order",
        ),
        workload(
            "dead-threads",
            Large,
            Other,
            "1,000 threads leave 1 MiB each; the main thread frees it",
        ),
    ]
};

impl Workload {
    /// The workload of that name.
    pub fn named(name: &str) -> Option<&'static Workload> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }
}
