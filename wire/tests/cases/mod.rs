//! Every type that travels, as a table the wire tests run over.
//!
//! Decides: what "every message and record" means; `the_table_is_complete` in roundtrip.rs compares it with the declarations
//! in the sources, so that a new one cannot be forgotten. Trusts: the samplers of `ringwall_wire::sample`.
//! Out of scope: what the fields mean. Spec: docs/formats.md, "Canonical encoding".
#![allow(dead_code, reason = "each test file uses its part of the table")]

use ringwall_wire::codec::{DecodeError, Field, Message};
use ringwall_wire::label::Label;
use ringwall_wire::sample::{Sample, Source};
use ringwall_wire::*;

/// One type in its positional encoding, as a field of something else.
pub(crate) struct FieldCase {
    /// Name of the type.
    pub(crate) name: &'static str,
    /// Draws a value, checks that it survives encoding and decoding, and gives its bytes.
    pub(crate) draw: fn(&mut Source) -> Vec<u8>,
    /// Decodes and encodes again.
    pub(crate) again: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

/// One top-level message.
pub(crate) struct MessageCase {
    /// Name of the type.
    pub(crate) name: &'static str,
    /// Its label.
    pub(crate) label: Label,
    /// Draws a value, checks that it survives encoding and decoding, and gives its bytes.
    pub(crate) draw: fn(&mut Source) -> Vec<u8>,
    /// Decodes and encodes again.
    pub(crate) again: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

fn draw_field<T: Field + Sample + PartialEq + core::fmt::Debug>(source: &mut Source) -> Vec<u8> {
    let value = T::sample(source);
    let bytes = value.to_bytes();
    assert_eq!((value.size(), bytes.capacity()), (bytes.len(), bytes.len()), "the memory is asked for once, and all of it is used");
    let back = T::from_bytes(&bytes).expect("an encoded value decodes");
    assert_eq!(value, back, "decode(encode(x)) = x");
    assert_eq!(bytes, back.to_bytes(), "encode is a function of the value");
    bytes
}

fn draw_message<T: Message + Sample + PartialEq + core::fmt::Debug>(source: &mut Source) -> Vec<u8> {
    let value = T::sample(source);
    let bytes = value.encode();
    assert_eq!(bytes.capacity(), bytes.len(), "the memory is asked for once, and all of it is used");
    let back = T::decode(&bytes).expect("an encoded message decodes");
    assert_eq!(value, back, "decode(encode(x)) = x");
    assert_eq!(value.digest(), back.digest());
    bytes
}

macro_rules! field_table {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        /// Every record, choice, message and name, in its positional encoding.
        pub(crate) const FIELDS: &[FieldCase] = &[$($(FieldCase {
            name: stringify!($name),
            draw: draw_field::<$module::$name>,
            again: |bytes| <$module::$name as Field>::from_bytes(bytes).map(|value| value.to_bytes()),
        },)*)*];
    };
}

macro_rules! message_table {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        /// Every top-level message.
        pub(crate) const MESSAGES: &[MessageCase] = &[$($(MessageCase {
            name: stringify!($name),
            label: <$module::$name as Message>::LABEL,
            draw: draw_message::<$module::$name>,
            again: |bytes| <$module::$name as Message>::decode(bytes).map(|value| value.encode()),
        },)*)*];
    };
}

field_table! {
    ids { TrustDomain, Vendor, BootKeys, ClusterId, Digest, Nonce, NoisePublic, SigPublic, KemPublic, CredPublic, Signature, UserId, CustodianId, XWingPublic, XWingCiphertext, ClientId, UserTag, DeviceTag, SpaceTag, KeyTag, ClientTag, OwnerMark, Epoch, Slot, Incarnation, KeyEpoch, CustodyEpoch, PolicyVersion, Revision }
    evidence { Evidence, SnpEvidence, TdxEvidence, Endorsements, SnpEndorsements, TdxEndorsements, Role, Binding, BatchPath }
    policy { PolicyDoc, Measurement, TdxTuple, TdxReplay, BootEvent, Rtmr, Presence, SnpProduct, SnpTcb, SnpProductRule, RevocationRule, PlatformUnseal, SnpRules, TdxTcbStatus, TdxRules, SlotRule, EndorseRule, SessionRules, ReleaseRule, ReleaseSigners, Governance, MeasurementRegister, ChipId, Fmspc, SignedPolicy, Approval }
    release { LogEntry, Logged, LoggedRelease, LoggedPolicy, LoggedEpoch, LoggedCustody, LogProof, RevocationList, Revoked, RevokedBuild, ReleaseProof, KnownHead, Published, PublishedEntry, LogHead, ForkProof, PolicyNotice }
    genesis { GenesisTemplate, Custodian, GenesisRecord, BootCluster, BootConfig, ClusterCard, WebDoor }
    governance { PolicyStep, Founded, PolicyPage, ExchangeRow, PolicyChain, PolicyWithdrawal, PolicyLease, NoticeFor, PolicyProposal, PolicyCommand, PolicyOutcome, PolicyFault, GovernanceAsk, GovernanceView, PendingPolicy, PendingNotice }
    session { GetDescriptor, NodeDescriptor, AttestMode, AttestReq, SessionProof, StandingProof, AttestResp, SavedExchange, UserAuth, UserReady, MemberHint, RefusalCode, Refusal, PeerPurpose, PeerHello, PeerReady }
    admission { IncarnationCert, JoinRequest, JoinAnswer, JoinReply, KeyGrant, GrantedKey, AdmitPropose, Endorse, Verdict, Admission, AdmissionLink, AdmissionProof, AdmitCommit, CatchUpProof }
    request { Request, Op, KeyMode, OpenNamespace, Unlock, Once, Write, Mutation, Expect, Change, PutValue, Get, ListKeys, Watch, Reply, Answer, Conflict, Entry, Page, Events, Event, ClusterStatus }
    order { ReplaceOrder, OrderFault }
    known { KnownPolicy, NoticePaper, KeptMemory }
    keeping { LockedKind, PassphraseRule, Protection, LockedFile, ShareLabel, DealingName, Submitted, LossTaken, PaperForm, Copied, JournalEvent, JournalEntry, KeptAnchor }
    user { DeviceEntry, DeviceRow, RecoveryRow, Restoring, UserRow, UserAct, UserChange, AuditAct, AuditRow, UserFault, UserAsk, AddDevice, RevokeDevice, SetRecovery, RestoreProof, DeviceShown, UserShown, Waiting, DeviceRequest, UserEscrow, EscrowSecrets }
    backup { BackupHead, BackupProof, BackupAsk, BackupPlace, BackupTold, EscrowKey, EscrowAsk, EscrowedKeys, EscrowedSpace, EscrowPage, KeysEscrow }
    receipt { TreePoint, TreeHead, KnownPoint, ReceiptHead, SpaceMark, ReceiptLeaf, Receipt, Receipted, Anchor, Signer, Misdeed, Evidence, EpochStart, Recovered }
    command { Command, CommandBody, Founding, Denial, SealedWrite, OpenSpace, WrappedKey, SpaceChange, SealedMutation, SealedChange, SealedPut, SealedRecord, Outcome, Outcomes }
    custody { ManifestMember, CustodyManifest, SignedManifest, SharePlain, ShareEnvelope, ShareAck, ShareChallenge, ShareProof, WrappedProofKey, DealtKeys, RecoveryBlob, RecoveryKeys, Dealing, CustodyCommand, Activate, ActivateOrder, CustodiansOrder, CustodyAsk, RecoveryFile, CustodyFault }
    platform { WrapPlace, PlatformWrap }
    assist { AssistAsk, AssistOp, AssistPart, AssistReply, AssistAnswer, AssistFolder, AssistFile }
    keeper { Keeper, KeptSession, KeptOffer, KeepAsk, KeepOp, KeepReply, KeepAnswer, KeepFault }
    rotation { KeyCommand, KeyGeneration, KeyOffer, KeyRotate, RotatedCustody, Rewrap, RewrappedSpace, RewrappedDealt, RewrappedWorkload, RotationFault }
    custodian { CustodianAuth, CustodianReady, CustodianRequest, CustodianOp, CustodianReply, CustodianAnswer, Dealt, CustodyStatus, CustodianStanding, RecoveryProgress, RecoveryStep }
    drill { DrillOffer, DrillOp, DrillCall, DrillBegun, DrillRow, DrillLap, DrillStep, DrillWord, DrillAnswer, DrillCompared, DrillOutcome, DrillReceipt, DrillPaper }
    recovery { RecoveryPurpose, RecoveryOffer, DiskNote, SignedOffer, CustodyAnchor, ShareSubmission, DiskClaim, LossTerms, AbsentVoter, LossAsked, LossSignature, AcceptLoss, RecoveryAccount, EpochBegun, AuditEvent, AuditWhat, RefusedShare, RefusedClaim, RecoveryFault }
    workload { SubjectTag, GrantPolicy, ConfigRule, ConfigList, GrantOrder, GrantFault, SetFault, Subject, AuditEvent, AuditEntry, AuditPage, WorkloadWrite, WorkloadSet, GrantAttempt, WorkloadOutcome, WorkloadPurpose, WorkloadHello, WorkloadChallenge, WorkloadAsk, WorkloadOp, WorkloadEvidence, GrantAsk, AuditAsk, WorkloadReply, WorkloadAnswer, NotGranted, Granted }
    peer { Ballot, LogPosition, Member, NamedMember, Membership, EntryPayload, LogEntry, PeerRpc, PeerCall, AppendCall, VoteCall, TransferCall, TransferAnswer, SnapshotHead, SnapshotChunk, ForwardCall, EndorseCall, PeerReply, PeerAnswer, AppendAnswer, VoteAnswer }
}

message_table! {
    policy { PolicyDoc, SignedPolicy }
    release { LogEntry, RevocationList, ReleaseProof, Published, LogHead, ForkProof }
    genesis { GenesisTemplate, GenesisRecord, BootConfig, ClusterCard }
    governance { PolicyPage, ExchangeRow, PolicyChain, PolicyWithdrawal, PolicyLease }
    session { GetDescriptor, NodeDescriptor, AttestReq, AttestResp, SavedExchange, UserAuth, UserReady, Refusal, PeerHello, PeerReady }
    admission { IncarnationCert, JoinRequest, JoinReply, KeyGrant, AdmitPropose, Endorse, AdmissionProof, AdmitCommit, CatchUpProof }
    request { Request, Reply }
    order { ReplaceOrder }
    known { KnownPolicy, NoticePaper, KeptMemory }
    keeping { LockedFile, JournalEntry, KeptAnchor }
    user { DeviceRequest, UserEscrow, EscrowSecrets }
    backup { BackupHead, BackupProof, KeysEscrow }
    receipt { ReceiptHead, ReceiptLeaf, Receipt, Anchor, Signer, Evidence, EpochStart }
    command { Command, Outcomes }
    custody { CustodyManifest, SignedManifest, SharePlain, ShareEnvelope, ShareAck, ShareChallenge, ShareProof, RecoveryBlob, RecoveryKeys, ActivateOrder, CustodiansOrder, RecoveryFile }
    platform { PlatformWrap }
    assist { AssistAsk, AssistReply }
    keeper { KeepAsk, KeepReply }
    custodian { CustodianAuth, CustodianReady, CustodianRequest, CustodianReply, Dealt }
    drill { DrillOffer, DrillReceipt, DrillPaper }
    recovery { RecoveryOffer, SignedOffer, ShareSubmission, DiskClaim, AcceptLoss, RecoveryAccount, AuditEvent }
    workload { GrantPolicy, GrantOrder, WorkloadHello, WorkloadChallenge, WorkloadAsk, WorkloadReply }
    peer { PeerRpc, PeerReply }
}
