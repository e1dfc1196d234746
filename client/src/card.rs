//! Reading a cluster card: the file that pins a cluster.
//!
//! Decides: a card is bytes or text, bounded, canonical, and consistent before anything in it is used. Trusts: whoever handed over the file; a cluster
//! id given beside it (`--cluster`) must match. Out of scope: how cards are made (`node`). Protocol section 2.1.

use ringwall_attest::governance::StepError;
use ringwall_session::card::{self, CardFault};
pub use ringwall_session::card::{newest_policy, policies};
use ringwall_wire::card_text::CardTextError;
use ringwall_wire::codec::DecodeError;
use ringwall_wire::genesis::{CardError, ClusterCard};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::limits::CARD_BYTES;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a card file; one with text holds a smaller card.
pub const CARD_FILE_BYTES: usize = CARD_BYTES;

/// Why a card was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadCardError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than any card.
    #[error("{} is larger than any cluster card ({most} bytes); is it another file?", .path.display())]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// Most bytes.
        most: usize,
    },
    /// It is no card.
    #[error("{} is no cluster card: {source}; ask the founders for the file cluster.card", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
    /// It is the text of no card.
    #[error("{} is no text of a cluster card: {source}", .path.display())]
    Text {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: CardTextError,
    },
    /// Its parts contradict each other.
    #[error("{} contradicts itself: {source}; ask the founders for a good one", .path.display())]
    Contradiction {
        /// Where.
        path: PathBuf,
        /// How.
        source: CardError,
    },
    /// Its changes of the policy do not hold.
    #[error("the changes of the policy in {} do not hold: {source}; ask whoever runs the cluster for a good card", .path.display())]
    Changes {
        /// Where.
        path: PathBuf,
        /// Which, and why.
        source: StepError,
    },
    /// It is another cluster's.
    #[error("{} is the card of cluster {got}, expected {expected}; use the card of the cluster you mean", .path.display())]
    OtherCluster {
        /// Where.
        path: PathBuf,
        /// Cluster of the card.
        got: ClusterId,
        /// Cluster that was asked for.
        expected: ClusterId,
    },
}

impl ReadCardError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ReadCardError::Io { .. } => "RW-C-CARD-IO",
            ReadCardError::TooLarge { .. } => "RW-C-CARD-TOO-LARGE",
            ReadCardError::Malformed { .. } => "RW-C-CARD-MALFORMED",
            ReadCardError::Text { .. } => "RW-C-CARD-TEXT",
            ReadCardError::Contradiction { .. } => "RW-C-CARD-CONTRADICTION",
            ReadCardError::Changes { .. } => "RW-C-CARD-POLICY",
            ReadCardError::OtherCluster { .. } => "RW-C-CARD-OTHER-CLUSTER",
        }
    }
}

/// Reads a card file and compares it with the expected cluster, if one is given.
pub fn read_card(path: &Path, expected: Option<ClusterId>) -> Result<ClusterCard, ReadCardError> {
    let failed = |source| ReadCardError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    let most = CARD_FILE_BYTES;
    std::fs::File::open(path).map_err(failed)?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let card = card::read(&bytes).map_err(|fault| named(path, fault))?;
    let got = card.genesis.cluster_id();
    match expected {
        Some(expected) if expected != got => Err(ReadCardError::OtherCluster { path: path.into(), got, expected }),
        _ => Ok(card),
    }
}

/// The same with the file it was found in.
fn named(path: &Path, fault: CardFault) -> ReadCardError {
    let path = path.to_owned();
    match fault {
        CardFault::TooLarge { most } => ReadCardError::TooLarge { path, most },
        CardFault::Malformed(source) => ReadCardError::Malformed { path, source },
        CardFault::Contradiction(source) => ReadCardError::Contradiction { path, source },
        CardFault::Changes(source) => ReadCardError::Changes { path, source },
        CardFault::Text(source) => ReadCardError::Text { path, source },
        // A file is a card or the text of one.
        CardFault::Link(_) => ReadCardError::Malformed { path, source: DecodeError::Illegal { what: "cluster card" } },
    }
}

#[cfg(test)]
mod tests {
    use super::{CARD_FILE_BYTES, ReadCardError, read_card};
    use ringwall_sim::world;
    use ringwall_wire::card_text::{CardTextError, card_to_text};
    use ringwall_wire::genesis::ClusterCard;
    use ringwall_wire::ids::Nonce;

    fn card() -> ClusterCard {
        let policy = world::policy();
        let genesis = world::genesis_record(&policy, "a cluster", Nonce([5; 32]));
        ClusterCard { genesis, policy, steps: Default::default(), addresses: Default::default(), web: Default::default() }
    }

    /// A file with these bytes, read as a card.
    fn read(bytes: &[u8]) -> Result<(), ReadCardError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.card");
        std::fs::write(&path, bytes).unwrap();
        read_card(&path, None).map(drop)
    }

    #[test]
    fn the_text_of_a_card_is_read_and_one_that_is_none_says_which_character() {
        let text = card_to_text(&card());
        assert!(read(text.as_bytes()).is_ok());
        assert!(read(format!("\n  {text}\n").as_bytes()).is_ok());
        let (start, rest) = text.split_at(40);
        let cases = [
            (format!("{start}!{rest}").into_bytes(), 41 - "ringwall-card:".len()),
            (b"ringwall-card:AA*A".to_vec(), 3),
            // What is no text at all is counted from the same place.
            (b"\n ringwall-card:AA\xffA".to_vec(), 3),
        ];
        for (words, at) in cases {
            let fault = read(&words).unwrap_err();
            assert_eq!(fault.code(), "RW-C-CARD-TEXT");
            assert!(matches!(fault, ReadCardError::Text { source: CardTextError::Damaged { at: found }, .. } if found == at), "{fault}");
            assert!(fault.to_string().contains("cluster.card") && fault.to_string().contains("copy the whole text again"), "{fault}");
        }
    }

    #[test]
    fn text_that_is_cut_off_or_holds_no_card_has_the_code_of_text() {
        let text = card_to_text(&card());
        for words in ["ringwall-card:", "ringwall-card:AAAA", text.get(..text.len() / 2).unwrap(), &format!("{text}{text}")] {
            assert_eq!(read(words.as_bytes()).unwrap_err().code(), "RW-C-CARD-TEXT", "{}", words.len());
        }
    }

    #[test]
    fn what_is_no_text_of_a_card_has_another_code() {
        assert_eq!(read(b"hello").unwrap_err().code(), "RW-C-CARD-MALFORMED");
        assert_eq!(read(b"ringwall:00").unwrap_err().code(), "RW-C-CARD-MALFORMED");
        assert_eq!(read(&vec![b'A'; CARD_FILE_BYTES + 1]).unwrap_err().code(), "RW-C-CARD-TOO-LARGE");
    }
}
