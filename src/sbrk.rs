//! The program break. The heap never uses it, so moving it cannot harm the heap.
//!
//! ```
//! use ralloc::{Global, sbrk};
//!
//! // SAFETY: nothing is moved down on.
//! let now = unsafe { sbrk::sbrk::<Global>(0) }.expect("this system has a break");
//! // SAFETY: as above.
//! unsafe { sbrk::brk::<Global>(now) }.expect("it is there already");
//! ```

use ralloc_platform::Platform;

use crate::{
    primitive::Ordering,
    process::{Failure, Instance},
};

/// Move the program break by `increment` bytes (`sbrk`, SUSv2). Returns where it was.
///
/// # Errors
///
/// [`Failure::NoMemory`] if the kernel refuses, or has no break; then it is where it was.
///
/// # Safety
///
/// A break that is moved down leaves alone what others have placed there.
pub unsafe fn sbrk<I: Instance>(increment: isize) -> Result<usize, Failure> {
    let _guard = Guard::<I>::lock();
    let kernel = &I::process().memory.kernel;
    // SAFETY: asking changes nothing.
    let old = unsafe { kernel.program_break(None) };
    if old == 0 {
        return Err(Failure::NoMemory);
    }
    if increment != 0 {
        let wanted = old.checked_add_signed(increment).ok_or(Failure::NoMemory)?;
        // SAFETY: the caller's promise.
        if unsafe { kernel.program_break(Some(wanted)) } != wanted {
            return Err(Failure::NoMemory);
        }
    }
    Ok(old)
}

/// Set the program break (`brk`, SUSv2).
///
/// # Errors
///
/// As for [`sbrk`].
///
/// # Safety
///
/// As for [`sbrk`].
pub unsafe fn brk<I: Instance>(address: usize) -> Result<(), Failure> {
    let _guard = Guard::<I>::lock();
    // SAFETY: the caller's promise.
    let now = unsafe { I::process().memory.kernel.program_break(Some(address)) };
    if now == address {
        Ok(())
    } else {
        Err(Failure::NoMemory)
    }
}

/// Between asking and setting, nobody else moves the break. A child of `fork` finds the lock open.
struct Guard<I: Instance>(core::marker::PhantomData<I>);

impl<I: Instance> Guard<I> {
    fn lock() -> Self {
        let process = I::process();
        // Acquire: pairs with the Release in `drop`.
        while process.break_lock.swap(1, Ordering::Acquire) != 0 {
            process.memory.kernel.yield_now();
        }
        Self(core::marker::PhantomData)
    }
}

impl<I: Instance> Drop for Guard<I> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `lock`.
        I::process().break_lock.store(0, Ordering::Release);
    }
}
