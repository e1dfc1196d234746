//! Every limit of the front door, with its unit and its reason.
//!
//! Decides: how much memory, time and concurrency clients can take from a member. The limits of messages themselves are in
//! `ringwall_wire::limits`.
//! Trusts: nothing. Explained for people in docs/limits.md.

use ringwall_wire::limits::{ENTRY_BYTES, REQUEST_BYTES};
use std::time::Duration;

/// Sessions that shake hands, attest or authenticate at once: each holds one attestation answer at most.
pub(crate) const HALF_OPEN: usize = 512;
/// Client sessions in all, half-open ones included.
pub(crate) const SESSIONS: usize = 8_192;
/// Longest wait for each message before a session is open.
pub(crate) const STEP: Duration = Duration::from_secs(10);
/// Longest time from the first byte to an open session: several slow quotes fit.
pub(crate) const OPENING: Duration = Duration::from_secs(40);
/// Longest time a client may leave a flush of replies unread before it is cut off.
pub(crate) const WRITE_STALL: Duration = Duration::from_secs(15);
/// Longest time a client may take to finish a request it has begun.
pub(crate) const REQUEST_STALL: Duration = Duration::from_secs(30);
/// Time a refused client has to read why.
pub(crate) const LAST_WORD: Duration = Duration::from_millis(500);

/// Bytes of requests and replies one session holds at once: two requests and two replies of the full size.
pub(crate) const SESSION_BYTES: usize = 4 * REQUEST_BYTES;
/// Plain bytes of replies sealed and sent in one go: large enough to fill packets, small enough to keep memory flat.
pub(crate) const FLUSH_BYTES: usize = 128 * 1024;
/// Lists of one session that are worked on at once; further ones wait for their turn.
pub(crate) const SESSION_LISTS: usize = 4;
/// Namespaces one session remembers; more are found again in the shared cache.
pub(crate) const SESSION_SPACES: usize = 32;

/// Longest session of a custodian: a person reads and decides between two questions.
pub(crate) const CUSTODIAN_SESSION: Duration = Duration::from_secs(600);
/// Questions of one session of a custodian: a ceremony takes ten.
pub(crate) const CUSTODIAN_REQUESTS: usize = 64;
/// Milliseconds of group time between two proofs of one custodian: each is an entry.
pub(crate) const PROOF_PAUSE_MS: u64 = 10_000;

/// Bytes of sealed writes that wait for the log, over all sessions: beyond it a write is refused before it is proposed.
pub(crate) const QUEUE_BYTES: usize = 16 * ENTRY_BYTES;
/// Bytes of sealed writes in one entry: the entry limit less the command's own framing.
pub(crate) const BATCH_BYTES: usize = ENTRY_BYTES - 4_096;
/// Entries in flight from this member: one is made durable while the next one fills and travels.
pub(crate) const BATCHES_IN_FLIGHT: usize = 3;
/// How long a write is tried before its outcome is given up as unknown.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// First wait before a write or a read is tried again; doubles up to [`RETRY_MOST`].
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(4);
/// Longest wait before a write or a read is tried again: a new leader is noticed within this.
pub(crate) const RETRY_MOST: Duration = Duration::from_millis(64);

/// Read rounds in flight from this member: while one asks the quorum the next one gathers.
pub(crate) const ROUNDS_IN_FLIGHT: usize = 2;
/// How long a read waits for a quorum.
pub(crate) const READ_PATIENCE: Duration = Duration::from_secs(5);

/// Namespaces whose data keys are kept unwrapped.
pub(crate) const SPACES_KEPT: usize = 32_768;
/// Bytes of decrypted key names kept for lists, over all namespaces.
pub(crate) const INDEX_BYTES: usize = 192 * 1024 * 1024;
/// Bytes of decrypted key names kept for one namespace; a larger one is listed by scanning it for each page.
pub(crate) const INDEX_SPACE_BYTES: usize = 64 * 1024 * 1024;
/// Records read in one step of a scan, between two chances for others to run.
pub(crate) const SCAN_STEP: usize = 128;
/// Index builds and unindexed scans at once: they are the only long computations here, and the machine may have two cores.
pub(crate) const SCANS: usize = 2;

/// Plain bytes of one page or one message of events; one larger entry travels alone.
pub(crate) const PAGE_BYTES: usize = 512 * 1024;
/// Namespaces that are watched through this member.
pub(crate) const WATCHED_SPACES: usize = 16_384;
/// How often a quiet watch is told how far it has seen, so that it can resume after a break.
pub(crate) const WATCH_PROGRESS: Duration = Duration::from_secs(5);

/// Sessions that wait for a quote of their own; further ones are refused as busy.
pub(crate) const SINGLE_WAITING: usize = 64;
/// Longest wait for evidence: throttled AMD guests wait two seconds, Intel's slow path one.
pub(crate) const QUOTE_PATIENCE: Duration = Duration::from_secs(15);

/// How often the leader looks whether records have to go.
pub(crate) const EXPIRY_TICK: Duration = Duration::from_millis(250);
/// How long a leaving member waits for its sessions to read their last answers.
pub(crate) const LEAVING: Duration = Duration::from_secs(3);

/// Pieces of workloads' evidence that are verified at once: each is a few milliseconds of arithmetic, and the machine may have two cores.
pub(crate) const JUDGING: usize = 4;
/// How often a workload is judged again because its key's policy changed meanwhile.
pub(crate) const GRANT_TRIES: u32 = 3;
/// How long a session about workload keys lasts at most: evidence is judged as it was shown at its beginning.
pub(crate) const VISIT: Duration = Duration::from_secs(600);

/// Between two snapshots that are made because somebody backs the cluster up: each reads and writes the whole state.
pub(crate) const BACKUP_PAUSE: Duration = Duration::from_secs(10);
/// How long a question for a snapshot waits before it is told to ask again: less than a client's patience.
pub(crate) const BACKUP_PATIENCE: Duration = Duration::from_millis(800);
/// How often it is looked meanwhile whether the snapshot is there.
pub(crate) const BACKUP_STEP: Duration = Duration::from_millis(40);
/// Snapshots that are held for whoever fetches them: each takes its space on the disk for as long.
pub(crate) const BACKUPS_HELD: usize = 2;
/// How long one is held after the last part of it was fetched.
pub(crate) const BACKUP_IDLE: Duration = Duration::from_secs(600);
/// How often it is looked whether one is to be let go.
pub(crate) const BACKUP_LOOK: Duration = Duration::from_secs(30);
/// Parts that are read from the disk at once, over all sessions.
pub(crate) const BACKUP_READS: usize = 2;
