//! The types that stand in the place of the atomics and cells, as the production code names them.

extern crate std;

use super::{Kind, Object, Ordering, Shadow, marked, touch};
use std::{sync::atomic as plain, thread::panicking};

/// As the `Cell` of the core library.
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct Cell<T>(core::cell::Cell<T>);

impl<T> Cell<T> {
    #[track_caller]
    fn touch(&self, writes: bool) {
        touch(std::ptr::from_ref(self).addr(), size_of::<T>(), writes);
    }

    #[track_caller]
    pub(crate) fn set(&self, value: T) {
        self.touch(true);
        // A thread that a fork has ended changes nothing on its way out.
        if !panicking() {
            self.0.set(value);
        }
    }

    #[track_caller]
    pub(crate) fn replace(&self, value: T) -> T {
        self.touch(true);
        self.0.replace(value)
    }
}

impl<T: Copy> Cell<T> {
    #[track_caller]
    pub(crate) fn get(&self) -> T {
        self.touch(false);
        self.0.get()
    }
}

/// One operation on the shadow of an atomic, else on the atomic.
macro_rules! on {
    ($self:ident, $kind:ident, $writes:literal, $atomic:ident => $operation:expr) => {
        match marked(std::ptr::from_ref($self).addr(), Kind::$kind, $writes).as_deref() {
            Some(Shadow {
                object: Object::$kind($atomic),
                ..
            }) => $operation,
            _ => {
                let $atomic = &$self.0;
                $operation
            }
        }
    };
}

macro_rules! atomic {
    ($name:ident, $kind:ident, $int:ty) => {
        /// As the atomic of this name of the core library. The weak exchange does not fail for no reason.
        #[repr(transparent)]
        pub(crate) struct $name(plain::$name);

        #[allow(dead_code, reason = "not every width has every operation")]
        impl $name {
            pub(crate) const fn new(value: $int) -> Self {
                Self(plain::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $int {
                on!(self, $kind, false, atomic => atomic.load(order))
            }

            pub(crate) fn store(&self, value: $int, order: Ordering) {
                on!(self, $kind, true, atomic => atomic.store(value, order))
            }

            pub(crate) fn swap(&self, value: $int, order: Ordering) -> $int {
                on!(self, $kind, true, atomic => atomic.swap(value, order))
            }

            pub(crate) fn compare_exchange(
                &self,
                old: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                on!(self, $kind, true, atomic => atomic.compare_exchange(old, new, success, failure))
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                old: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                self.compare_exchange(old, new, success, failure)
            }

            pub(crate) fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                on!(self, $kind, true, atomic => atomic.fetch_add(value, order))
            }

            pub(crate) fn fetch_sub(&self, value: $int, order: Ordering) -> $int {
                on!(self, $kind, true, atomic => atomic.fetch_sub(value, order))
            }

            pub(crate) fn fetch_or(&self, value: $int, order: Ordering) -> $int {
                on!(self, $kind, true, atomic => atomic.fetch_or(value, order))
            }

            pub(crate) fn fetch_and(&self, value: $int, order: Ordering) -> $int {
                on!(self, $kind, true, atomic => atomic.fetch_and(value, order))
            }

            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut change: impl FnMut($int) -> Option<$int>,
            ) -> Result<$int, $int> {
                let mut now = self.load(failure);
                loop {
                    let new = change(now).ok_or(now)?;
                    match self.compare_exchange(now, new, success, failure) {
                        Ok(old) => return Ok(old),
                        Err(other) => now = other,
                    }
                }
            }

            pub(crate) fn fetch_max(&self, value: $int, order: Ordering) -> $int {
                on!(self, $kind, true, atomic => atomic.fetch_max(value, order))
            }
        }
    };
}

atomic!(AtomicU16, U16, u16);
atomic!(AtomicU32, U32, u32);
atomic!(AtomicU64, U64, u64);
atomic!(AtomicUsize, Usize, usize);

/// As the `AtomicPtr` of the core library.
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(AtomicUsize, core::marker::PhantomData<*mut T>);

// SAFETY: an address; what is there is the business of whoever follows it.
unsafe impl<T> Sync for AtomicPtr<T> {}

impl<T> AtomicPtr<T> {
    pub(crate) const fn new(pointer: *mut T) -> Self {
        // A constant pointer has no address; there is only one that is ever needed.
        assert!(pointer.is_null());
        Self(AtomicUsize::new(0), core::marker::PhantomData)
    }

    fn pointer(address: usize) -> *mut T {
        std::ptr::with_exposed_provenance_mut(address)
    }

    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        Self::pointer(self.0.load(order))
    }

    pub(crate) fn store(&self, pointer: *mut T, order: Ordering) {
        self.0.store(pointer.expose_provenance(), order);
    }

    pub(crate) fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T {
        Self::pointer(self.0.swap(pointer.expose_provenance(), order))
    }

    pub(crate) fn compare_exchange(
        &self,
        old: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        let (old, new) = (old.expose_provenance(), new.expose_provenance());
        let result = self.0.compare_exchange(old, new, success, failure);
        result.map(Self::pointer).map_err(Self::pointer)
    }
}

/// A number that nothing but policy and statistics rest on: loom does not watch it, and its changes have one order.
#[repr(transparent)]
pub(crate) struct Tally(plain::AtomicUsize);

impl Tally {
    pub(crate) const fn new(value: usize) -> Self {
        Self(plain::AtomicUsize::new(value))
    }

    pub(crate) fn load(&self, _order: Ordering) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self, value: usize, _order: Ordering) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn fetch_add(&self, value: usize, _order: Ordering) -> usize {
        self.0.fetch_add(value, Ordering::Relaxed)
    }

    pub(crate) fn fetch_sub(&self, value: usize, _order: Ordering) -> usize {
        self.0.fetch_sub(value, Ordering::Relaxed)
    }

    pub(crate) fn fetch_max(&self, value: usize, _order: Ordering) -> usize {
        self.0.fetch_max(value, Ordering::Relaxed)
    }
}
