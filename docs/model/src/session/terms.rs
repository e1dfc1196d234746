//! The words of the session model: parties, transcripts, evidence, and what the attacker can compute.
//!
//! Decides: terms are symbolic. A transcript *is* its handshake hash; a session's keys are known to whoever can compute all Diffie-Hellman
//! results and the psk; evidence is known by the run that made it and the nonce it answers. Nothing is broken but what the attacker holds.
//! Trusts: Noise, hashes, signatures of chips. Out of scope: batches and standing keys, which prove that a leaf is under a root, bytes.
//! Protocol section 3, as `channel/src/client.rs`, `channel/src/peer.rs` and `channel/src/prologue.rs` do it.

/// Runs of parties, dialling or answering.
pub const RUNS: usize = 6;
/// The attacker's own ephemeral key and nonce.
pub const ATTACKER: u8 = 14;
/// Not yet known.
pub const NONE: u8 = 15;

/// Who runs, and whose static key a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Party {
    /// A client; it has no static key.
    #[default]
    Client,
    /// A member of our cluster.
    A,
    /// Another one.
    B,
    /// A node with our image on an accepted chip, founded by the attacker as a cluster of its own.
    Foreign,
    /// The attacker.
    Attacker,
}

impl Party {
    /// Whether it belongs to the cluster the client pinned.
    pub fn is_ours(self) -> bool {
        matches!(self, Party::A | Party::B)
    }
}

/// Which handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Noise NK, client and node.
    #[default]
    Client,
    /// Noise XX, member and member.
    Member,
}

/// Which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// Dialled.
    #[default]
    Dial,
    /// Answered.
    Answer,
}

/// What a handshake hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transcript {
    /// Pattern name.
    pub kind: Kind,
    /// Whether the prologue names the pinned cluster.
    pub ours: bool,
    /// Dialler's ephemeral key.
    pub ei: u8,
    /// Answerer's ephemeral key.
    pub er: u8,
    /// Dialler's static key (XX).
    pub si: Party,
    /// Answerer's static key.
    pub sr: Party,
    /// Whose encapsulation key the ciphertext is for (NK).
    pub kem: Party,
}

/// One party's part in one handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Who.
    pub who: Party,
    /// Which end.
    pub side: Side,
    /// As far as it has come.
    pub seen: Transcript,
    /// Whether the handshake is done here.
    pub open: bool,
    /// Nonces it attested for in this session, one bit each; bit 7 is the attacker's.
    pub attested: u8,
    /// The evidence it accepted.
    pub accepted: Option<Evidence>,
    /// Whether it sent its first message.
    pub spoke: bool,
}

impl Default for Run {
    fn default() -> Self {
        let seen =
            Transcript { kind: Kind::Client, ours: false, ei: NONE, er: NONE, si: Party::Client, sr: Party::Client, kem: Party::Client };
        Run { who: Party::Client, side: Side::Dial, seen, open: false, attested: 0, accepted: None, spoke: false }
    }
}

/// Evidence somebody can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Made by an honest node, in a run, for a nonce.
    Made {
        /// The run.
        run: u8,
        /// The nonce.
        nonce: u8,
    },
    /// Says whatever it should, from a genuine chip the policy does not list.
    Unlisted,
    /// Says whatever it should, from a listed chip that runs another image.
    OtherImage,
}

/// Static keys (Noise and encapsulation) that leaked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leaked {
    /// A's.
    pub of_a: bool,
    /// B's.
    pub of_b: bool,
    /// The attacker's cluster's.
    pub of_foreign: bool,
}

impl Leaked {
    /// Whether the attacker holds the private half of a static key.
    pub fn holds(self, key: Party) -> bool {
        match key {
            Party::A => self.of_a,
            Party::B => self.of_b,
            Party::Foreign => self.of_foreign,
            Party::Attacker => true,
            Party::Client => false,
        }
    }

    /// Whether the attacker can compute the keys of a session: every result that goes into them.
    pub fn computes(self, seen: &Transcript) -> bool {
        let (ours_i, ours_r) = (seen.ei == ATTACKER, seen.er == ATTACKER);
        let ephemerals = ours_i || ours_r;
        let towards_answerer = ours_i || self.holds(seen.sr);
        match seen.kind {
            Kind::Client => ephemerals && towards_answerer && (ours_i || self.holds(seen.kem)),
            Kind::Member => ephemerals && towards_answerer && (ours_r || self.holds(seen.si)),
        }
    }
}
