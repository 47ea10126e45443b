//! Each fact about the kernel's memory calls, on the model. `tests/redox/facts` asks the same of a kernel.

use super::*;

const BOTH: Access = Access {
    write: true,
    execute: false,
};
const NONE: Access = Access {
    write: false,
    execute: false,
};

/// A space with these grants, as (first page, pages).
fn space(grants: &[(usize, usize)]) -> Space {
    let mut space = Space::new();
    for &(start, pages) in grants {
        let place = Place::Free(start * PAGE);
        space.map(pages * PAGE, place, BOTH, false).unwrap();
    }
    space
}

fn anywhere(space: &mut Space, pages: usize) -> Result<usize, Errno> {
    let mapped = space.map(pages * PAGE, Place::Anywhere, BOTH, false);
    mapped.map(|(start, _)| start / PAGE)
}

/// All grants, as (first page, pages).
fn grants(space: &Space) -> Vec<(usize, usize)> {
    let spans = space.grants();
    spans
        .map(|(span, ..)| (span.start / PAGE, span.pages()))
        .collect()
}

fn pages(start: usize, count: usize) -> Span {
    Span::new(start * PAGE, count * PAGE)
}

#[test]
fn sizes_and_addresses_are_whole_pages() {
    assert_eq!(Span::checked(PAGE, 0), Err(Errno::EINVAL));
    assert_eq!(Span::checked(PAGE, 100), Err(Errno::EINVAL));
    assert_eq!(Span::checked(PAGE + 16, PAGE), Err(Errno::EINVAL));
    assert_eq!(Span::checked(END, PAGE), Err(Errno::EINVAL));
    assert_eq!(
        Span::checked(usize::MAX & !(PAGE - 1), PAGE),
        Err(Errno::EINVAL)
    );
    assert!(Span::checked(END - PAGE, PAGE).is_ok());
}

#[test]
fn the_smallest_hole_that_is_large_enough_is_taken() {
    // Holes of 10 pages at 2, 3 at 13, 5 at 20, and the rest.
    let mut space = space(&[(1, 1), (12, 1), (16, 4), (25, 1)]);
    assert_eq!(anywhere(&mut space, 3), Ok(13));
    assert_eq!(anywhere(&mut space, 4), Ok(20));
    assert_eq!(anywhere(&mut space, 2), Ok(2));
    assert_eq!(anywhere(&mut space, 9), Ok(26));
}

#[test]
fn the_lowest_of_equal_holes_is_taken() {
    let mut space = space(&[(1, 1), (4, 1), (7, 1)]);
    assert_eq!(anywhere(&mut space, 2), Ok(2));
    assert_eq!(anywhere(&mut space, 2), Ok(5));
}

#[test]
fn the_first_page_is_not_chosen_but_may_be_asked_for() {
    let mut space = Space::new();
    assert_eq!(anywhere(&mut space, 1), Ok(1));
    assert!(space.map(PAGE, Place::Free(0), BOTH, false).is_ok());
    space.unmap(pages(0, 2));
    space.set_floor(16 * PAGE);
    assert_eq!(anywhere(&mut space, 1), Ok(16));
}

#[test]
fn nothing_is_aligned_beyond_a_page() {
    let mut space = space(&[(1, 6)]);
    let large = (4 << 20) / PAGE;
    assert_eq!(anywhere(&mut space, large), Ok(7));
    assert_eq!(anywhere(&mut space, large), Ok(7 + large));
}

#[test]
fn what_is_taken_is_taken() {
    let mut space = space(&[(10, 2)]);
    for start in [9, 10, 11] {
        let place = Place::Free(start * PAGE);
        assert_eq!(
            space.map(2 * PAGE, place, BOTH, false),
            Err(Errno::EEXIST),
            "{start}"
        );
    }
    assert!(
        space
            .map(2 * PAGE, Place::Free(12 * PAGE), BOTH, false)
            .is_ok()
    );
    assert!(
        space
            .map(2 * PAGE, Place::Free(8 * PAGE), BOTH, false)
            .is_ok()
    );
    assert_eq!(grants(&space), [(8, 6)]);
}

#[test]
fn a_fixed_mapping_replaces_and_walks_what_was_there() {
    let mut space = space(&[(10, 4), (16, 4)]);
    let place = Place::Replacing(12 * PAGE);
    assert_eq!(space.map(6 * PAGE, place, BOTH, false), Ok((12 * PAGE, 4)));
    assert_eq!(grants(&space), [(10, 10)]);
    assert_eq!(space.pages(), 10);
}

#[test]
fn neighbours_with_equal_flags_become_one() {
    let mut space = space(&[(10, 2), (14, 2), (12, 2)]);
    assert_eq!(grants(&space), [(10, 6)]);
    space.protect(pages(12, 2), NONE).unwrap();
    assert_eq!(grants(&space), [(10, 2), (12, 2), (14, 2)]);
    space.protect(pages(12, 2), BOTH).unwrap();
    assert_eq!(grants(&space), [(10, 6)]);
}

#[test]
fn shared_memory_is_not_merged_and_gains_no_rights() {
    let mut space = Space::new();
    space.map(PAGE, Place::Free(PAGE), NONE, true).unwrap();
    space.map(PAGE, Place::Free(2 * PAGE), NONE, true).unwrap();
    assert_eq!(grants(&space), [(1, 1), (2, 1)]);
    assert_eq!(space.protect(pages(1, 1), BOTH), Err(Errno::EACCES));
    assert_eq!(space.access(PAGE), Some(NONE));
}

#[test]
fn any_part_and_several_grants_can_be_unmapped_at_once() {
    let mut space = space(&[(10, 8), (20, 4)]);
    assert_eq!(space.unmap(pages(12, 2)), 2);
    assert_eq!(grants(&space), [(10, 2), (14, 4), (20, 4)]);
    assert_eq!(space.unmap(pages(11, 11)), 1 + 4 + 2);
    assert_eq!(grants(&space), [(10, 1), (22, 2)]);
}

#[test]
fn a_hole_can_be_unmapped_and_protected() {
    let mut space = space(&[(10, 1)]);
    assert_eq!(space.unmap(pages(20, 5)), 0);
    assert_eq!(space.protect(pages(20, 5), NONE), Ok(vec![]));
    assert_eq!(space.protect(pages(8, 5), NONE), Ok(vec![pages(10, 1)]));
}

#[test]
fn memory_without_rights_is_granted_and_a_hole_is_not() {
    let mut space = space(&[(10, 2)]);
    space.protect(pages(10, 1), NONE).unwrap();
    assert_eq!(space.access(10 * PAGE), Some(NONE));
    assert_eq!(space.access(11 * PAGE), Some(BOTH));
    assert_eq!(space.access(12 * PAGE), None);
}

#[test]
fn more_than_any_machine_has_can_be_reserved_and_is_walked_in_the_end() {
    let mut space = Space::new();
    let tebibyte = (1 << 40) / PAGE;
    let start = anywhere(&mut space, tebibyte).unwrap();
    assert_eq!(space.unmap(pages(start, tebibyte)), tebibyte);
    assert_eq!(anywhere(&mut space, END / PAGE), Err(Errno::ENOMEM));
    assert_eq!((space.pages(), space.peak()), (0, tebibyte));
}

#[test]
fn moved_memory_leaves_a_hole_and_what_is_new_is_fresh() {
    let mut space = space(&[(10, 4), (100, 1)]);
    let moved = space
        .relocate(pages(10, 4), 6 * PAGE, Place::Anywhere, BOTH)
        .unwrap();
    // The hole below page 10 has 9 pages; it is smaller than those behind.
    let expected = Moved {
        to: PAGE,
        parts: vec![(pages(10, 4), PAGE)],
        cut: None,
        walked: 4,
    };
    assert_eq!(moved, expected);
    assert_eq!(grants(&space), [(1, 6), (100, 1)]);
}

#[test]
fn a_move_that_shrinks_gives_the_rest_back() {
    let mut space = space(&[(10, 4)]);
    let place = Place::Free(50 * PAGE);
    let moved = space.relocate(pages(10, 4), PAGE, place, BOTH).unwrap();
    assert_eq!((moved.cut, moved.walked), (Some(pages(11, 3)), 4));
    assert_eq!(grants(&space), [(50, 1)]);
}

#[test]
fn holes_in_what_is_moved_are_filled() {
    let mut space = space(&[(10, 1), (12, 1)]);
    let place = Place::Free(50 * PAGE);
    let moved = space.relocate(pages(10, 4), 4 * PAGE, place, BOTH).unwrap();
    assert_eq!(
        moved.parts,
        [(pages(10, 1), 50 * PAGE), (pages(12, 1), 52 * PAGE)]
    );
    assert_eq!(grants(&space), [(50, 4)]);
}

#[test]
fn memory_does_not_move_onto_itself() {
    let mut space = space(&[(10, 4)]);
    let onto = |place, space: &mut Space| space.relocate(pages(10, 4), 8 * PAGE, place, BOTH);
    assert_eq!(onto(Place::Free(10 * PAGE), &mut space), Err(Errno::EEXIST));
    assert_eq!(
        onto(Place::Replacing(12 * PAGE), &mut space),
        Err(Errno::EBUSY)
    );
    assert_eq!(
        onto(Place::Replacing(10 * PAGE), &mut space),
        Err(Errno::EBUSY)
    );
}
