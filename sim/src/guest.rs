//! A simulated guest that is no node: a workload that asks for keys, for the command line, the example and the suites.
//!
//! Decides: how a line of text describes one: `CHIP[,build=NAME][,svn=NUMBER][,config=TEXT][,lie=NAME]...`. HOST_DATA is the SHA-256 and MRCONFIGID the
//! SHA-384 of the configuration's text, as an operator would hash a file; without one both are zero.
//! Trusts: nothing, protects nothing. Out of scope: what it is granted.

use crate::daemon::lie_named;
use crate::logs::program;
use crate::profile::{BuildImage, GuestConfig};
use crate::tee::SimTee;
use crate::world;
use ringwall_attest::Attester;
use ringwall_wire::ids::{ClusterId, Slot};
use sha2::{Digest as _, Sha256, Sha384};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Environment variable that describes the guest a simulated `ringwall` runs in.
pub const GUEST: &str = "RINGWALL_SIM_GUEST";

/// What a guest was started with, when its host hashed this text.
pub fn config(text: &str) -> GuestConfig {
    match text.is_empty() {
        true => GuestConfig { host_data: [0; 32], mr_config_id: [0; 48] },
        false => GuestConfig { host_data: Sha256::digest(text).into(), mr_config_id: Sha384::digest(text).into() },
    }
}

/// The guest a line describes, with endorsements as of now; none when it describes none.
pub fn guest(line: &str) -> Option<SimTee> {
    let mut parts = line.split(',');
    let nowhere = world::joining_config(ClusterId([0; 32]), Slot(0));
    let mut profile = world::machine(parts.next()?, nowhere)?;
    let (mut build, mut svn, mut text, mut lies) = (world::BUILD.to_owned(), 1, String::new(), Vec::new());
    for part in parts {
        match part.split_once('=')? {
            ("build", name) => build = name.to_owned(),
            ("svn", number) => svn = number.parse().ok()?,
            ("config", words) => text = words.to_owned(),
            ("lie", name) => lies.push(lie_named(name)?),
            _ => return None,
        }
    }
    profile.build = BuildImage::new(build, svn);
    profile.guest = Some(config(&text));
    profile.lies = lies;
    let now_s = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Some(SimTee::new(profile, 0).with_clock(now_s))
}

/// The `ringwall` command line with simulated roots, in the guest the environment describes; or the simulated log and its witnesses.
pub fn client(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if program::is_meant(&arguments) {
        return program::run(arguments);
    }
    let machine = std::env::var(GUEST).ok().and_then(|line| guest(&line));
    let machine = machine.map(|guest| Arc::new(guest) as Arc<dyn Attester>);
    ringwall_client::cli::run_in(arguments, crate::anchors(), machine)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lie::Lie;

    #[test]
    fn a_line_describes_a_guest_or_none() {
        let described = guest("tdx-1,build=payments-1,svn=3,config=region=eu").unwrap();
        assert_eq!((described.profile().build.id.as_str(), described.profile().build.svn), ("payments-1", 3));
        assert_eq!(described.profile().guest, Some(config("region=eu")));
        assert_eq!(guest("genoa-1").unwrap().profile().guest, Some(config("")));
        assert_eq!(guest("genoa-1,lie=SnpDebug").unwrap().profile().lies, [Lie::SnpDebug]);
        for wrong in ["", "arm-1", "genoa-1,build", "genoa-1,svn=x", "genoa-1,lie=Nothing", "genoa-1,other=1"] {
            assert!(guest(wrong).is_none(), "{wrong}");
        }
    }
}
