//! The page that tells how a platform is added names every function of the contract, and only tests that there are.

const README: &str = include_str!("../README.md");
const CONTRACT: &str = include_str!("../src/lib.rs");
const TESTS: [&str; 5] = [
    include_str!("contract.rs"),
    include_str!("contract/guards.rs"),
    include_str!("hooks.rs"),
    include_str!("posix.rs"),
    include_str!("thread_block.rs"),
];

/// The rows of the table of functions: first column, last column.
fn rows() -> Vec<(&'static str, &'static str)> {
    let table = README.split("| function | contract, in short |").nth(1);
    let lines = table.expect("there is a table").lines().skip(2);
    let cells = |line: &'static str| {
        let mut cells = line.trim_matches('|').split('|');
        Some((cells.next()?, cells.next_back()?))
    };
    lines
        .take_while(|line| line.starts_with('|'))
        .filter_map(cells)
        .collect()
}

/// What stands between backticks.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_function_of_the_contract_has_a_row() {
    let contract = CONTRACT
        .split("pub unsafe trait Platform")
        .nth(1)
        .and_then(|rest| rest.split("\n}\n").next())
        .expect("there is a contract");
    let functions = contract.lines().filter_map(|line| {
        let line = line.trim_start_matches("    ");
        let line = line.strip_prefix("unsafe ").unwrap_or(line);
        line.strip_prefix("fn ")?.split('(').next()
    });
    let rows = rows();
    let mut count = 0;
    for function in functions {
        let is_named = |&(cell, _): &(&str, &str)| names(cell).any(|name| name == function);
        assert!(rows.iter().any(is_named), "{function} has no row");
        count += 1;
    }
    assert!(count > 20, "{count} functions were found");
}

/// The module that has the least of all is the list of what a module has to have beside the contract.
#[test]
fn what_is_exported_beside_the_contract_is_named() {
    let exported = CONTRACT.split("pub use windows::{").nth(1);
    let exported = exported.and_then(|rest| rest.split('}').next());
    let steps = README.split("## Adding a platform").nth(1);
    let named: Vec<_> = names(steps.expect("there are steps")).collect();
    let mut count = 0;
    for name in exported.expect("there is a module for Windows").split(',') {
        let name = name.trim();
        assert!(
            name.is_empty() || named.contains(&name),
            "{name} is not named"
        );
        count += 1;
    }
    assert!(count > 8, "{count} names were found");
}

#[test]
fn every_test_that_is_named_exists() {
    let mut count = 0;
    for (_, tests) in rows() {
        for name in names(tests).filter(|name| name.contains('_') && !name.contains(['.', ' '])) {
            let text = name.trim_end_matches('.');
            let found = TESTS
                .iter()
                .any(|file| file.contains(&format!("fn {text}")));
            assert!(found, "there is no test {name}");
            count += 1;
        }
    }
    assert!(count > 15, "{count} names were found");
}
