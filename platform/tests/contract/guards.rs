//! Memory that cannot be touched.

use crate::common::{at, bytes, holds, map, read_faults, unmap};
use ralloc_platform::Platform;

/// A kernel may have no such call; then nothing has changed.
pub(crate) fn guarded_memory_faults_and_comes_back_as_zeros(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 9 * page, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(base, 9 * page) }.fill(7);
    let guard = || {
        // SAFETY: the contents of the middle are not needed.
        unsafe { kernel.guard(at(base, 3 * page), 3 * page) }
    };
    if guard() {
        assert!(read_faults(|| at(base, 3 * page)) && read_faults(|| at(base, 6 * page - 1)));
        // SAFETY: guarded above, and nobody else's.
        assert!(unsafe { kernel.unguard(at(base, 3 * page), 3 * page) });
        // SAFETY: memory again.
        assert!(unsafe { holds(at(base, 3 * page), 3 * page, 0) });
    } else {
        // SAFETY: as it was.
        assert!(unsafe { holds(at(base, 3 * page), 3 * page, 7) });
    }
    for part in [base, at(base, 6 * page)] {
        // SAFETY: what was never guarded.
        assert!(unsafe { holds(part, 3 * page, 7) });
    }
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, base, 9 * page) };
}

/// A kernel may have no such call; then nothing has changed.
pub(crate) fn hidden_memory_faults_and_comes_back_as_it_was(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 9 * page, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(base, 9 * page) }.fill(7);
    // SAFETY: nobody reaches for the middle but this test.
    if unsafe { kernel.hide(at(base, 3 * page), 3 * page) } {
        assert!(read_faults(|| at(base, 3 * page)) && read_faults(|| at(base, 6 * page - 1)));
        // SAFETY: its contents are not needed.
        assert!(unsafe { kernel.purge(at(base, 5 * page), page) });
        // SAFETY: hidden above, and nobody else's.
        assert!(unsafe { kernel.unguard(at(base, 3 * page), 3 * page) });
        // SAFETY: memory again.
        assert!(unsafe { holds(at(base, 5 * page), page, 0) });
    } else {
        // SAFETY: as it was.
        assert!(unsafe { holds(at(base, 5 * page), page, 7) });
    }
    for (part, pages) in [(base, 5), (at(base, 6 * page), 3)] {
        // SAFETY: what was not purged.
        assert!(unsafe { holds(part, pages * page, 7) });
    }
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, base, 9 * page) };
}

/// A kernel may have no such call.
pub(crate) fn reserved_addresses_fault_and_are_nobody_elses(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 9 * page, page);
    assert!(!kernel.reserve(base, 9 * page), "they are in use");
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, at(base, 3 * page), 3 * page) };
    if kernel.reserve(at(base, 3 * page), 3 * page) {
        assert!(read_faults(|| at(base, 3 * page)));
        assert!(!kernel.reserve(at(base, 5 * page), page), "they are taken");
        // SAFETY: taken above.
        unsafe { unmap(kernel, at(base, 3 * page), 3 * page) };
    }
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, base, 3 * page) };
    // SAFETY: as above.
    unsafe { unmap(kernel, at(base, 6 * page), 3 * page) };
}
