//! A lock of which a race detector sees every step. The standard library's is invisible to it where it has to wait, because
//! the standard library comes compiled without the detector.
//!
//! `held` is true exactly while there is a guard.

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
};
use std::thread;

/// A value that one thread at a time can reach. A panic while it is held leaves it as it is, and opens the lock.
#[derive(Debug, Default)]
pub struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time has the guard.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// An open lock.
    pub const fn new(value: T) -> Self {
        Self {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Wait for the value.
    pub fn lock(&self) -> Guard<'_, T> {
        // Acquire: pairs with the Release in `drop`; makes visible what the holder before has written.
        while self.held.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
        Guard(self, PhantomData)
    }

    /// The value, for good.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

/// Access to the value, until it is dropped. It stays in its thread.
#[derive(Debug)]
pub struct Guard<'a, T>(&'a Lock<T>, PhantomData<*mut T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held by this guard.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held by this guard.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `lock`.
        self.0.held.store(false, Ordering::Release);
    }
}
