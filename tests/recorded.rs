//! Traces of real programs, replayed against the oracle with as many threads as were recorded, each doing what its
//! model did, in the recorded order.

mod common;

use common::{
    Case, Held, Kernel,
    actors::Actors,
    trace::{Step, Trace, Verb},
};
use ralloc::c_abi;
use ralloc_platform::sim::Rules;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    thread,
};

/// Operations between two walks over the whole state.
const VERIFY_EVERY: usize = 5000;

/// The reference: live blocks by number, and where they are.
#[derive(Default)]
struct World {
    blocks: HashMap<usize, Held>,
    ends: BTreeMap<usize, usize>,
    births: usize,
}

impl World {
    /// A block has come into being. It overlaps no other.
    fn birth(&mut self, held: Held) {
        let (start, end) = (held.address(), held.address() + held.usable());
        if let Some((_, &other_end)) = self.ends.range(..end).next_back() {
            assert!(other_end <= start, "{held:?} overlaps another block");
        }
        self.ends.insert(start, end);
        self.blocks.insert(self.births, held);
        self.births += 1;
    }

    fn take(&mut self, number: usize) -> Held {
        let held = self.blocks.remove(&number).expect("a block that is live");
        self.ends.remove(&held.address());
        held
    }

    fn apply(&mut self, verb: Verb) {
        let seed = self.births as u64;
        let held = match verb {
            Verb::Malloc { size } => Held::new(c_abi::malloc::<Case>(size), size, 16, seed),
            Verb::Calloc { size } => {
                Held::new_zeroed(c_abi::calloc::<Case>(1, size), size, 16, seed)
            }
            Verb::Aligned { shift, size } => {
                let align = 1 << shift;
                Held::new(c_abi::memalign::<Case>(align, size), size, align, seed)
            }
            Verb::Realloc { old, size } => {
                let resized = self.take(old).resize(None, size, seed);
                resized.expect("there is memory enough")
            }
            Verb::Free { old } => return self.take(old).free(),
        };
        self.birth(held.expect("there is memory enough"));
    }
}

fn replay(trace: &Trace) {
    let world = Mutex::new(World::default());
    let do_part = |part: &[Step]| {
        let mut world = world.lock().expect("no panic while it is held");
        part.iter().for_each(|step| world.apply(step.verb));
    };
    thread::scope(|scope| {
        let mut actors = Actors::new(scope, trace.threads);
        let mut since = 0;
        for part in trace.steps.chunk_by(|a, b| a.thread == b.thread) {
            let last = part.last().expect("not empty");
            actors.act(last.thread, || do_part(part));
            if last.is_last {
                actors.end(last.thread);
            }
            since += part.len();
            if since > VERIFY_EVERY {
                common::verify();
                since = 0;
            }
        }
        actors.end_all();
    });
    let world = world.into_inner().expect("no panic");
    world.blocks.into_values().for_each(Held::free);
}

/// The tests of each trace: a name, how many threads it has at least, and the file.
macro_rules! traces {
    ($($name:ident $threads:literal $file:literal)*) => {
        $(mod $name {
            use super::*;

            fn on(kernel: Kernel) {
                let trace = Trace::read(include_bytes!(concat!("traces/", $file)));
                assert!(trace.steps.len() > 10_000 && trace.threads >= $threads);
                common::run(kernel, || replay(&trace));
            }

            #[test]
            fn on_a_simulated_linux() {
                on(Kernel::sim(Rules::Linux));
            }

            #[test]
            fn on_a_simulated_redox() {
                on(Kernel::sim(Rules::Redox));
            }

            #[test]
            fn on_the_real_kernel() {
                on(Kernel::real());
            }
        })*
    };
}

traces! {
    sqlite 1 "sqlite.trace"
    perl 1 "perl.trace"
    python_with_threads 5 "python-threads.trace"
}
