//! Scenarios (`common/scenario.rs`), each written once, run under every condition and on every kernel: a test for each.

mod common;

use common::{Kernel, scenario};
use ralloc_platform::sim::Rules;

fn on_a_simulated_linux() -> Kernel {
    Kernel::sim(Rules::Linux)
}

fn on_a_simulated_redox() -> Kernel {
    Kernel::sim(Rules::Redox)
}

fn on_the_real_kernel() -> Kernel {
    Kernel::real()
}

/// The tests of one scenario under one condition.
macro_rules! on_every_kernel {
    ($scenario:ident $condition:ident: $($kernel:ident)*) => {
        mod $condition {
            use crate::{common, scenario};
            $(#[test] fn $kernel() {
                common::run(crate::$kernel(), || scenario::$condition(scenario::$scenario));
            })*
        }
    };
}

/// The tests of one scenario.
macro_rules! under_every_condition {
    ($scenario:ident: $($condition:ident)*) => {
        $(on_every_kernel! {
            $scenario $condition: on_a_simulated_linux on_a_simulated_redox on_the_real_kernel
        })*
    };
}

macro_rules! scenarios {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            under_every_condition! {
                $scenario: plain in_several_threads in_acid in_dying_threads one_after_the_other
            }
            #[cfg(unix)]
            under_every_condition! { $scenario: in_forked_child }
        })*
    };
}

scenarios! {
    last_in_first_out
    first_in_first_out
    random_replacement
    realloc_growth
    zeroed
    hand_over
    aligned
    ebb_and_flow
}
