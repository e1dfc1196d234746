//! Custody: what is dealt, what a custodian holds, what it says of it, and what the group replicates of all that.
//!
//! Decides: the words of a dealing. A *manifest* says who holds which share of which recovery key, by commitment; it is signed by the incarnation that
//! dealt, whose evidence is bound to the manifest's hash. A share travels only sealed. Master keys are stored sealed to the recovery key, which no
//! memory holds once the dealing is done: whoever rotates needs its public half and a tag key.
//! Trusts: nothing. Out of scope: the cryptography (`keys`), the states IDLE, DEALT, ACTIVE (`consensus`), sessions (`custodian.rs`), recovery
//! (`recovery.rs`). Protocol section 6.1.

use crate::bounded::{Blob, List};
use crate::codec::{Field as _, Message as _, enc, enc_digest};
use crate::command::WrappedKey;
use crate::drill::{DrillBegun, DrillPaper};
use crate::genesis::Custodian;
use crate::ids::{
    ClusterId, CustodianId, CustodyEpoch, Digest, Epoch, Incarnation, KeyEpoch, Nonce, PolicyVersion, SigPublic, Signature,
    XWingCiphertext, XWingPublic,
};
use crate::label::Label;
use crate::limits::{CUSTODIANS, EXCHANGE_BYTES, GOVERNORS, SEALED_KEYS_BYTES, SEALED_SHARE_BYTES};
use crate::policy::Approval;
use crate::rotation::KeyRotate;
use crate::secret::{Secret, wash_stack};
use crate::{choice, message, record};
use alloc::boxed::Box;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Version of a share's plain form: how it was split, and over which field.
pub const SHARE_VERSION: u8 = 1;

record! {
    /// One custodian's part of a dealing.
    pub struct ManifestMember {
        /// Who; name and keys as the founding record has them.
        pub custodian: Custodian,
        /// Where its share was evaluated: from 1, each once.
        pub x: u8,
        /// Commitment to its share: [`SharePlain::commitment`].
        pub commitment: Digest,
    }
}

message! {
    /// What was dealt, to whom. Public: nothing of it helps to find a share.
    pub struct CustodyManifest = CustodyManifest {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Its epoch.
        pub epoch: Epoch,
        /// Which dealing.
        pub custody_epoch: CustodyEpoch,
        /// Shares that recover.
        pub threshold: u8,
        /// Who holds shares, by rising `x`.
        pub members: List<ManifestMember, CUSTODIANS>,
        /// Tells the recovery key from another one.
        pub kcv: [u8; 16],
        /// Public half of the key pair that is derived from the recovery key: master keys are sealed to it.
        pub recovery: XWingPublic,
        /// Hash of the manifest that was active when this one was dealt; zeros for the first.
        pub previous: Digest,
        /// SHA-256 of the policy in force.
        pub policy: Digest,
        /// Its version.
        pub policy_version: PolicyVersion,
        /// Oldest master key alive at the dealing.
        pub oldest_key: KeyEpoch,
        /// Newest.
        pub newest_key: KeyEpoch,
        /// The incarnation that dealt.
        pub dealer: Incarnation,
        /// Its signature key: the evidence in the dealing names the same.
        pub dealer_sig: SigPublic,
    }
}

message! {
    /// A manifest under the signature of the incarnation that dealt.
    pub struct SignedManifest = SignedManifest {
        /// What was dealt.
        pub manifest: CustodyManifest,
        /// Signature over [`CustodyManifest::words`].
        pub signature: Signature,
    }
}

message! {
    /// A share, as a custodian keeps it.
    pub struct SharePlain = Share {
        /// [`SHARE_VERSION`].
        pub version: u8,
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Dealing.
        pub custody_epoch: CustodyEpoch,
        /// Where it was evaluated.
        pub x: u8,
        /// The share of the recovery key.
        pub y: Secret<32>,
        /// What hides it in the commitment.
        pub r: Secret<32>,
    }
}

message! {
    /// A share, sealed to its custodian (HPKE base mode, X-Wing) under [`ShareEnvelope::purpose`].
    pub struct ShareEnvelope = ShareEnvelope {
        /// Hash of the manifest it belongs to.
        pub manifest: Digest,
        /// To whom.
        pub custodian: CustodianId,
        /// Which share.
        pub x: u8,
        /// Encapsulated key.
        pub kem: XWingCiphertext,
        /// An encoded [`SharePlain`], sealed.
        pub sealed: Blob<SEALED_SHARE_BYTES>,
    }
}

message! {
    /// A custodian's word that it verified the dealing and holds its share.
    pub struct ShareAck = ShareAck {
        /// Hash of the manifest.
        pub manifest: Digest,
        /// Who.
        pub custodian: CustodianId,
        /// Signature over [`ShareAck::words`].
        pub signature: Signature,
    }
}

message! {
    /// A node's question whether a share still exists.
    pub struct ShareChallenge = ShareChallenge {
        /// Hash of the manifest whose share is meant.
        pub manifest: Digest,
        /// Drawn for this question.
        pub nonce: Nonce,
    }
}

message! {
    /// The answer: only whoever has the share can make `answer`, only the custodian `signature`, and both are of one session and one question.
    pub struct ShareProof = ShareProof {
        /// Hash of the manifest.
        pub manifest: Digest,
        /// Who.
        pub custodian: CustodianId,
        /// The question.
        pub nonce: Nonce,
        /// Hash of the handshake of the session it was asked on.
        pub handshake: Digest,
        /// HMAC under the share's proof key over [`ShareProof::answered`]; only a member with the master keys can check it.
        pub answer: [u8; 32],
        /// Signature over [`ShareProof::words`]; everybody can check it.
        pub signature: Signature,
    }
}

record! {
    /// A share's proof key, wrapped under the newest master key.
    pub struct WrappedProofKey {
        /// Whose share.
        pub custodian: CustodianId,
        /// The key.
        pub key: WrappedKey,
    }
}

record! {
    /// Keys of a dealing that members need while it is active; wrapped again at every rotation.
    pub struct DealtKeys {
        /// Tells a genuine recovery blob from a made-up one: see [`RecoveryBlob`].
        pub tag: WrappedKey,
        /// What proofs are checked with.
        pub proofs: List<WrappedProofKey, CUSTODIANS>,
    }
}

message! {
    /// All live master keys, sealed to a dealing's recovery key (HPKE base mode, X-Wing) under [`RecoveryBlob::purpose`].
    pub struct RecoveryBlob = RecoveryBlob {
        /// Hash of the manifest.
        pub manifest: Digest,
        /// Cluster epoch.
        pub epoch: Epoch,
        /// Policy version.
        pub policy_version: PolicyVersion,
        /// Newest master key inside.
        pub newest_key: KeyEpoch,
        /// Encapsulated key.
        pub kem: XWingCiphertext,
        /// An encoded [`RecoveryKeys`], sealed.
        pub sealed: Blob<SEALED_KEYS_BYTES>,
        /// HMAC under the dealing's tag key over [`RecoveryBlob::tagged`]: anybody can seal to a public key, only members can do this.
        pub tag: [u8; 32],
    }
}

message! {
    /// What a recovery blob holds.
    pub struct RecoveryKeys = RecoveryKeys {
        /// The tag key (key epoch 0) and every live master key.
        pub keys: List<crate::admission::GrantedKey, { crate::limits::LIVE_KEYS }>,
    }
}

record! {
    /// Everything of one dealing, as the group stores it.
    pub struct Dealing {
        /// The manifest.
        pub manifest: SignedManifest,
        /// One envelope a custodian, in the manifest's order.
        pub envelopes: List<ShareEnvelope, CUSTODIANS>,
        /// Wrapped keys. Nothing is sealed to the recovery key yet: that comes with the activation.
        pub keys: DealtKeys,
        /// The dealer's evidence: an encoded [`crate::session::SavedExchange`] with the handshake and nonce of [`CustodyManifest::opening`], role
        /// [`crate::evidence::Role::Dealing`].
        pub exchange: Blob<EXCHANGE_BYTES>,
    }
}

choice! {
    /// A step of custody, as a command.
    pub enum CustodyCommand {
        /// Shares were dealt; replaces a dealing that is not active yet.
        1 => Deal(Box<Dealing>),
        /// A custodian holds its share.
        2 => Ack(ShareAck),
        /// The dealing takes the place of the active one.
        3 => Activate(Box<Activate>),
        /// The dealing that is not active is dropped.
        4 => Abort(Digest),
        /// A custodian has shown that its share exists.
        5 => Proved(ShareProof),
        /// The governors name other custodians.
        6 => Change(Box<CustodiansOrder>),
        /// A drill begins.
        7 => DrillBegun(DrillBegun),
        /// It ended, in one way or another.
        8 => DrillEnded(Box<DrillPaper>),
    }
}

choice! {
    /// What a custodian said to a member, on its way to the leader.
    pub enum CustodyAsk {
        /// It holds its share.
        1 => Ack(ShareAck),
        /// It has shown that its share exists; the member looked at the answer.
        2 => Proved(ShareProof),
        /// The governors do without the acknowledgements that are missing.
        3 => Activate(ActivateOrder),
        /// The governors name other custodians.
        4 => Change(Box<CustodiansOrder>),
    }
}

record! {
    /// Makes a dealing the active one.
    pub struct Activate {
        /// Hash of its manifest.
        pub manifest: Digest,
        /// The governors' word to do without the acknowledgements that are missing; none where nobody's is.
        pub order: Option<ActivateOrder>,
        /// The rotation that comes with it, in the same entry: old shares open nothing that is written from now on. It carries this dealing.
        pub rotate: KeyRotate,
    }
}

message! {
    /// An order of the governors: shares go to other custodians from the next dealing on, or another number of them recovers.
    pub struct CustodiansOrder = CustodiansOrder {
        /// In which cluster.
        pub cluster_id: ClusterId,
        /// In which epoch.
        pub epoch: Epoch,
        /// Hash of the list in force ([`CustodiansOrder::list_digest`]): an order is used up by what it orders.
        pub replaces: Digest,
        /// Who holds shares, in the order of the shares.
        pub custodians: List<Custodian, CUSTODIANS>,
        /// Shares that recover.
        pub threshold: u8,
        /// Signatures, in no particular order.
        pub signatures: List<Approval, GOVERNORS>,
    }
}

message! {
    /// What lies on every disk beside the lives of a node, so that it is found when all memories are lost.
    pub struct RecoveryFile = RecoveryFile {
        /// The active dealing.
        pub manifest: SignedManifest,
        /// Its dealer's evidence: [`Dealing::exchange`].
        pub exchange: Blob<EXCHANGE_BYTES>,
        /// Master keys, sealed to it.
        pub recovery: RecoveryBlob,
    }
}

message! {
    /// An order of the governors: activate a dealing although acknowledgements are missing (never fewer than the threshold).
    pub struct ActivateOrder = ActivateOrder {
        /// In which cluster.
        pub cluster_id: ClusterId,
        /// In which epoch.
        pub epoch: Epoch,
        /// Hash of the manifest.
        pub manifest: Digest,
        /// Signatures, in no particular order.
        pub signatures: List<Approval, GOVERNORS>,
    }
}

choice! {
    /// Why a step of custody does not fit. Every replica comes to the same answer.
    #[derive(Copy)]
    pub enum CustodyFault {
        /// This cluster names no custodians.
        1 => NoCustodians,
        /// It is for another cluster or another epoch.
        2 => OtherCluster,
        /// No dealing with this manifest waits.
        3 => NoDealing,
        /// The custody epoch is not the next one.
        4 => NotNext,
        /// The manifest does not continue the active one.
        5 => OtherPrevious,
        /// Custodians, threshold or order of shares are not those in force, or cannot be.
        6 => OtherCustodians,
        /// An envelope or a wrapped key is missing, doubled, or of another manifest.
        7 => NotWhole,
        /// The dealer is not a voter, or the key is not its.
        8 => NotDealer,
        /// A signature does not verify.
        9 => BadSignature,
        /// Nobody of this name holds a share of this dealing.
        10 => NotCustodian,
        /// Said already.
        11 => Already,
        /// Acknowledgements are missing, and no order of the governors does without them.
        12 => NotAcknowledged,
        /// The governors' order does not hold.
        13 => Order(crate::order::OrderFault),
        /// The master keys changed since the dealing: what it sealed is not what is alive.
        14 => OtherKeys,
        /// A drill began a short while ago.
        15 => TooSoon,
        /// No drill of this session is under way.
        16 => NoDrill,
    }
}

impl CustodyFault {
    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        match self {
            CustodyFault::NoCustodians => "this cluster's founding record names no custodians: nothing can be dealt, now or later",
            CustodyFault::OtherCluster => "this belongs to another cluster or another epoch; look at the card you were given",
            CustodyFault::NoDealing => "no dealing with this manifest waits: it was activated, dropped or replaced; pull again",
            CustodyFault::NotNext => "the custody epoch is not the next one: another dealing came first; deal again",
            CustodyFault::OtherPrevious => "the manifest does not continue the active one; deal again",
            CustodyFault::OtherCustodians => {
                "custodians or threshold are not those in force, or are impossible: at least two must come together"
            }
            CustodyFault::NotWhole => "parts of the dealing are missing or belong to another one; deal again",
            CustodyFault::NotDealer => "who dealt is not a voter, or signed with a key that is not its own",
            CustodyFault::BadSignature => "the signature does not verify over these words with the key on record",
            CustodyFault::NotCustodian => "nobody with these keys holds a share of this dealing; look which key you signed with",
            CustodyFault::Already => "this was said before and is on record; nothing has to be done",
            CustodyFault::NotAcknowledged => "custodians have not acknowledged yet; wait for them, or have the governors order it",
            CustodyFault::Order(fault) => fault.words(),
            CustodyFault::OtherKeys => "the master keys changed since the dealing; deal again",
            CustodyFault::TooSoon => "a drill began less than ten minutes ago; fetch that one, or wait",
            CustodyFault::NoDrill => "no such drill is under way: it ended, or its node did; begin another one",
        }
    }
}

impl CustodyManifest {
    /// What the dealer signs. The hash that stands for the manifest everywhere else is its [`digest`](crate::codec::Message::digest).
    pub fn words(&self) -> Vec<u8> {
        enc(Label::CustodyManifestSigned, &[&self.cluster_id.0, &self.digest()])
    }

    /// Handshake hash and nonce the dealer's evidence is bound to, in place of a session's. Nobody asks while shares are dealt, so the evidence is as
    /// fresh as the manifest: its hash names fresh commitments.
    pub fn opening(&self) -> (Digest, Nonce) {
        let manifest = self.digest();
        (Digest(manifest), Nonce(enc_digest(Label::DealingNonce, &[&manifest])))
    }

    /// The custodian of this name.
    pub fn member(&self, id: &CustodianId) -> Option<&ManifestMember> {
        self.members.iter().find(|member| member.id() == *id)
    }
}

impl ManifestMember {
    /// Its custodian's name.
    pub fn id(&self) -> CustodianId {
        self.custodian.id()
    }
}

impl SharePlain {
    /// What a manifest says of a share: binds to all of it, and hides `y` behind 32 random bytes.
    pub fn commitment(&self) -> Digest {
        let commitment = self.hashed();
        wash_stack();
        commitment
    }

    /// What is hashed has the share in it: it is wiped.
    #[inline(never)]
    fn hashed(&self) -> Digest {
        let (custody_epoch, place) = (self.custody_epoch.to_bytes(), [self.version, self.x]);
        let fields: [&[u8]; 5] = [&self.cluster_id.0, &custody_epoch, &place, self.y.expose(), self.r.expose()];
        let words = Zeroizing::new(enc(Label::ShareCommitment, &fields));
        Digest(Sha256::digest(&*words).into())
    }
}

impl ShareEnvelope {
    /// What sealing is bound to (HPKE `info`).
    pub fn purpose(manifest: &Digest, custodian: &CustodianId, x: u8) -> Vec<u8> {
        enc(Label::ShareSealed, &[&manifest.0, &custodian.0, &[x]])
    }
}

impl ShareAck {
    /// What the custodian signs.
    pub fn words(cluster_id: &ClusterId, manifest: &Digest, custodian: &CustodianId) -> Vec<u8> {
        enc(Label::ShareAckSigned, &[&cluster_id.0, &manifest.0, &custodian.0])
    }
}

impl ShareProof {
    /// What the proof key answers.
    pub fn answered(manifest: &Digest, custodian: &CustodianId, nonce: &Nonce, handshake: &Digest) -> Vec<u8> {
        enc(Label::ShareProofAnswer, &[&manifest.0, &custodian.0, &nonce.0, &handshake.0])
    }

    /// What the custodian signs: the whole proof, answer included.
    pub fn words(&self, cluster_id: &ClusterId) -> Vec<u8> {
        let answered = Self::answered(&self.manifest, &self.custodian, &self.nonce, &self.handshake);
        enc(Label::ShareProofSigned, &[&cluster_id.0, &answered, &self.answer])
    }
}

impl RecoveryBlob {
    /// What sealing is bound to (HPKE `info`).
    pub fn purpose(
        cluster_id: &ClusterId,
        manifest: &Digest,
        epoch: Epoch,
        policy_version: PolicyVersion,
        newest_key: KeyEpoch,
    ) -> Vec<u8> {
        let (epoch, policy_version, newest_key) = (epoch.to_bytes(), policy_version.to_bytes(), newest_key.to_bytes());
        enc(Label::RecoveryKeysSealed, &[&cluster_id.0, &manifest.0, &epoch, &policy_version, &newest_key])
    }

    /// What the tag is made over: purpose and ciphertext.
    pub fn tagged(&self, cluster_id: &ClusterId) -> Vec<u8> {
        let purpose = Self::purpose(cluster_id, &self.manifest, self.epoch, self.policy_version, self.newest_key);
        enc(Label::RecoveryKeysTag, &[&purpose, &self.kem.0, &self.sealed])
    }
}

impl CustodiansOrder {
    /// Stands for a list of custodians and its threshold.
    pub fn list_digest(custodians: &List<Custodian, CUSTODIANS>, threshold: u8) -> Digest {
        Digest(enc_digest(Label::CustodianList, &[&custodians.to_bytes(), &[threshold]]))
    }

    /// What every governor signs.
    pub fn signed_words(&self) -> Vec<u8> {
        let list = Self::list_digest(&self.custodians, self.threshold);
        enc(Label::CustodiansOrderSigned, &[&self.cluster_id.0, &self.epoch.to_bytes(), &self.replaces.0, &list.0])
    }
}

impl ActivateOrder {
    /// What every governor signs.
    pub fn signed_words(&self) -> Vec<u8> {
        enc(Label::ActivateOrderSigned, &[&self.cluster_id.0, &self.epoch.to_bytes(), &self.manifest.0])
    }
}
