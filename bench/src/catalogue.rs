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

/// What kind of work it is, which decides how it is run and which mean it enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A pattern of use that does little but allocate: the means over all workloads are over these.
    Pattern,
    /// A real program that does its own work as well: these have a mean of their own.
    Program,
    /// Something that must not grow with the size of the process, or not fast: in no mean.
    Scale,
    /// Each call is timed: in no mean, for it is the calls that count.
    Latency,
}

/// One workload, run by the program `workload` (`hello`: by the program of that name; those of
/// [`Group::Program`]: by `program`).
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line and in the tables.
    pub name: &'static str,
    /// The mean of peak memory that it enters.
    pub heap: Heap,
    /// The comparison with a locked allocator that it enters.
    pub kind: Kind,
    /// What kind of work it is.
    pub group: Group,
    /// What it does, and which well-known program has the same pattern.
    pub what: &'static str,
}

const fn workload(name: &'static str, heap: Heap, kind: Kind, what: &'static str) -> Workload {
    Workload {
        name,
        heap,
        kind,
        group: Group::Pattern,
        what,
    }
}

const fn other(name: &'static str, group: Group, heap: Heap, what: &'static str) -> Workload {
    Workload {
        name,
        heap,
        kind: Kind::Other,
        group,
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
        other(
            "redis",
            Group::Program,
            Small,
            "redis-server: SET, GET, LPUSH, HSET and MSET, 16 requests in each pipeline",
        ),
        other(
            "sqlite",
            Group::Program,
            Small,
            "sqlite3: 100,000 rows in memory, indices, joins, updates",
        ),
        other(
            "compiler",
            Group::Program,
            Large,
            "g++ -O1: a file of containers, templates and threads",
        ),
        other(
            "python",
            Group::Program,
            Large,
            "python3 with every object in malloc: dictionaries, classes, JSON",
        ),
        other(
            "rust-echo",
            Group::Program,
            Small,
            "a tokio server and 100 clients on four workers",
        ),
        other(
            "rust-json",
            Group::Program,
            Large,
            "serde_json and rayon: records are written, read, grouped and changed",
        ),
        other(
            "rust-search",
            Group::Program,
            Small,
            "the engine of ripgrep over this repository",
        ),
        other(
            "rust-highlight",
            Group::Program,
            Large,
            "syntect and rayon: sources become HTML",
        ),
        other(
            "fork",
            Group::Scale,
            Large,
            "a process with 1 GiB of small blocks forks 20 times; each child allocates and frees",
        ),
        other(
            "busy-threads",
            Group::Scale,
            Large,
            "1,000 threads at once, each replaces blocks of its own",
        ),
        other(
            "sparse-20gib",
            Group::Scale,
            Large,
            "20 GiB in blocks of 64 KiB to 4 MiB, of which the ends are written",
        ),
        other(
            "latency",
            Group::Latency,
            Small,
            "as many threads as cores, each call of malloc and free timed, a quarter of the frees remote",
        ),
        other(
            "latency-crowd",
            Group::Latency,
            Small,
            "the same with four times as many threads",
        ),
    ]
};

impl Workload {
    /// Whether its time is compared at all.
    pub fn compares_time(&self) -> bool {
        self.group != Group::Latency
    }

    /// The workload of that name.
    pub fn named(name: &str) -> Option<&'static Workload> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }
}
