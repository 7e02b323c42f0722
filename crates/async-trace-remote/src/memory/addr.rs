//! An address in the target.

use std::fmt;
use std::ops::{Add, Sub};

/// An address in the target: a claim, never something to dereference here. Arithmetic wraps, since a
/// torn pointer can be any number; reading is what tells whether there is anything.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Addr(pub u64);

impl Addr {
    pub(crate) const NULL: Self = Self(0);

    pub(crate) fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address unless it is NULL.
    pub(crate) fn non_null(self) -> Option<Self> {
        if self.is_null() { None } else { Some(self) }
    }
}

impl Add<u64> for Addr {
    type Output = Self;
    fn add(self, offset: u64) -> Self {
        Self(self.0.wrapping_add(offset))
    }
}

impl Sub<u64> for Addr {
    type Output = Self;
    fn sub(self, offset: u64) -> Self {
        Self(self.0.wrapping_sub(offset))
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl From<Addr> for async_trace_core::snapshot::Id {
    fn from(addr: Addr) -> Self {
        Self(addr.0)
    }
}
