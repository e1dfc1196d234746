//! Every limit of the protocol, with its unit and its reason.
//!
//! Decides: how much a stranger can make us hold or do. A limit applies before memory is reserved or bytes are decoded.
//! Trusts: nothing. Explained for people in docs/limits.md.

/// Bytes of an SNP attestation report: fixed by AMD's ABI, all versions.
pub const SNP_REPORT_BYTES: usize = 1_184;
/// Bytes of a TDX quote: real ones are 4 to 8 KiB; the PEM chain inside may grow.
pub const TDX_QUOTE_BYTES: usize = 16 * 1024;
/// Bytes of a TDX event log: the area firmware reserves for it (CCEL) is 64 KiB, real logs fill 6 to 20 KiB of it.
pub const EVENT_LOG_BYTES: usize = 64 * 1024;
/// Events of a TDX event log, and of a policy's table of allowed ones: real logs have 20 to 50.
pub const EVENT_LOG_EVENTS: usize = 256;
/// Bytes of one DER certificate: real ones are under 2 KiB.
pub const CERT_BYTES: usize = 8 * 1024;
/// Bytes of a certificate revocation list: Intel's PCK list may name many platforms.
pub const CRL_BYTES: usize = 256 * 1024;
/// Bytes of a signed JSON document of Intel's service (TCB info, QE identity).
pub const COLLATERAL_JSON_BYTES: usize = 128 * 1024;
/// Bytes of a PEM chain of Intel's service.
pub const PEM_CHAIN_BYTES: usize = 16 * 1024;
/// Bytes of a release proof: a bundle with an inclusion proof and cosignatures.
pub const RELEASE_PROOF_BYTES: usize = 256 * 1024;
/// Bytes of a signed note: a checkpoint with 16 post-quantum cosignatures of 3.3 KiB each.
pub const NOTE_BYTES: usize = 64 * 1024;
/// Signature lines of a signed note; lines of unknown keys are skipped, and skipping costs too.
pub const NOTE_SIGNATURES: usize = 64;
/// Bytes of one Sigstore bundle: real ones have 4 to 12 KiB.
pub const BUNDLE_BYTES: usize = 64 * 1024;
/// Bytes of Sigstore's trusted root: the public one has 6 KiB, with every key it ever had.
pub const TRUSTED_ROOT_BYTES: usize = 64 * 1024;
/// Bundles of one release: as many as signers a policy can name.
pub const RELEASE_BUNDLES: usize = 16;
/// Parts of each kind a bundle or a trusted root may repeat: certificates of a chain, log entries, timestamps, keys.
pub const SIGSTORE_PARTS: usize = 16;
/// Files, and measurements of one kind, that a statement about a release names: shapes of guests.
pub const STATEMENT_SHAPES: usize = 256;
/// Bytes of a verifier key: a name, and the base64 of an ML-DSA-44 key of 1,312 bytes.
pub const VERIFIER_KEY_BYTES: usize = 2_048;
/// Hashes of an inclusion path of the release log: the height of a tree with 2^64 leaves.
pub const LOG_PATH: usize = 64;
/// Revocations of a release log: the list travels whole with every proof.
pub const REVOCATIONS: usize = 256;
/// Earlier heads a proof of release continues: with one proof a week, clients that were away for half a year.
pub const KNOWN_HEADS: usize = 32;
/// Bytes of one handshake or attestation message: an answer carries evidence, endorsements, policy and its changes, and release proof.
pub const ATTEST_MESSAGE_BYTES: usize = 1024 * 1024;
/// Bytes of the endorsements of an answer beside which everything else may have its full size: real ones have 5 to 60 KiB.
pub const ENDORSEMENTS_BYTES: usize = 144 * 1024;
/// Bytes of an answer's founding record, boot configuration, keys, paths and framing.
pub const ANSWER_FRAME_BYTES: usize = 32 * 1024;
// The policy in force, the founding one, every change between them, the proof of release, the evidence, and what stands around them.
const _: () = assert!(
    2 * POLICY_BYTES
        + POLICY_STEPS_BYTES
        + RELEASE_PROOF_BYTES
        + TDX_QUOTE_BYTES
        + EVENT_LOG_BYTES
        + ENDORSEMENTS_BYTES
        + ANSWER_FRAME_BYTES
        <= ATTEST_MESSAGE_BYTES
);
/// Bytes of a message before the peer is attested, other than the attestation answer.
pub const HANDSHAKE_MESSAGE_BYTES: usize = 8 * 1024;
/// Sessions under one quote: 2^12 leaves keep a path at 12 hashes.
pub const BATCH_LEAVES: usize = 4_096;
/// Hashes of a batch path.
pub const BATCH_PATH: usize = 12;
/// Milliseconds a node collects sessions for one quote.
pub const BATCH_WINDOW_MS: u64 = 50;
/// Seconds after which every session attests anew, whatever a policy allows: what a machine turned into is noticed within a day.
pub const REATTEST_MOST_S: u32 = 24 * 60 * 60;
/// Quotes a node makes in a second: AMD's firmware throttles a guest above this.
pub const QUOTES_PER_SECOND: u32 = 20;

/// Bytes of a key name a user chooses.
pub const KEY_BYTES: usize = 1_024;
/// Bytes of a namespace name.
pub const NAMESPACE_BYTES: usize = 64;
/// Bytes of a value: what fits one Raft entry with room for framing.
pub const VALUE_BYTES: usize = 1024 * 1024;
/// Mutations of one atomic batch.
pub const BATCH_MUTATIONS: usize = 128;
/// Bytes of one client request or reply: a value of the full size, a page of a list, or a batch.
pub const REQUEST_BYTES: usize = VALUE_BYTES + 192 * 1024;
/// Entries of one page of a list.
pub const PAGE_ENTRIES: usize = 1_000;
/// Events of one watch message.
pub const WATCH_EVENTS: usize = 256;
/// Requests of one client session that may wait for an answer at once.
pub const SESSION_IN_FLIGHT: usize = 256;
/// Namespaces in dual mode one client session may work on: the user's part of the keys of each is in the node's memory for as long.
pub const SESSION_PARTS: usize = 32;
/// Bytes of a key name in a namespace in user mode: sealed by the client, it must fit a key name.
pub const USER_NAME_BYTES: usize = 256;
/// Bytes of a value in a namespace in user mode: sealed and padded by the client, it must fit a value.
pub const USER_VALUE_BYTES: usize = VALUE_BYTES / 2;
/// Names of one namespace in user mode a client opens to put them in order: nobody else can.
pub const USER_LIST_NAMES: usize = 262_144;
/// Watches of one client session.
pub const SESSION_WATCHES: usize = 16;

/// Namespaces one receipt names: answers about more leave under several receipts.
pub const RECEIPT_SPACES: usize = 32;
/// Hashes of a consistency path: one a level, and the one it opens with.
pub const TREE_PATH: usize = 65;
/// Receipts an anchor holds beside the newest: one for each namespace the newest does not name. The oldest goes first.
pub const ANCHOR_RECEIPTS: usize = 32;
/// Bytes of an anchor file: the receipts it may hold, each with a full group path.
pub const ANCHOR_BYTES: usize = 192 * 1024;
/// Bytes of an evidence file: two receipts, and two attestation exchanges of the full size with the policy changes before them.
pub const RECEIPT_EVIDENCE_BYTES: usize = 2 * EXCHANGE_ROW_BYTES + 64 * 1024;
/// Complete tiles of 256 leaves of the log tree that are kept: consistency can be proven from every size in them, and from landmarks for ever.
pub const LOG_TREE_TILES: u64 = 1_024;

/// Slots of a cluster.
pub const SLOTS: usize = 16;
/// Chips or platforms a policy can name.
pub const POLICY_CHIPS: usize = 256;
/// Measurements a policy can name.
pub const POLICY_MEASUREMENTS: usize = 64;
/// Tables of allowed boot events one measurement can name: one for each firmware image and course of its boot.
pub const TDX_REPLAYS: usize = 8;
/// Digests a policy allows for one boot event: one for each shape of guest, as many as shapes named by tuples.
pub const EVENT_DIGESTS: usize = 32;
/// Links of one admission proof: as many admissions as one message shows.
pub const ADMISSION_LINKS: usize = 32;
/// Proofs asked for in one session: with [`ADMISSION_LINKS`] each, all incarnations a record holds.
pub const ADMISSION_ROUNDS: usize = 32;
/// Bytes of one admission proof: links with the longest addresses and a verdict of every voter.
pub const ADMISSION_PROOF_BYTES: usize = 192 * 1024;
/// Bytes of the name of a workload key: a path of three parts.
pub const WORKLOAD_NAME_BYTES: usize = 128;
/// Workload keys of a cluster.
pub const WORKLOAD_KEYS: u64 = 1_024;
/// Configurations (host data) a grant policy can name, for each vendor.
pub const WORKLOAD_CONFIGS: usize = 64;
/// Entries of the audit chain that are kept: about 300 bytes each, in every snapshot. Older ones stay in the chain's digest alone.
pub const WORKLOAD_AUDIT: u64 = 65_536;
/// Entries of one page of the audit chain.
pub const AUDIT_PAGE: usize = 256;
/// Refusals of one key (or of names that are none) that are written down in one minute; further ones are counted in the next entry.
pub const WORKLOAD_REFUSALS_PER_MINUTE: u32 = 60;
/// Questions of one workload session.
pub const WORKLOAD_ASKS: u64 = 4_096;
/// Custodians of a cluster.
pub const CUSTODIANS: usize = 16;
/// Bytes of a sealed share: the share's own encoding and a tag, with room for a field more.
pub const SEALED_SHARE_BYTES: usize = 384;
/// Live key generations a recovery blob holds: the tag key, the master key, and older ones whose data keys are being rewrapped.
pub const LIVE_KEYS: usize = 16;
/// Bytes of the sealed part of a recovery blob: [`LIVE_KEYS`] keys with their framing.
pub const SEALED_KEYS_BYTES: usize = 2 * 1024;
/// Bytes of a platform wrap: the sealed keys with their frame.
pub const PLATFORM_WRAP_BYTES: usize = SEALED_KEYS_BYTES + 1024;
/// Bytes of a kept attestation exchange: an answer of the full size and its frame.
pub const EXCHANGE_BYTES: usize = ATTEST_MESSAGE_BYTES + 4096;
/// Bytes of one message between a custodian and a node: a dealing, or a submission with the evidence of its anchor's signer.
pub const CUSTODIAN_MESSAGE_BYTES: usize = EXCHANGE_BYTES + 96 * 1024;
/// Data keys one entry rewraps: 170 bytes each, so a rotation of many namespaces leaves room for writes between its entries.
pub const REWRAP_SPACES: usize = 1_024;
/// Workload keys one entry moves to the newest master key.
pub const REWRAP_WORKLOADS: usize = 256;
/// Namespaces one entry erases; what they held goes in bounded steps afterwards.
pub const ERASE_SPACES: usize = 256;
/// Bytes of a recovery file: a kept exchange, a manifest of [`CUSTODIANS`] custodians with their keys, the sealed keys.
pub const RECOVERY_FILE_BYTES: usize = EXCHANGE_BYTES + 96 * 1024;
/// Files one assisting machine gives: the segments of a log of 512 GiB.
pub const ASSIST_FILES: usize = 8_192;
/// Bytes of one part of a file that an assisting machine gives.
pub const ASSIST_PART_BYTES: usize = 1024 * 1024;
/// Questions of one session with an assisting machine: parts of 16 TiB.
pub const ASSIST_ASKS: u64 = 1 << 24;
/// Machines that keep one recovery session: all of them are needed at its end, so more of them make it no safer against loss.
pub const KEEPERS: usize = 4;
/// Offers of one session before the newest: processes that died one after the other. Then custodians answer again.
pub const SUCCESSIONS: usize = 8;
/// Processes a keeper hands one session to, one after the other: most of them die before they offer anything.
pub const HOLDERS: usize = 64;
/// Events of one recovery's audit a node keeps and shows: a few for every custodian and every disk.
pub const AUDIT_EVENTS: usize = 256;
/// Recoveries after total outages that a cluster can go through: each is told to every client that comes back, in 100 bytes without witnesses.
pub const EPOCHS: usize = 64;
/// Submissions that were refused after which a recovery session is over: custodians type a share wrongly, they do not guess.
pub const SUBMISSIONS_REFUSED: usize = 5;
/// Milliseconds of group time between the beginnings of two drills: each costs a quote, two entries and a reading of one disk.
pub const DRILL_PAUSE_MS: u64 = 600_000;
/// Seconds after which a drill that has not enough shares ends: custodians fetch it, answer on another machine, and bring the answer back.
pub const DRILL_LASTS_S: u64 = 86_400;
/// Steps of a drill whose time is told.
pub const DRILL_LAPS: usize = 8;
/// Bytes a custodian's locked file says in the clear: a name and two public keys.
pub const LOCKED_PUBLIC_BYTES: usize = 4 * 1024;
/// Bytes of the locked part: a few keys, in age's format with a line for each of many recipients.
pub const LOCKED_SECRET_BYTES: usize = 32 * 1024;
/// Entries a custodian's journal can hold: a ceremony a week for twenty years, with room.
pub const JOURNAL_ENTRIES: usize = 4_096;
/// Bytes of one journal entry: names, digests and a custodian's reason.
pub const JOURNAL_ENTRY_BYTES: usize = 1_024;
/// Governance keys of a cluster.
pub const GOVERNORS: usize = 32;
/// Bytes of a policy document.
pub const POLICY_BYTES: usize = 128 * 1024;
/// Changes of a policy in one answer, and in one page of them: who is further behind asks for pages.
pub const POLICY_STEPS: usize = 32;
/// How far the version may rise with one change: a mistaken or stolen signature cannot use up all versions there are.
pub const POLICY_VERSION_JUMP: u64 = 1 << 20;
/// Bytes of all of them together, so also of one change: a policy of a few kilobytes with its notice by Ed25519 witnesses, 32 times; about 7 where four
/// witnesses cosign by ML-DSA-44. Few large ones fit instead of many small ones.
pub const POLICY_STEPS_BYTES: usize = 256 * 1024;
/// Changes of a cluster's policy since it was founded: one a week for twenty years.
pub const POLICY_ROW_STEPS: usize = 1_024;
/// Bytes of all of them together: that many of 16 KiB each. Every member holds them in memory once, and every snapshot.
pub const POLICY_ROW_BYTES: usize = 16 * 1024 * 1024;
/// Changes of those that are left to what does not loosen: a row that releases filled can still take builds, chips and governors off.
pub const POLICY_RESERVE_STEPS: usize = 64;
/// Bytes of those that are left to what does not loosen: 8 policies of the full size, or 64 of 16 KiB.
pub const POLICY_RESERVE_BYTES: usize = 1024 * 1024;
/// Pages of changes asked for in one session: a page has [`POLICY_STEPS`] changes, or two in a row have more than [`POLICY_STEPS_BYTES`].
pub const POLICY_PAGES: usize = POLICY_ROW_STEPS / POLICY_STEPS + 2 * (POLICY_ROW_BYTES / POLICY_STEPS_BYTES) + 1;
/// Bytes of a cluster card: the founding policy, every change of it, and in as much again the genesis record, addresses and doors for pages.
pub const CARD_BYTES: usize = 2 * POLICY_BYTES + POLICY_ROW_BYTES;
/// Bytes of a client's record of a policy: the founding one, every change, and a checksum.
pub const KNOWN_POLICY_BYTES: usize = POLICY_BYTES + POLICY_ROW_BYTES + 64 * 1024;
/// Bytes of a client's memory of a cluster as one record, its checksum counted. With a card of the full size it fits one question to a module
/// (`ringwall_web::door`, 64 MiB).
pub const KEPT_MEMORY_BYTES: usize = 44 * 1024 * 1024;
/// Bytes of a saved exchange with the changes before its answer's.
pub const EXCHANGE_ROW_BYTES: usize = EXCHANGE_BYTES + KNOWN_POLICY_BYTES;
/// Bytes of a client's record of the newest head of the release log: a note, a time and a checksum.
pub const LOG_HEAD_BYTES: usize = NOTE_BYTES + 1_024;
/// Bytes of a proof that a release log lied: two notes, a path and a checksum.
pub const FORK_PROOF_BYTES: usize = 2 * NOTE_BYTES + 16 * 1024;
/// Entries of the release log that one proof shows to be public: as many recoveries and dealings as an operator has reason to show at once.
pub const PUBLISHED_ENTRIES: usize = 16;
/// Bytes of such a proof: one checkpoint, and for each entry itself and its path.
pub const PUBLISHED_BYTES: usize = NOTE_BYTES + 64 * 1024;
/// Changes that wait for their time at once: governors who disagree may each have theirs seen.
pub const POLICY_PENDING: usize = 4;
/// Changes of one policy that were withdrawn and are remembered, so that nobody brings them back.
pub const POLICY_WITHDRAWN: usize = 64;

/// Sealed writes of one Raft entry.
pub const ENTRY_WRITES: usize = 4_096;
/// Bytes of one Raft entry: bounds what one append must hold; a batch is cut before it passes this.
pub const ENTRY_BYTES: usize = 4 * 1024 * 1024;
/// Entries of one append message.
pub const APPEND_ENTRIES: usize = 1_024;
/// Bytes of one message between members: one append, or one snapshot chunk.
pub const PEER_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one snapshot chunk.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes sealing adds at most to a value of the full size: the next size bucket, the length and the tag.
pub const SEALED_VALUE_BYTES: usize = VALUE_BYTES + 64;
/// Bytes of a sealed key name.
pub const SEALED_NAME_BYTES: usize = KEY_BYTES + 64;

/// Devices of one user on record, revoked ones among them: a name that was revoked stays so.
pub const USER_DEVICES: usize = 64;
/// Bytes of a device's name.
pub const DEVICE_NAME_BYTES: usize = 64;
/// Bytes of a sealed device: credential and name, padded, with what sealing adds.
pub const SEALED_DEVICE_BYTES: usize = 384;
/// Rows of one user's audit trail that are kept; older ones are in its digest alone.
pub const USER_AUDIT_ROWS: u64 = 1_024;
/// Rows of an audit trail in one answer.
pub const USER_AUDIT_PAGE: usize = 64;
/// Tries to restore a user with a key that is not its recovery key, in one window, before all of them are refused.
pub const RESTORE_TRIES: u32 = 5;
/// Seconds of such a window, by the group's time.
pub const RESTORE_WINDOW_S: u32 = 3_600;
/// Seconds a restored device waits before it counts, unless the user set another time: long enough for somebody with another device to notice.
pub const COOL_DOWN_S: u32 = 24 * 60 * 60;
/// Longest such wait a user can set.
pub const COOL_DOWN_MOST_S: u32 = 30 * 24 * 60 * 60;

/// Bytes of one part of a backup: a reply with room for framing.
pub const BACKUP_PART_BYTES: usize = 512 * 1024;
/// Bytes of a backup's proof: the signer's attestation exchange with the policy changes before it, and a signed head.
pub const BACKUP_PROOF_BYTES: usize = EXCHANGE_ROW_BYTES + 4 * 1024;
/// Bytes of a backup's snapshot: a guard against nonsense, the disk is the limit.
pub const BACKUP_STATE_BYTES: u64 = 1 << 44;
/// Bytes of one item of a snapshot: a record of the full size, or a client with a full window.
pub const SNAPSHOT_ITEM_BYTES: usize = 2 * 1024 * 1024;
/// Namespaces whose names one question for data keys gives.
pub const ESCROW_NAMES: usize = 256;
/// Data keys of one page: few enough that its buffer in a member never moves.
pub const ESCROW_PAGE: usize = 64;
/// Bytes of a sealed page: 122 bytes for each key with the longest name, and a tag.
pub const ESCROW_PAGE_BYTES: usize = 10 * 1024;
/// Pages of one user's data keys: 16,384 namespaces.
pub const ESCROW_PAGES: usize = 256;

/// Client sessions whose recent outcomes are kept for exactly-once retries, in all.
pub const DEDUP_CLIENTS: usize = 65_536;
/// Client sessions of one user among them: one user cannot push out the others.
pub const DEDUP_CLIENTS_PER_SPACE: usize = 4_096;
/// Outcomes kept for one client session: as many as may be in flight.
pub const DEDUP_OUTCOMES: usize = SESSION_IN_FLIGHT;
/// Change events kept for watchers.
pub const HISTORY_EVENTS: usize = 16_384;
