//! Which proof of release a node hands out.
//!
//! Decides: a file that is named must be there and of a proof's size. Operational: whoever is shown a proof judges it, so a wrong file can only keep others from
//! believing this node. Trusts: nobody. Out of scope: judging and replacing it (`stapling.rs`). Protocol section 8, "Releases".

use crate::config::{ConfigError, Reading};
use crate::stapling::Staple;
use std::path::Path;
use std::sync::Arc;

impl Reading<'_> {
    pub(super) fn staple(&self, file: Option<&Path>) -> Result<Arc<Staple>, ConfigError> {
        let Some(file) = file else { return Ok(Staple::none()) };
        let fix = "write it with `ringwall release staple`, or leave the field out where the policy demands none";
        Staple::open(self.base.join(file)).map_err(|fault| self.fault("release_proof", fault.to_string(), fix))
    }
}
