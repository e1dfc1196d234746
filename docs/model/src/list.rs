//! A bounded list that can be copied, compared and hashed.
//!
//! Decides: unused places hold the default, so that equal lists have equal hashes whatever they held before. Trusts: nothing.
//! Out of scope: what the bounds are; each model names its own, and offers no action that would exceed one.

use std::ops::{Deref, DerefMut};

/// At most `N` values.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct List<T, const N: usize> {
    len: u8,
    items: [T; N],
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        List { len: 0, items: [T::default(); N] }
    }
}

impl<T: Copy + Default, const N: usize> List<T, N> {
    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.len() == N
    }

    /// Appends; gives the place.
    ///
    /// # Panics
    /// When the list is full: an action was offered beyond the model's bounds.
    pub fn push(&mut self, item: T) -> usize {
        assert!(!self.is_full(), "no action is offered beyond the bounds of the model");
        let at = self.len();
        self.items[at] = item;
        self.len += 1;
        at
    }

    /// Keeps the first `len`.
    pub fn truncate(&mut self, len: usize) {
        while self.len() > len {
            self.len -= 1;
            self.items[usize::from(self.len)] = T::default();
        }
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.items[..usize::from(self.len)]
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items[..usize::from(self.len)]
    }
}

impl<T: std::fmt::Debug, const N: usize> std::fmt::Debug for List<T, N> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_leaves_no_trace() {
        let mut list: List<u8, 3> = List::default();
        list.push(7);
        list.push(8);
        list.truncate(1);
        let mut other: List<u8, 3> = List::default();
        other.push(7);
        assert_eq!(list, other);
        assert_eq!(list.items, [7, 0, 0]);
    }
}
