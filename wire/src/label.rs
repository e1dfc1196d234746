//! Every label that opens an encoding, in one closed table.
//!
//! Decides: which kinds of bytes are hashed, MACed, signed or sent; a label is never reused for another meaning.
//! Trusts: nothing. Out of scope: key-derivation labels of the key hierarchy (`keys`, which builds on these).

macro_rules! labels {
    ($($(#[$meta:meta])* $variant:ident = $text:literal,)*) => {
        /// A domain-separation label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Label { $($(#[$meta])* #[doc = concat!("`ringwall/v1/", $text, "`")] $variant,)* }

        impl Label {
            /// All labels, for the test that no two collide.
            pub const ALL: &'static [Label] = &[$(Label::$variant),*];

            /// The text that is hashed.
            pub const fn as_str(self) -> &'static str {
                match self { $(Label::$variant => concat!("ringwall/v1/", $text),)* }
            }
        }
    };
}

labels! {
    Genesis = "genesis",
    GenesisTemplate = "genesis-template",
    ClusterCard = "cluster-card",
    BootConfig = "boot-config",
    Policy = "policy",
    SignedPolicy = "signed-policy",
    PolicySigned = "policy-signed",
    ReplaceOrder = "replace-order",
    ReplaceOrderSigned = "replace-order-signed",
    Report = "report",
    Bind = "bind",
    BatchNode = "batch-node",
    Standing = "standing",
    NkPrologue = "nk-prologue",
    NkPsk = "nk-psk",
    PeerPrologue = "peer-prologue",
    StreamKey = "stream-key",
    StreamRatchet = "stream-ratchet",
    GetDescriptor = "get-descriptor",
    NodeDescriptor = "node-descriptor",
    AttestReq = "attest-req",
    AttestResp = "attest-resp",
    SavedExchange = "saved-exchange",
    PeerHello = "peer-hello",
    PeerReady = "peer-ready",
    UserAuth = "user-auth",
    UserAuthSigned = "user-auth-signed",
    UserReady = "user-ready",
    User = "user",
    Space = "space",
    Refusal = "refusal",
    Request = "request",
    Reply = "reply",
    JoinRequest = "join-request",
    JoinNonce = "join-nonce",
    JoinReply = "join-reply",
    IncarnationCert = "incarnation-cert",
    AdmitPropose = "admit-propose",
    Endorse = "endorse",
    EndorseSigned = "endorse-signed",
    AdmitCommit = "admit-commit",
    AdmissionProof = "admission-proof",
    KeyGrant = "key-grant",
    CatchUpProof = "catch-up-proof",
    CatchUpSigned = "catch-up-signed",
    Command = "command",
    Outcomes = "outcomes",
    Receipt = "receipt",
    ReceiptSigned = "receipt-signed",
    ReceiptHead = "receipt-head",
    ReceiptLeaf = "receipt-leaf",
    ReceiptSpace = "receipt-space",
    ReceiptNonce = "receipt-nonce",
    ReceiptSigner = "receipt-signer",
    ReceiptEvidence = "receipt-evidence",
    Anchor = "anchor",
    Leaf = "leaf",
    UserDigest = "ud",
    EpochStart = "epoch-start",
    EpochStartSigned = "epoch-start-signed",
    PeerRpc = "peer-rpc",
    PeerReply = "peer-reply",
    SnapshotHead = "snapshot-head",
    SnapshotChunk = "snapshot-chunk",
    Derive = "derive",
    Record = "rec",
    WrappedKey = "wrap",
    RecoveryBlob = "recovery-blob",
    GrantPolicy = "grant-policy",
    GrantOrder = "grant-order",
    GrantOrderSigned = "grant-order-signed",
    WorkloadKey = "workload-wrap",
    WorkloadReport = "workload-report",
    WorkloadHello = "workload-hello",
    WorkloadChallenge = "workload-challenge",
    WorkloadAsk = "workload-ask",
    WorkloadReply = "workload-reply",
    WorkloadRequest = "workload-request",
    WorkloadAudit = "workload-audit",
    WorkloadAuditSigned = "workload-audit-signed",
}
