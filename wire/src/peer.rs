//! What members say to each other once both have attested: Raft's messages, read index, forwarded writes, snapshots.
//!
//! Decides: our own spelling of Raft's messages, so that no library's layout is on the wire. Entries stay opaque bytes here.
//! Trusts: nothing. Out of scope: the gate that decides which of them may reach Raft (`consensus`). Protocol section 4.

use crate::admission::{CatchUpProof, ForwardedEvidence, GrantedKey};
use crate::bounded::{Blob, List, SharedBlob, Text};
use crate::command::{Outcomes, SharedWrites};
use crate::custodian::CustodianAnswer;
use crate::custody::CustodyAsk;
use crate::drill::DrillCall;
use crate::governance::PolicyCommand;
use crate::ids::{Digest, Incarnation, NoisePublic, Slot, Vendor};
use crate::limits::{APPEND_ENTRIES, ENTRY_BYTES, SLOTS, SNAPSHOT_CHUNK_BYTES};
use crate::receipt::TreePoint;
use crate::rotation::{KeyGeneration, KeyOffer};
use crate::session::Refusal;
use crate::{choice, message, record};
use alloc::boxed::Box;

record! {
    /// A vote: who may lead in which term, and whether a quorum agreed.
    #[derive(Copy)]
    pub struct Ballot {
        /// Term.
        pub term: u64,
        /// Candidate or leader.
        pub leader: Incarnation,
        /// Whether a quorum granted it.
        pub committed: bool,
    }
}

record! {
    /// Position of an entry.
    #[derive(Copy, PartialOrd, Ord)]
    pub struct LogPosition {
        /// Term it was proposed in; a term has one leader.
        pub term: u64,
        /// Index.
        pub index: u64,
    }
}

record! {
    /// A member, as the membership records it.
    pub struct Member {
        /// Its place.
        pub slot: Slot,
        /// Its vendor.
        pub vendor: Vendor,
        /// Its Noise key: sessions with it must use this one.
        pub noise: NoisePublic,
        /// Its signature key: receipts and proofs verify under it.
        pub sig: crate::ids::SigPublic,
        /// Where it answers members; a hint.
        pub peer_address: Text<128>,
        /// Where it answers clients; a hint.
        pub client_address: Text<128>,
    }
}

record! {
    /// A member with its id.
    pub struct NamedMember {
        /// Raft node id.
        pub incarnation: Incarnation,
        /// The member.
        pub member: Member,
    }
}

record! {
    /// A membership: one set of voters, or two while changing.
    pub struct Membership {
        /// Voter sets; an entry is committed when each of them has a majority.
        pub configs: List<List<Incarnation, SLOTS>, 2>,
        /// Everybody named, voters and learners.
        pub members: List<NamedMember, { 2 * SLOTS }>,
    }
}

choice! {
    /// Payload of an entry.
    pub enum EntryPayload {
        /// A leader's first entry.
        1 => Blank,
        /// An encoded command.
        2 => Command(SharedBlob<ENTRY_BYTES>),
        /// A membership change.
        3 => Membership(Membership),
    }
}

record! {
    /// One log entry.
    pub struct LogEntry {
        /// Position.
        pub at: LogPosition,
        /// Payload.
        pub payload: EntryPayload,
    }
}

message! {
    /// A request between members.
    pub struct PeerRpc = PeerRpc {
        /// Chosen by the caller; the answer repeats it.
        pub number: u64,
        /// What is asked.
        pub call: PeerCall,
    }
}

choice! {
    /// A request.
    pub enum PeerCall {
        /// Append entries, or a heartbeat.
        1 => Append(AppendCall),
        /// Ask for a vote.
        2 => Vote(VoteCall),
        /// Ask whether a vote would be given.
        3 => PreVote(VoteCall),
        /// Hand leadership over.
        4 => Transfer(TransferCall),
        /// Begin a snapshot.
        5 => SnapshotBegin(SnapshotHead),
        /// A part of it.
        6 => SnapshotPart(SnapshotChunk),
        /// The index a linearizable read must wait for.
        7 => ReadIndex,
        /// Propose these sealed writes.
        8 => Forward(ForwardCall),
        /// Judge a joiner's evidence and endorse it.
        9 => Endorse(EndorseCall),
        /// Show that the state is caught up.
        10 => CatchUp(u64),
        /// The member is leaving on purpose.
        11 => Leaving,
        /// Whether the member is there at all; any answer says yes.
        12 => Alive,
        /// Of one that was told it is out, before any stream: show what the log admitted after this index, up to my successor.
        13 => ShowSuccessor(u64),
        /// Hold this master key: the log will name it.
        14 => OfferKey(KeyOffer),
        /// The log names this master key and the member lacks it.
        15 => AskKey(KeyGeneration),
        /// What a custodian said to another member: the leader puts it into the log.
        16 => Custody(Box<CustodyAsk>),
        /// What a custodian asked another member about a drill: the leader has it.
        17 => Drill(Box<DrillCall>),
        /// A step of governance that was brought to another member: the leader puts it into the log.
        18 => Policy(Box<PolicyCommand>),
    }
}

record! {
    /// AppendEntries.
    pub struct AppendCall {
        /// The leader's vote.
        pub ballot: Ballot,
        /// Entry before the first.
        pub previous: Option<LogPosition>,
        /// Entries.
        pub entries: List<LogEntry, APPEND_ENTRIES>,
        /// Commit position.
        pub committed: Option<LogPosition>,
        /// The leader's log tree: at the last of these entries, or as far as it has applied.
        pub tree: Option<TreePoint>,
    }
}

record! {
    /// RequestVote and its pre-vote.
    #[derive(Copy)]
    pub struct VoteCall {
        /// The candidate's vote.
        pub ballot: Ballot,
        /// Its last entry.
        pub last: Option<LogPosition>,
        /// Whether the leader itself asked for this election.
        pub transfer: bool,
    }
}

record! {
    /// TransferLeader.
    #[derive(Copy)]
    pub struct TransferCall {
        /// The leader's vote.
        pub ballot: Ballot,
        /// To whom.
        pub to: Incarnation,
        /// The leader's last entry.
        pub last: Option<LogPosition>,
    }
}

record! {
    /// What a snapshot is.
    pub struct SnapshotHead {
        /// The leader's vote.
        pub ballot: Ballot,
        /// Last entry it contains.
        pub last: Option<LogPosition>,
        /// Position of its membership.
        pub membership_at: Option<LogPosition>,
        /// Its membership.
        pub membership: Membership,
        /// Bytes in all.
        pub bytes: u64,
        /// SHA-256 of all its bytes.
        pub digest: Digest,
        /// The log tree through its last entry.
        pub tree: TreePoint,
    }
}

record! {
    /// A part of a snapshot.
    pub struct SnapshotChunk {
        /// Offset in bytes.
        pub offset: u64,
        /// The bytes.
        pub bytes: Blob<SNAPSHOT_CHUNK_BYTES>,
        /// Whether it is the last part.
        pub last: bool,
    }
}

record! {
    /// Sealed writes for the leader.
    pub struct ForwardCall {
        /// The writes.
        pub writes: SharedWrites,
    }
}

record! {
    /// Asks a voter to judge a joiner itself.
    pub struct EndorseCall {
        /// Log index of the proposal.
        pub admit_index: u64,
        /// Handshake hash of the joiner's session with the leader.
        pub handshake: Digest,
        /// The leader's nonce in that session.
        pub nonce: crate::ids::Nonce,
        /// The joiner's encoded attestation answer.
        pub evidence: ForwardedEvidence,
    }
}

message! {
    /// The answer to a request between members.
    pub struct PeerReply = PeerReply {
        /// Number of the request.
        pub number: u64,
        /// The answer.
        pub answer: PeerAnswer,
    }
}

choice! {
    /// An answer.
    pub enum PeerAnswer {
        /// Refused before it reached Raft.
        1 => Refused(Refusal),
        /// To an append.
        2 => Append(AppendAnswer),
        /// To a vote or pre-vote.
        3 => Vote(VoteAnswer),
        /// Done.
        4 => Done,
        /// To the last part of a snapshot.
        5 => Snapshot(Ballot),
        /// To a read index.
        6 => ReadIndex(u64),
        /// To forwarded writes.
        7 => Outcomes(Outcomes),
        /// To an endorsement request.
        8 => Endorsed(crate::admission::Endorse),
        /// To a catch-up request.
        9 => CatchUp(CatchUpProof),
        /// To a transfer.
        10 => Transfer(TransferAnswer),
        /// The first word to a dialler that is not known yet: show what the log admitted after this index, up to yourself.
        11 => ShowAdmission(u64),
        /// The first word to a dialler that was retired: nothing it says counts any more. It may ask for its successor's admission.
        12 => Out,
        /// The key that was asked for.
        13 => Key(GrantedKey),
        /// To what a custodian asked.
        14 => Custodian(Box<CustodianAnswer>),
    }
}

choice! {
    /// What came of handing leadership over.
    #[derive(Copy)]
    pub enum TransferAnswer {
        /// An election begins.
        1 => Accepted,
        /// Another vote was seen.
        2 => VoteChanged(Ballot),
        /// Only entries up to this position are durable.
        3 => NotFlushed(Option<LogPosition>),
    }
}

choice! {
    /// What came of an append.
    #[derive(Copy)]
    pub enum AppendAnswer {
        /// All entries are durable.
        1 => Success,
        /// Entries up to this position are durable.
        2 => Partial(Option<LogPosition>),
        /// The previous entry does not match.
        3 => Conflict,
        /// A higher vote was seen.
        4 => HigherVote(Ballot),
    }
}

record! {
    /// What came of a vote request.
    #[derive(Copy)]
    pub struct VoteAnswer {
        /// The voter's vote.
        pub ballot: Ballot,
        /// Whether it was given.
        pub granted: bool,
        /// The voter's last entry.
        pub last: Option<LogPosition>,
    }
}
