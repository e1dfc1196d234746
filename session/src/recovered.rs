//! That a cluster's epoch began with a recovery, and whether that is public.
//!
//! Decides: what a node tells is held against the log and the witnesses of the policy it was judged by. A start that is in that log was seen by them, so that a
//! second recovery of the same epoch shows to whoever reads the log. One that is not public is said plainly, with its age, and refused by nobody: a cluster whose log
//! is down must be recoverable (decision 0049).
//! Trusts: the node, which attested, for how and when the epoch began; receipts show the rest (`anchor`). Out of scope: publishing (`client`).
//! Protocol sections 5.2 and 6.2.

use crate::dial::DialError;
use crate::verification::Verification;
use ringwall_attest::date;
use ringwall_attest::release::{Publication, verify_published};
use ringwall_wire::ids::{ClusterId, Epoch};
use ringwall_wire::policy::{PolicyDoc, ReleaseRule};
use ringwall_wire::receipt::{EpochStart, Recovered};
use ringwall_wire::release::LogEntry;

/// Whether the start of an epoch is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publicity {
    /// The policy names no log.
    NoLog,
    /// The node shows nothing.
    NotShown,
    /// What the node shows does not hold, and why.
    Refused(String),
    /// It is this entry of the log.
    Public {
        /// Its place.
        index: u64,
        /// By when enough witnesses had seen it, Unix seconds.
        since_s: u64,
    },
}

/// One recovery a node told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How the epoch began, in the words of the node.
    pub start: EpochStart,
    /// When, Unix seconds by the time of the state; 0 where that is not known.
    pub began_s: u64,
    /// Whether that is public.
    pub publicity: Publicity,
    /// Whether this client had seen the cluster before it.
    pub is_news: bool,
}

/// Why a node's words about recoveries are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what it says of how epoch {epoch} began contradicts what it attested or told before")]
pub struct Contradiction {
    /// The epoch it serves.
    pub epoch: Epoch,
}

impl Recovery {
    /// What a node of this cluster and epoch told, the newest last: `epochs` began since the one this client had seen.
    pub fn all(
        (cluster_id, epoch, policy): (ClusterId, Epoch, &PolicyDoc),
        epochs: &[EpochStart],
        told: Option<&Recovered>,
    ) -> Result<Vec<Recovery>, Contradiction> {
        let Some(Recovered { start, began_s, published }) = told else { return Ok(Vec::new()) };
        let ours = start.cluster_id == cluster_id && start.epoch == epoch;
        if !ours || epochs.last().is_some_and(|last| last != start) {
            return Err(Contradiction { epoch });
        }
        let judged = judge(policy, published);
        let one = |start: &EpochStart, began_s, is_news| {
            let publicity = judged.publicity(start);
            Recovery { start: start.clone(), began_s, publicity, is_news }
        };
        let earlier = epochs.iter().take(epochs.len().saturating_sub(1));
        let mut all: Vec<Recovery> = earlier.map(|start| one(start, 0, true)).collect();
        all.push(one(start, *began_s, !epochs.is_empty()));
        Ok(all)
    }

    /// Whether somebody has to be told each time: the policy names a log, and nothing shows that the start is in it.
    pub fn is_hidden(&self) -> bool {
        matches!(self.publicity, Publicity::NotShown | Publicity::Refused(_))
    }

    /// What people are told, at `now_s`.
    pub fn words(&self, now_s: u64) -> String {
        let epoch = self.start.epoch;
        let (when, age) = match self.began_s {
            0 => (String::new(), String::new()),
            began_s => (format!(" at {}", date(began_s)), format!(", {} ago", span(now_s.saturating_sub(began_s)))),
        };
        let began = format!("epoch {epoch} of this cluster began with a recovery{when}, from {} log entries", self.start.previous.size);
        let fix = "until it is, another recovery of the same epoch could be shown to others: ask the operator to publish it (ringwall release publish-epochs)";
        match &self.publicity {
            Publicity::NoLog => format!("{began}; its policy names no log in which that would be public"),
            Publicity::NotShown => format!("{began}{age}; NOT YET PUBLIC: the node shows no entry of the release log; {fix}"),
            Publicity::Refused(why) => {
                format!("{began}{age}; NOT YET PUBLIC: what the node shows of the release log does not hold ({why}); {fix}")
            }
            Publicity::Public { index, since_s } => {
                format!("{began}; it is entry {index} of the release log, seen by its witnesses by {}", date(*since_s))
            }
        }
    }
}

/// What a node told of recoveries, held against what it attested.
pub fn tell(node: &Verification, epochs: &[EpochStart], told: Option<&Recovered>) -> Result<Vec<Recovery>, DialError> {
    let judged = Recovery::all((node.cluster_id, node.epoch, &node.policy), epochs, told);
    judged.map_err(|fault| DialError::Breach(fault.to_string()))
}

/// What the proof a node showed comes to.
enum Judged {
    NoLog,
    Nothing,
    Refused(String),
    Holds(Publication),
}

fn judge(policy: &PolicyDoc, published: &[u8]) -> Judged {
    let ReleaseRule::Demanded(rule) = &policy.release else { return Judged::NoLog };
    if published.is_empty() {
        return Judged::Nothing;
    }
    match verify_published(published, rule) {
        Ok(holds) => Judged::Holds(holds),
        Err(fault) => Judged::Refused(fault.to_string()),
    }
}

impl Judged {
    fn publicity(&self, start: &EpochStart) -> Publicity {
        match self {
            Judged::NoLog => Publicity::NoLog,
            Judged::Nothing => Publicity::NotShown,
            Judged::Refused(why) => Publicity::Refused(why.clone()),
            Judged::Holds(published) => match published.place_of(&LogEntry::epoch_start(start)) {
                Some(index) => Publicity::Public { index, since_s: published.since_s() },
                None => Publicity::NotShown,
            },
        }
    }
}

/// A time in the largest unit it has two of.
fn span(seconds: u64) -> String {
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    unit.map_or_else(|| format!("{seconds} seconds"), |(unit, name)| format!("{} {name}", seconds / unit))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_sim::release::Publisher;
    use ringwall_wire::bounded::{Blob, List};
    use ringwall_wire::codec::Message as _;
    use ringwall_wire::ids::Digest;
    use ringwall_wire::receipt::TreePoint;
    use ringwall_wire::release::{Published, PublishedEntry};

    const CLUSTER: ClusterId = ClusterId([7; 32]);

    fn start(epoch: u32, account: u8) -> EpochStart {
        let previous = TreePoint { size: 9, root: Digest([1; 32]) };
        EpochStart { cluster_id: CLUSTER, epoch: Epoch(epoch), previous, account: Digest([account; 32]), witnesses: List::default() }
    }

    /// A proof that these starts are public, cosigned by so many witnesses.
    fn published(publisher: &mut Publisher, starts: &[EpochStart], witnesses: usize) -> Vec<u8> {
        let entries: Vec<LogEntry> = starts.iter().map(LogEntry::epoch_start).collect();
        let places: Vec<u64> = entries.iter().map(|entry| publisher.log.append(entry)).collect();
        let size = publisher.log.size();
        let shown = entries.into_iter().zip(places).map(|(entry, at)| PublishedEntry { entry, proof: publisher.log.inclusion(at, size) });
        let entries = List::new(shown.collect()).unwrap();
        Published { checkpoint: publisher.log.head(&publisher.witnesses[..witnesses], 5), entries }.encode()
    }

    fn told(start: &EpochStart, published: &[u8]) -> Recovered {
        Recovered { start: start.clone(), began_s: 1_000, published: Blob::new(published.to_vec()).unwrap() }
    }

    #[test]
    fn a_recovery_is_public_when_the_witnesses_of_the_policys_log_saw_this_very_start() {
        let mut publisher = Publisher::default();
        let mut policy = ringwall_sim::world::policy();
        let (second, third, other) = (start(2, 1), start(3, 1), start(3, 2));
        let both = published(&mut publisher, &[second.clone(), third.clone()], 3);
        let judged = |policy: &PolicyDoc, epochs: &[EpochStart], proof: &[u8]| {
            Recovery::all((CLUSTER, Epoch(3), policy), epochs, Some(&told(&third, proof))).unwrap()
        };
        let [alone] = &judged(&policy, &[], &both)[..] else { panic!("the newest alone") };
        assert_eq!((&alone.publicity, alone.is_news, alone.is_hidden()), (&Publicity::NoLog, false, false));
        policy.release = publisher.demanded();
        let all = judged(&policy, &[second.clone(), third.clone()], &both);
        assert_eq!(
            all.iter().map(|one| one.publicity.clone()).collect::<Vec<_>>(),
            [Publicity::Public { index: 1, since_s: 5 }, Publicity::Public { index: 2, since_s: 5 }]
        );
        assert!(all.iter().all(|one| one.is_news));
        let [hidden] = &judged(&policy, &[], &[])[..] else { panic!("the newest alone") };
        assert_eq!(hidden.publicity, Publicity::NotShown);
        assert!(hidden.is_hidden() && hidden.words(1_000 + 3 * 3_600).contains("3 hours ago; NOT YET PUBLIC"), "{}", hidden.words(0));
        // Another recovery of the same epoch is public; this one is not.
        let elsewhere = published(&mut publisher, std::slice::from_ref(&other), 3);
        assert_eq!(judged(&policy, &[], &elsewhere)[0].publicity, Publicity::NotShown);
        // Too few of the named witnesses saw it; a proof that was bent.
        for proof in [published(&mut publisher, std::slice::from_ref(&third), 1), both[..both.len() - 1].to_vec()] {
            let refused = &judged(&policy, &[], &proof)[0];
            assert!(matches!(refused.publicity, Publicity::Refused(_)) && refused.is_hidden(), "{refused:?}");
        }
    }

    #[test]
    fn a_node_tells_one_story() {
        let policy = ringwall_sim::world::policy();
        let all = |epoch, epochs: &[EpochStart], newest: &EpochStart| {
            Recovery::all((CLUSTER, Epoch(epoch), &policy), epochs, Some(&told(newest, &[])))
        };
        assert!(all(3, &[start(2, 1), start(3, 1)], &start(3, 1)).is_ok());
        assert!(all(3, &[start(2, 1), start(3, 2)], &start(3, 1)).is_err(), "two starts of one epoch");
        assert!(all(4, &[], &start(3, 1)).is_err(), "of another epoch than it attested");
        let foreign = EpochStart { cluster_id: ClusterId([8; 32]), ..start(3, 1) };
        assert!(all(3, &[], &foreign).is_err(), "of another cluster");
        assert_eq!(Recovery::all((CLUSTER, Epoch(1), &policy), &[], None), Ok(Vec::new()));
    }
}
