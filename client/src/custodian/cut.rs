//! Where a run can be cut off between two changes of a file: nothing in a program, a count in the tests of this crate.
//!
//! Decides: in tests, that the change after the `n`th fails as if the machine had stopped there, and every one after it too. Trusts: nothing.
//! Out of scope: what is left on the disk by then, which is the point of the tests that cut.

#[cfg(not(test))]
pub(super) fn here() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use counted::{after, here};

#[cfg(test)]
mod counted {
    use std::cell::Cell;
    use std::io::{Error, Result};

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Whether the run goes on.
    pub(crate) fn here() -> Result<()> {
        LEFT.with(|left| match left.get() {
            None => Ok(()),
            Some(0) => Err(Error::other("the run was cut off here")),
            Some(count) => {
                left.set(Some(count - 1));
                Ok(())
            }
        })
    }

    /// Runs `work` and cuts it off after `changes` changes.
    pub(crate) fn after<T>(changes: u32, work: impl FnOnce() -> T) -> T {
        LEFT.with(|left| left.set(Some(changes)));
        let done = work();
        LEFT.with(|left| left.set(None));
        done
    }
}
