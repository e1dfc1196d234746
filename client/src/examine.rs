//! Verifying a node without using it.
//!
//! Decides: what a look at a node comes to: a judgement, whichever way it ended, or that there was nothing to judge. No credential is used.
//! Trusts: the dialler for the order of steps. Out of scope: sessions (`dial.rs`), showing (`cli/verify.rs`). Protocol section 3.1, steps 0 to 5.

use crate::Exchange;
use crate::clock;
use crate::dial::NodeDialler;
use crate::error::{Attempt, ConnectError};
use crate::link::DialError;
use crate::options::Options;
use crate::{Examined, Verification};

/// Verifies the node at `address` and leaves without saying who asked: no credential is used, nothing of the user is sent.
pub async fn verify_node(options: &Options, address: &str) -> Result<Verification, ConnectError> {
    let (_, examined) = examine_node(options, address).await?;
    examined.verdict.map_err(|error| ConnectError::of_evidence(address.to_owned(), error, Vec::new()))
}

/// [`verify_node`] with all its reasons, whichever way it ended, and the exchange itself, which can be kept and judged again. An error means
/// that there is nothing to judge.
pub async fn examine_node(options: &Options, address: &str) -> Result<(Exchange, Examined), ConnectError> {
    let dialler = NodeDialler::new(options.clone())?;
    let until = clock::now() + options.timeouts.dial;
    let seen = dialler.examine(address, until).await;
    let (address, tried) = (address.to_owned(), Vec::new());
    seen.map_err(|fault| match fault {
        DialError::Evidence(error) | DialError::OldPolicy(error) => ConnectError::of_evidence(address, error, tried),
        DialError::OtherCluster { claimed, pinned } => ConnectError::OtherCluster { address, claimed, pinned, tried },
        DialError::History(trouble) => ConnectError::of_history(address, trouble, tried),
        fault => {
            let waited_ms = clock::millis(options.timeouts.dial);
            ConnectError::Unavailable { waited_ms, tried: vec![Attempt { address, cause: fault.to_string(), refused: false }] }
        }
    })
}
