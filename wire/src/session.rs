//! The messages that open a session: descriptor, attestation, user authentication, refusals.
//!
//! Decides: what each side says and in what order nothing confidential may be said yet. Protocol section 3.
//! Trusts: nothing. Out of scope: the handshake itself (`channel`) and the judging (`attest`).

use crate::bounded::{Blob, List, Text};
use crate::evidence::{BatchPath, Endorsements, Evidence, Role};
use crate::genesis::{GenesisRecord, WebDoor};
use crate::governance::PolicySteps;
use crate::ids::{
    BootKeys, ClientId, ClusterId, CredPublic, Digest, Epoch, Incarnation, KemPublic, NoisePublic, Nonce, PolicyVersion, Revision,
    Signature, Slot, UserId, Vendor,
};
use crate::limits::{ATTEST_MESSAGE_BYTES, EPOCHS, RELEASE_PROOF_BYTES, SLOTS};
use crate::policy::PolicyDoc;
use crate::receipt::{EpochStart, KnownPoint, Receipted, Recovered};
use crate::user::RestoreProof;
use crate::{choice, message, record};

message! {
    /// Asks a node who it claims to be.
    pub struct GetDescriptor = GetDescriptor {
        /// Protocol versions the client speaks, newest first.
        pub versions: List<u16, 8>,
    }
}

message! {
    /// An untrusted hint: enough to start a handshake.
    pub struct NodeDescriptor = NodeDescriptor {
        /// The version the node picked.
        pub version: u16,
        /// Cluster it claims to serve.
        pub cluster_id: ClusterId,
        /// Epoch it claims.
        pub epoch: Epoch,
        /// Incarnation it claims.
        pub incarnation: Incarnation,
        /// Its Noise key.
        pub noise: NoisePublic,
        /// Its encapsulation key.
        pub kem: KemPublic,
        /// Policy it follows.
        pub policy_version: PolicyVersion,
        /// Where it lets pages in, for whoever makes cards; none where it does not.
        pub web: Option<WebDoor>,
    }
}

choice! {
    /// How a session is bound to evidence.
    #[derive(Copy)]
    pub enum AttestMode {
        /// One quote for this session alone.
        1 => Single,
        /// One quote for the sessions of a short window.
        2 => Batched,
        /// A period key that a quote vouches for.
        3 => Standing,
    }
}

message! {
    /// Asks the other side to attest to this session.
    pub struct AttestReq = AttestReq {
        /// Fresh randomness of the asker.
        pub nonce: Nonce,
        /// Wanted mode.
        pub mode: AttestMode,
        /// Least policy version.
        pub min_policy_version: PolicyVersion,
        /// SHA-256 of the newest policy the asker holds: the changes after it are wanted. None: all since the founding.
        pub known_policy: Option<Digest>,
    }
}

choice! {
    /// How the evidence reaches this session.
    pub enum SessionProof {
        /// The session's leaf is under the batch root the evidence binds.
        1 => Batched(BatchPath),
        /// A period key is under the batch root, and signed this session.
        2 => Standing(StandingProof),
    }
}

record! {
    /// A period key's word for one session.
    pub struct StandingProof {
        /// The period key.
        pub key: crate::ids::SigPublic,
        /// Start of its period, Unix seconds.
        pub period_start_s: u64,
        /// Where the key stands under the batch root.
        pub path: BatchPath,
        /// Signature over `enc("bind", h, nonce)`.
        pub signature: Signature,
    }
}

message! {
    /// A node's answer: everything a stranger needs to judge it, with no other network access.
    pub struct AttestResp = AttestResp {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Epoch.
        pub epoch: Epoch,
        /// The part it attests for.
        pub role: Role,
        /// Its incarnation; 0 before admission.
        pub incarnation: Incarnation,
        /// Its boot keys.
        pub keys: BootKeys,
        /// The boot configuration, exact bytes.
        pub boot_config: Blob<4096>,
        /// The founding record.
        pub genesis: GenesisRecord,
        /// The policy it follows.
        pub policy: PolicyDoc,
        /// The changes that lead to it: those after the policy the asker knows, or all since the founding.
        pub steps: PolicySteps,
        /// Evidence.
        pub evidence: Evidence,
        /// Endorsements, stapled.
        pub endorsements: Endorsements,
        /// How the evidence reaches this session.
        pub proof: SessionProof,
        /// Proof of release; empty where policy demands none.
        pub release_proof: Blob<RELEASE_PROOF_BYTES>,
    }
}

message! {
    /// One attestation as a client asked for it and was answered, kept in a file: enough to judge it again without a network. It says what was
    /// proved to the session that asked, and nothing about now.
    pub struct SavedExchange = SavedExchange {
        /// The cluster the client had pinned.
        pub cluster_id: ClusterId,
        /// Least policy version the client asked for.
        pub min_policy_version: PolicyVersion,
        /// Hash of the handshake.
        pub handshake: Digest,
        /// The nonce it sent.
        pub nonce: Nonce,
        /// The key the handshake authenticated.
        pub noise: NoisePublic,
        /// The mode it asked for.
        pub mode: AttestMode,
        /// When it judged, Unix seconds by its own clock.
        pub at_s: u64,
        /// The answer, an encoded [`AttestResp`].
        pub answer: Blob<ATTEST_MESSAGE_BYTES>,
    }
}

message! {
    /// A user's word for who they are, good on this session alone.
    pub struct UserAuth = UserAuth {
        /// The user.
        pub user: UserId,
        /// Credential of the device.
        pub cred: CredPublic,
        /// This client process.
        pub client: ClientId,
        /// Signature over `enc("user-auth-signed", h, nonce, incarnation, user, client)`.
        pub signature: Signature,
        /// How far it has seen this cluster's log; none when it has no receipt.
        pub known: Option<KnownPoint>,
        /// The word of the user's recovery key for a device that is new; none for one on record.
        pub restore: Option<RestoreProof>,
    }
}

message! {
    /// The session is open.
    pub struct UserReady = UserReady {
        /// Newest committed revision the node has applied.
        pub revision: Revision,
        /// Where the members of the cluster were last seen; hints.
        pub members: List<MemberHint, SLOTS>,
        /// Where the log stands, continuing what the client knew.
        pub receipt: Receipted,
        /// Epochs that began since the one the client knew, in order; none where it is the same.
        pub epochs: List<EpochStart, EPOCHS>,
        /// That the epoch began with a recovery; none in the first.
        pub recovered: Option<Recovered>,
    }
}

record! {
    /// One member, as clients see it.
    pub struct MemberHint {
        /// Its place.
        pub slot: Slot,
        /// Its incarnation.
        pub incarnation: Incarnation,
        /// Its vendor.
        pub vendor: Vendor,
        /// Where it answers clients.
        pub address: Text<128>,
    }
}

choice! {
    /// Why a node refuses; closed and coarse, so that refusals tell strangers nothing else. Codes are stable.
    #[derive(Copy)]
    pub enum RefusalCode {
        /// No protocol version in common.
        1 => UnsupportedVersion,
        /// The bytes are not a message that is legal here.
        2 => Malformed,
        /// A limit was passed.
        3 => TooLarge,
        /// The node is not (yet, or any more) a member.
        4 => NotMember,
        /// No leader, or no quorum: try again, here or elsewhere.
        5 => Unavailable,
        /// Too many requests.
        6 => Busy,
        /// The peer's evidence was refused.
        7 => EvidenceRefused,
        /// The user's signature or credential was refused.
        8 => NotAuthorized,
        /// The namespace does not exist.
        9 => NoNamespace,
        /// The namespace exists with another key mode.
        10 => OtherMode,
        /// A try of this write may have been applied, and nobody can tell any more.
        11 => OutcomeUnknown,
        /// History before the asked revision is gone.
        12 => Compacted,
        /// The slot's incumbent is alive.
        13 => SlotOccupied,
        /// The node is shutting down.
        14 => ShuttingDown,
        /// The node found its storage at fault and stopped serving.
        15 => Fenced,
        /// The asked attestation mode is not offered.
        16 => ModeNotOffered,
        /// The other side serves another cluster.
        17 => OtherCluster,
        /// The bookkeeping of this client is gone: this write was surely not applied, neither now nor by an earlier try of the node.
        18 => ClientForgotten,
        /// The disk reserve of this node or of the leader is reached: this write, which takes space, was not applied by this try.
        19 => NoRoom,
        /// The node has not applied what the client has seen, and could not learn in time whether anybody has: ask it later, or another one.
        20 => Behind,
        /// The log tree that came with entries is not the one this node has: nothing was taken in.
        21 => OtherHistory,
        /// The governors' order a joiner came with does not hold; the words say why.
        22 => OrderRefused,
        /// The namespace was made under another key of its user.
        23 => OtherUserKey,
        /// The namespace opens only with the user's key, which this session did not bring.
        24 => UserKeyNeeded,
        /// The device was revoked by its user.
        25 => DeviceRevoked,
        /// The user was not restored, or not yet; the words say why.
        26 => NotRestored,
        /// The lease of the cluster's policy is over: members grant no keys until governors renew it.
        27 => LeaseOver,
    }
}

message! {
    /// A refusal.
    pub struct Refusal = Refusal {
        /// Stable code.
        pub code: RefusalCode,
        /// For people: what failed and what to do. Never secret, never parsed.
        pub detail: Text<512>,
    }
}

choice! {
    /// First message of a session between members: who dials, and as what.
    #[derive(Copy)]
    pub enum PeerPurpose {
        /// A member talks to a member.
        1 => Member,
        /// A node asks to join.
        2 => Join,
        /// A node that recovers asks for a disk.
        3 => Assist,
        /// A node that recovers asks for its session to be kept, for one that is kept, or for the word that it finishes.
        4 => Keep,
    }
}

message! {
    /// Opens a session between nodes; plain text, no secrets.
    pub struct PeerHello = PeerHello {
        /// Versions the dialler speaks, newest first.
        pub versions: List<u16, 8>,
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Epoch.
        pub epoch: Epoch,
        /// Purpose.
        pub purpose: PeerPurpose,
        /// Slot of the dialler.
        pub from: Slot,
    }
}

message! {
    /// The answer to a hello; plain text.
    pub struct PeerReady = PeerReady {
        /// The version picked.
        pub version: u16,
        /// Epoch of the answering node: a hint for whoever asks to join and cannot know it; the handshake is bound to it.
        pub epoch: Epoch,
        /// Slot of the answering node.
        pub slot: Slot,
    }
}
