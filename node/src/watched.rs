//! A file an operator may replace while the node runs: how often it is looked at, and when it has to be judged anew.
//!
//! Decides: a file is another one when its size or its time is; what it was judged by is part of that, so that a policy that comes into force has the same file
//! judged again. Trusts: nothing: whoever reads the file judges it. Out of scope: reading and judging (`stapling.rs`, `publication.rs`). Protocol section 8, "Releases".

use ringwall_wire::ids::Digest;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Time between two looks at a file: what is put there is shown to clients so much later.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// What a judgement is about: a file as it looks, under the policy in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JudgedFile {
    /// Bytes and time of the last change; none where it cannot be looked at.
    looks: Option<(u64, Option<SystemTime>)>,
    policy: Digest,
}

impl JudgedFile {
    /// The file as it looks now.
    pub(crate) fn now(file: &Path, policy: Digest) -> Self {
        let looks = std::fs::metadata(file).ok().map(|found| (found.len(), found.modified().ok()));
        JudgedFile { looks, policy }
    }
}
