//! The memory of one client: shown at every opening, compared with every receipt, kept in a store.
//!
//! Decides: no session opens before the store was read, and none after a detection, in this process or, with files, in any later one; a reply
//! counts only behind a receipt that answers for it and continues what is known. Signatures are verified when a session opens, before anything is
//! called a detection, and before a receipt is kept; between those the session's own keys vouch for who speaks.
//! Calls of the store may block, and are made where they stand: whoever drives the client calls [`Keeper::begin`] and [`Keeper::settle`] where waiting harms nobody,
//! the second of them at [`Keeper::due_ms`].
//! Trusts: the session's attestation. Out of scope: the rules (`judge.rs`), files (`client`), timers. Protocol section 5.2.

use super::evidence::EvidenceFile;
use super::judge::{self, Contradiction, ReceiptFault, Refused, Session, is_signed};
use super::merge::{Pair, merge};
use super::store::{AnchorError, AnchorStore, KeptAnchor};
use crate::exchange::Exchange;
use rand_core::CryptoRng;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, Epoch, Nonce, SigPublic};
use ringwall_wire::limits::EPOCHS;
use ringwall_wire::receipt::{Anchor, EpochStart, Evidence, KnownPoint, Misdeed, Receipt, Receipted, Signer, session_nonce};
use ringwall_wire::request::{Answer, Reply};
use ringwall_wire::spared::{Part, spared};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest time an accepted receipt waits before it is kept, milliseconds: a crash before that loses no more than these last words.
const KEEP_AFTER_MS: u64 = 1_000;
/// Sessions of which something waits to be kept: as many as the addresses that are tried beside each other. Beyond them the one that was silent longest goes, which
/// is only weaker.
const SESSIONS: usize = 64;

/// A rollback or a fork that was detected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// What it is.
    pub misdeed: Misdeed,
    /// In words.
    pub what: String,
    /// Where the evidence lies.
    pub evidence: String,
}

/// Why a session is not opened, or is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A rollback or fork, now or before.
    #[error("{}", .0.what)]
    Detected(Arc<Detected>),
    /// What the node sent is no receipt.
    #[error("its receipt is refused: {0}")]
    Receipt(ReceiptFault),
    /// A higher epoch without proof.
    #[error("it serves epoch {got}; epoch {known} was seen, and nothing proves what became of it")]
    Epoch {
        /// Epoch known.
        known: Epoch,
        /// Epoch served.
        got: Epoch,
    },
    /// The anchor could not be read or kept.
    #[error("{words}")]
    Store {
        /// Stable code.
        code: &'static str,
        /// What is wrong.
        words: String,
    },
}

/// A client's memory; clones of an `Arc` share it.
pub struct Keeper {
    store: Arc<dyn AnchorStore>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Accepted, signed, and kept or about to be.
    anchor: Option<Arc<Anchor>>,
    signers: Vec<Signer>,
    /// Accepted and not kept yet: one of each session, since attempts run beside each other and one that was left may end last. The one accepted last is the last.
    fresh: Vec<Fresh>,
    /// When that is to be kept, milliseconds; none where nothing waits.
    due_ms: Option<u64>,
    trouble: Option<Trouble>,
}

impl Inner {
    /// Adds `anchor`, which is kept, to what is known: whoever kept it may be late, so that more is known by now.
    fn learn(&mut self, anchor: Arc<Anchor>) -> Result<Arc<Anchor>, Pair> {
        let known = match &self.anchor {
            Some(known) => Arc::new(merge(known, &anchor)?),
            None => anchor,
        };
        self.anchor = Some(Arc::clone(&known));
        Ok(known)
    }
}

#[derive(Clone)]
struct Fresh {
    anchor: Arc<Anchor>,
    session: Arc<Proven>,
}

/// Who a session is with.
struct Proven {
    session: Session,
    exchange: Exchange,
    /// Something it accepted was not signed by its key.
    is_unsigned: AtomicBool,
}

/// What a session begins with.
pub struct Begun {
    /// The nonce of its evidence: names what was known.
    pub nonce: Nonce,
    opening: Nonce,
    anchor: Option<Arc<Anchor>>,
}

/// One session's receipts.
pub struct Sitting {
    keeper: Arc<Keeper>,
    proven: Arc<Proven>,
    opening: Nonce,
    heads: Vec<Digest>,
    /// All that is known, this session's receipts included.
    anchor: Option<Arc<Anchor>>,
    number: u64,
    covered: u16,
    /// How the epochs since the one that was known began.
    epochs: List<EpochStart, EPOCHS>,
}

impl core::fmt::Debug for Keeper {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Keeper")
    }
}

impl core::fmt::Debug for Begun {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Begun(nonce {:?})", self.nonce)
    }
}

impl core::fmt::Debug for Sitting {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Sitting({} receipts)", self.number)
    }
}

impl Begun {
    /// What the node is told of what is known.
    pub fn known(&self) -> Option<KnownPoint> {
        self.anchor.as_ref().map(|anchor| anchor.newest.head.known())
    }
}

impl Keeper {
    /// A client's memory in `store`.
    pub fn new(store: Arc<dyn AnchorStore>) -> Arc<Self> {
        Arc::new(Keeper { store, inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session: keeps what is not kept yet, and reads what other processes of this user have seen.
    pub fn begin(&self, rng: &mut dyn CryptoRng) -> Result<Begun, Trouble> {
        self.settle();
        self.unhurt()?;
        let KeptAnchor { anchor, signers, detected } = self.store.load().map_err(of_store)?;
        if let Some((misdeed, evidence)) = detected {
            let what = "it was detected before, and nobody has settled the matter since".into();
            return Err(self.hurt(Trouble::Detected(Arc::new(Detected { misdeed, what, evidence }))));
        }
        let anchor = match anchor {
            Some(theirs) => Some(self.learn(Arc::new(theirs)).map_err(|pair| self.between_processes(pair, None))?),
            None => self.lock().anchor.clone(),
        };
        let mut inner = self.lock();
        inner.signers.extend(signers);
        inner.signers.sort_by_key(|signer| (signer.incarnation, signer.exchange.is_empty()));
        inner.signers.dedup_by_key(|signer| signer.incarnation);
        drop(inner);
        let mut opening = Nonce([0; 32]);
        rng.fill_bytes(&mut opening.0);
        let heads = anchor.as_ref().map(|anchor| anchor.heads()).unwrap_or_default();
        Ok(Begun { nonce: session_nonce(&opening, &heads), opening, anchor })
    }

    fn learn(&self, anchor: Arc<Anchor>) -> Result<Arc<Anchor>, Pair> {
        self.lock().learn(anchor)
    }

    /// Keeps what was accepted, if anything was. Several threads may call it at once: what one of them has is added to what the others kept.
    pub fn settle(&self) {
        let waiting = {
            let mut inner = self.lock();
            inner.due_ms = None;
            inner.fresh.clone()
        };
        let mut kept = !waiting.is_empty();
        for fresh in &waiting {
            if self.is_detected() {
                return;
            }
            kept &= self.keep(fresh);
        }
        let mut inner = self.lock();
        // Not while another thread's words wait that the store did not take.
        if kept && inner.fresh.is_empty() && matches!(inner.trouble, Some(Trouble::Store { .. })) {
            inner.trouble = None;
        }
    }

    /// Keeps what one session accepted. False when the store did not take it: then it waits.
    fn keep(&self, fresh: &Fresh) -> bool {
        let Proven { session, exchange, .. } = &*fresh.session;
        // Receipts of other signers were verified when they were kept.
        let unsigned = |receipt: &&Receipt| receipt.leaf.nonce == session.nonce && !is_signed(receipt, &session.key);
        if fresh.anchor.receipts().find(unsigned).is_some() {
            // Nothing this session accepted is kept, also what came since; the words of others are not touched.
            self.lock().fresh.retain(|other| !Arc::ptr_eq(&other.session, &fresh.session));
            fresh.session.is_unsigned.store(true, Ordering::Relaxed);
            return true;
        }
        let signer = signer_of(session, exchange);
        let saved = self.store.save(&fresh.anchor, std::slice::from_ref(&signer)).and_then(|()| {
            let mut inner = self.lock();
            inner.fresh.retain(|other| !Arc::ptr_eq(&other.anchor, &fresh.anchor));
            inner.learn(Arc::clone(&fresh.anchor)).map_err(AnchorError::Contradiction)?;
            if !inner.signers.iter().any(|known| known.incarnation == signer.incarnation) {
                inner.signers.push(signer.clone());
            }
            Ok(())
        });
        match saved {
            Ok(()) => true,
            Err(AnchorError::Contradiction(pair)) => {
                self.between_processes(pair, Some((session.key, signer)));
                false
            }
            Err(fault) => {
                self.hurt(of_store(fault));
                false
            }
        }
    }

    fn is_detected(&self) -> bool {
        matches!(self.lock().trouble, Some(Trouble::Detected(_)))
    }

    /// What ended this client's use of the cluster.
    fn unhurt(&self) -> Result<(), Trouble> {
        self.lock().trouble.clone().map_or(Ok(()), Err)
    }

    fn hurt(&self, trouble: Trouble) -> Trouble {
        let mut inner = self.lock();
        match &inner.trouble {
            Some(first @ Trouble::Detected(_)) => first.clone(),
            _ => {
                inner.trouble = Some(trouble.clone());
                trouble
            }
        }
    }

    /// When [`Keeper::settle`] is to be called, milliseconds of the clock receipts came by; none where nothing waits to be kept.
    pub fn due_ms(&self) -> Option<u64> {
        self.lock().due_ms
    }

    fn accept(&self, anchor: Arc<Anchor>, session: Arc<Proven>, now_ms: u64) {
        let mut inner = self.lock();
        inner.fresh.retain(|other| !Arc::ptr_eq(&other.session, &session));
        if inner.fresh.len() >= SESSIONS {
            inner.fresh.remove(0);
        }
        inner.fresh.push(Fresh { anchor, session });
        inner.due_ms.get_or_insert(now_ms.saturating_add(KEEP_AFTER_MS));
    }

    /// `here` is this process's session: two recoveries from one disk make members of one number and two keys, so a receipt is its only if its key signed it.
    fn between_processes(&self, (what, pair): Pair, here: Option<(SigPublic, Signer)>) -> Trouble {
        let (known, got) = *pair;
        let signer = |receipt: &Receipt| match &here {
            Some((key, signer)) if is_signed(receipt, key) => signer.clone(),
            _ => self.signer(receipt),
        };
        let evidence = Evidence {
            misdeed: what.misdeed(),
            from: got.head.tree.size,
            known_signer: signer(&known),
            got_signer: signer(&got),
            known,
            got,
            opening: Nonce([0; 32]),
            heads: List::default(),
            path: List::default(),
            epochs: List::default(),
        };
        self.detect(&what, self.store.detected(&EvidenceFile(evidence)))
    }

    fn detect(&self, what: &Contradiction, kept: Result<String, AnchorError>) -> Trouble {
        let evidence = kept.unwrap_or_else(|fault| format!("nowhere, because it could not be kept: {fault}"));
        self.hurt(Trouble::Detected(Arc::new(Detected { misdeed: what.misdeed(), what: what.to_string(), evidence })))
    }

    fn signer(&self, receipt: &Receipt) -> Signer {
        let incarnation = receipt.head.incarnation;
        let known = self.lock().signers.iter().find(|signer| signer.incarnation == incarnation).cloned();
        known.unwrap_or(Signer { incarnation, exchange: Blob::default() })
    }
}

fn signer_of(session: &Session, exchange: &Exchange) -> Signer {
    Signer { incarnation: session.incarnation, exchange: Blob::new(exchange.encode_whole()).unwrap_or_default() }
}

pub(super) fn of_store(fault: AnchorError) -> Trouble {
    Trouble::Store { code: fault.code(), words: fault.to_string() }
}

impl Sitting {
    /// The sitting of a session whose node was just proven, opened by its first receipt.
    pub fn open(
        keeper: &Arc<Keeper>,
        begun: Begun,
        (session, exchange): (Session, Exchange),
        (first, epochs): (&Receipted, &List<EpochStart, EPOCHS>),
        now_ms: u64,
    ) -> Result<Self, Trouble> {
        let Begun { opening, anchor, .. } = begun;
        let heads = anchor.as_ref().map(|anchor| anchor.heads()).unwrap_or_default();
        let proven = Arc::new(Proven { session, exchange, is_unsigned: AtomicBool::new(false) });
        let mut sitting =
            Sitting { keeper: Arc::clone(keeper), proven, opening, heads, anchor, number: 0, covered: 0, epochs: epochs.clone() };
        if !is_signed(&first.receipt, &sitting.proven.session.key) {
            return Err(Trouble::Receipt(ReceiptFault::Signature));
        }
        sitting.take(first, now_ms)?;
        Ok(sitting)
    }

    /// Whether the session may go on. What was not signed is the fault of its own session, and of no other.
    pub fn goes_on(&self) -> Result<(), Trouble> {
        if self.proven.is_unsigned.load(Ordering::Relaxed) {
            return Err(Trouble::Receipt(ReceiptFault::Signature));
        }
        self.keeper.unhurt()
    }

    /// Looks at one message of the node. True when it is a reply to pass on: its receipt came before it.
    pub fn passes(&mut self, message: &[u8], now_ms: u64) -> Result<bool, Trouble> {
        if spared(Part::Receipts) {
            return Ok(true);
        }
        match Reply::peek(message) {
            Some((0, Reply::RECEIPT)) => {
                let Ok(Reply { body: Answer::Receipt(receipted), .. }) = Reply::decode(message) else {
                    return Err(Trouble::Receipt(ReceiptFault::Torn));
                };
                if self.covered > 0 {
                    return Err(Trouble::Receipt(ReceiptFault::Torn));
                }
                self.take(&receipted, now_ms)?;
                self.covered = receipted.covers;
                Ok(false)
            }
            // A refusal says nothing of the state.
            Some((number, Reply::REFUSED)) => {
                self.covered = self.covered.saturating_sub(u16::from(number != 0));
                Ok(true)
            }
            // What is no reply at all is told apart where replies are read.
            None => Ok(true),
            Some(_) => match self.covered.checked_sub(1) {
                Some(left) => {
                    self.covered = left;
                    Ok(true)
                }
                None => Err(Trouble::Receipt(ReceiptFault::Missing)),
            },
        }
    }

    /// Judges a receipt and remembers it.
    fn take(&mut self, got: &Receipted, now_ms: u64) -> Result<(), Trouble> {
        if spared(Part::Receipts) {
            return Ok(());
        }
        let number = self.number.saturating_add(1);
        let session = Session { number, ..self.proven.session.clone() };
        judge::fits(&got.receipt, &session).map_err(Trouble::Receipt)?;
        let judged = match &self.anchor {
            Some(known) => judge::against_across(known, &got.receipt, got.from, &got.path, &self.epochs),
            None => Ok(()),
        };
        match judged {
            Ok(()) => {}
            Err(Refused::Fault(fault)) => return Err(Trouble::Receipt(fault)),
            Err(Refused::EpochUnproven { known, got }) => return Err(Trouble::Epoch { known, got }),
            Err(Refused::Contradicts(what, known)) => return Err(self.detected(&what, *known, got)),
        }
        self.number = number;
        let added = Anchor { newest: got.receipt.clone(), others: List::default() };
        let merged = match &self.anchor {
            None => added,
            // Nothing contradicts: that was judged.
            Some(known) => merge(known, &added).unwrap_or(added),
        };
        let merged = Arc::new(merged);
        self.anchor = Some(Arc::clone(&merged));
        self.keeper.accept(merged, Arc::clone(&self.proven), now_ms);
        Ok(())
    }

    /// Writes evidence down, at once: the client does nothing else for this cluster any more.
    fn detected(&self, what: &Contradiction, known: Receipt, got: &Receipted) -> Trouble {
        let Proven { session, exchange, .. } = &*self.proven;
        let ours = |receipt: &Receipt| receipt.leaf.nonce == session.nonce;
        if !is_signed(&got.receipt, &session.key) || ours(&known) && !is_signed(&known, &session.key) {
            return Trouble::Receipt(ReceiptFault::Signature);
        }
        let signer = signer_of(session, exchange);
        // Not by its number alone: two recoveries from one disk make two members of one number.
        let known_signer = match known.head.incarnation == signer.incarnation && is_signed(&known, &session.key) {
            true => signer.clone(),
            false => self.keeper.signer(&known),
        };
        let evidence = Evidence {
            misdeed: what.misdeed(),
            known,
            got: got.receipt.clone(),
            opening: self.opening,
            heads: List::new(self.heads.clone()).unwrap_or_default(),
            from: got.from,
            path: got.path.clone(),
            known_signer,
            got_signer: signer,
            epochs: self.epochs.clone(),
        };
        let kept = self.keeper.store.detected(&EvidenceFile(evidence));
        self.keeper.detect(what, kept)
    }
}

#[cfg(test)]
mod tests;
