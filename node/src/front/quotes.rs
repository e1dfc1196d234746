//! Evidence for sessions: one quote serves everyone who waits for it.
//!
//! Decides: when a quote is made. The first asker is served at once unless a quote was begun less than one window ago; whoever asks meanwhile
//! shares the next one. Quotes are at least 1/`QUOTES_PER_SECOND` apart, whatever is asked for; a session that wants one alone waits
//! its turn. A standing key lives in memory, for one period, and its quote is part of the same budget.
//! A quote is bound to the policy that was in force when it was made; a standing key under another one serves nobody any more.
//! Trusts: nothing the asker says. Out of scope: judging evidence (`attest`). Protocol section 3, SB2 and quote budget.

use crate::clock;
use crate::front::limits::{QUOTE_PATIENCE, SINGLE_WAITING};
use crate::front::refusals::refusal;
use crate::governance::{InForce, PolicyCell};
use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::CryptoRng;
use ringwall_attest::batch::{leaf, session_words, standing_leaf};
use ringwall_attest::{Attester, Batch, CollectError, report_data};
use ringwall_wire::evidence::{BatchPath, Binding, Endorsements, Evidence};
use ringwall_wire::ids::{Digest, Nonce, SigPublic, Signature};
use ringwall_wire::limits::{BATCH_LEAVES, BATCH_WINDOW_MS, QUOTES_PER_SECOND};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, Refusal, RefusalCode, SessionProof, StandingProof};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until, timeout};

/// Time between the beginnings of two quotes.
pub(crate) const QUOTE_GAP: Duration = Duration::from_millis(match 1_000 / QUOTES_PER_SECOND as u64 {
    gap if gap > BATCH_WINDOW_MS => gap,
    _ => BATCH_WINDOW_MS,
});
/// How often a quote is tried when the platform asks to wait.
const TRIES: usize = 3;

/// Makes evidence over a batch root; blocks for as long as the platform takes.
pub(crate) trait Maker: Send + Sync + 'static {
    /// Evidence and endorsements, bound to the policy in force.
    fn make(&self, root: Digest) -> Result<Quote, CollectError>;

    /// Whether the policy a quote is bound to is still in force.
    fn is_current(&self, quote: &Quote) -> bool;

    /// Seconds a standing key serves; 0: not offered.
    fn standing_period_s(&self) -> u64;
}

/// The platform, with everything evidence of this incarnation is bound to beside the root.
pub(crate) struct Platform {
    /// Collects.
    pub(crate) attester: Arc<dyn Attester>,
    /// What does not change from quote to quote, beside the policy.
    pub(crate) binding: Binding,
    /// The policy in force.
    pub(crate) policies: Arc<PolicyCell>,
}

impl Maker for Platform {
    fn make(&self, root: Digest) -> Result<Quote, CollectError> {
        let in_force = self.policies.now();
        let binding = Binding { batch_root: root, policy: in_force.digest(), ..self.binding.clone() };
        let evidence = self.attester.evidence(&report_data(&binding))?;
        Ok(Quote { evidence, endorsements: self.attester.endorsements()?, in_force })
    }

    fn is_current(&self, quote: &Quote) -> bool {
        quote.in_force.digest() == self.policies.now().digest()
    }

    fn standing_period_s(&self) -> u64 {
        u64::from(self.policies.now().policy().session.standing_period_s)
    }
}

/// One quote, shared.
#[derive(Debug)]
pub(crate) struct Quote {
    /// Evidence.
    pub(crate) evidence: Evidence,
    /// Endorsements.
    pub(crate) endorsements: Endorsements,
    /// The policy it is bound to.
    pub(crate) in_force: Arc<InForce>,
}

/// A quote and how it reaches one session.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The quote.
    pub(crate) quote: Arc<Quote>,
    /// The way.
    pub(crate) proof: SessionProof,
}

type Reply = oneshot::Sender<Result<Bound, Refusal>>;

#[derive(Debug)]
struct Ask {
    handshake: Digest,
    nonce: Nonce,
    reply: Reply,
}

#[derive(Debug, Default)]
struct Waiting {
    singles: VecDeque<Ask>,
    batched: VecDeque<Ask>,
    standing: Vec<Ask>,
    /// Whether the next quote is a single one when both kinds wait.
    single_next: bool,
}

/// A standing key and the quote that vouches for it.
struct Period {
    key: SigningKey,
    start_s: u64,
    path: BatchPath,
    quote: Arc<Quote>,
}

/// A standing key that is not vouched for yet.
struct Draft {
    key: SigningKey,
    start_s: u64,
}

/// What the next quote is for.
struct Work {
    asks: Vec<Ask>,
    standing: Vec<Ask>,
    draft: Option<Draft>,
}

/// Unix seconds now.
pub(crate) type Seconds = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Sessions that wait for evidence, and the loop that serves them.
pub(crate) struct Quotes<M> {
    maker: Arc<M>,
    now_s: Seconds,
    waiting: Mutex<Waiting>,
    period: Mutex<Option<Arc<Period>>>,
    rng: Mutex<Box<dyn CryptoRng + Send>>,
    wake: Notify,
}

impl<M: Maker> Quotes<M> {
    /// Nobody waits yet.
    pub(crate) fn new(maker: M, now_s: Seconds, rng: Box<dyn CryptoRng + Send>) -> Self {
        Quotes {
            maker: Arc::new(maker),
            now_s,
            waiting: Mutex::default(),
            period: Mutex::new(None),
            rng: Mutex::new(rng),
            wake: Notify::new(),
        }
    }

    /// Whether the policy a quote is bound to is still in force.
    pub(crate) fn is_current(&self, bound: &Bound) -> bool {
        self.maker.is_current(&bound.quote)
    }

    /// Evidence for the session with this handshake hash, bound to the asker's nonce.
    pub(crate) async fn ask(&self, handshake: Digest, nonce: Nonce, mode: AttestMode) -> Result<Bound, Refusal> {
        if mode == AttestMode::Standing {
            if self.maker.standing_period_s() == 0 {
                return Err(refusal(RefusalCode::ModeNotOffered, "this cluster's policy offers no standing evidence; ask for batched"));
            }
            if let Some(period) = self.serving_period() {
                return Ok(period.vouch(&handshake, &nonce));
            }
        }
        let (reply, answer) = oneshot::channel();
        let ask = Ask { handshake, nonce, reply };
        {
            let mut waiting = lock(&self.waiting);
            match mode {
                AttestMode::Single if waiting.singles.len() >= SINGLE_WAITING => {
                    return Err(refusal(RefusalCode::Busy, "too many sessions wait for a quote of their own; ask for batched"));
                }
                AttestMode::Single => waiting.singles.push_back(ask),
                AttestMode::Batched => waiting.batched.push_back(ask),
                AttestMode::Standing => waiting.standing.push(ask),
            }
        }
        self.wake.notify_one();
        match timeout(QUOTE_PATIENCE, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(no_evidence()),
        }
    }

    /// Makes quotes for ever; run it in one task.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut next = clock::now();
        loop {
            while self.is_quiet() {
                self.wake.notified().await;
            }
            sleep_until(next).await;
            let work = self.next_work();
            if work.asks.is_empty() && work.draft.is_none() {
                continue;
            }
            next = clock::now() + QUOTE_GAP;
            self.serve(work).await;
        }
    }

    fn is_quiet(&self) -> bool {
        let waiting = lock(&self.waiting);
        waiting.singles.is_empty() && waiting.batched.is_empty() && waiting.standing.is_empty()
    }

    /// Takes who is next; those who stopped waiting are left out.
    fn next_work(&self) -> Work {
        let mut waiting = lock(&self.waiting);
        waiting.singles.retain(|ask| !ask.reply.is_closed());
        waiting.batched.retain(|ask| !ask.reply.is_closed());
        waiting.standing.retain(|ask| !ask.reply.is_closed());
        let others = !waiting.batched.is_empty() || !waiting.standing.is_empty();
        if (waiting.single_next || !others)
            && let Some(ask) = waiting.singles.pop_front()
        {
            waiting.single_next = false;
            return Work { asks: vec![ask], standing: Vec::new(), draft: None };
        }
        waiting.single_next = true;
        // One leaf is left for a standing key.
        let count = waiting.batched.len().min(BATCH_LEAVES - 1);
        let asks = waiting.batched.drain(..count).collect();
        let standing = std::mem::take(&mut waiting.standing);
        let draft = (!standing.is_empty()).then(|| self.draft());
        Work { asks, standing, draft }
    }

    fn draft(&self) -> Draft {
        let mut bytes = [0; 32];
        lock(&self.rng).fill_bytes(&mut bytes);
        let seed: Secret<32> = Secret::from_mut(&mut bytes);
        Draft { key: SigningKey::from_bytes(seed.expose()), start_s: (self.now_s)() }
    }

    async fn serve(&self, work: Work) {
        let Work { asks, standing, draft } = work;
        let mut leaves: Vec<Digest> = asks.iter().map(|ask| leaf(&ask.handshake, &ask.nonce)).collect();
        leaves.extend(draft.as_ref().map(|draft| standing_leaf(&SigPublic(draft.key.verifying_key().to_bytes()), draft.start_s)));
        let made = match Batch::new(leaves) {
            Ok(batch) => self.make(batch.root()).await.map(|quote| (batch, Arc::new(quote))),
            Err(_) => Err(no_evidence()),
        };
        let (batch, quote) = match made {
            Ok(made) => made,
            Err(refusal) => {
                for ask in asks.into_iter().chain(standing) {
                    // An asker may have gone.
                    let _ = ask.reply.send(Err(refusal.clone()));
                }
                return;
            }
        };
        if let Some(Draft { key, start_s }) = draft
            && let Some(path) = batch.path(asks.len())
        {
            let period = Arc::new(Period { key, start_s, path, quote: quote.clone() });
            *lock(&self.period) = Some(period.clone());
            for ask in standing {
                let bound = period.vouch(&ask.handshake, &ask.nonce);
                let _ = ask.reply.send(Ok(bound));
            }
        }
        for (place, ask) in asks.into_iter().enumerate() {
            let bound = batch.path(place).map(|path| Bound { quote: quote.clone(), proof: SessionProof::Batched(path) });
            let _ = ask.reply.send(bound.ok_or_else(no_evidence));
        }
    }

    async fn make(&self, root: Digest) -> Result<Quote, Refusal> {
        for _ in 0..TRIES {
            let maker = self.maker.clone();
            match tokio::task::spawn_blocking(move || maker.make(root)).await {
                Ok(Ok(quote)) => return Ok(quote),
                Ok(Err(CollectError::Throttled { retry_after_ms })) => {
                    tracing::warn!(retry_after_ms, "the platform asks to wait before the next quote");
                    sleep(Duration::from_millis(retry_after_ms).min(QUOTE_PATIENCE / 4)).await;
                }
                Ok(Err(fault)) => {
                    tracing::error!(%fault, "no quote could be made");
                    break;
                }
                Err(fault) => {
                    tracing::error!(%fault, "the attester did not return");
                    break;
                }
            }
        }
        Err(no_evidence())
    }

    /// The standing key, while it is young enough that a client's slower or faster clock does not matter.
    fn serving_period(&self) -> Option<Arc<Period>> {
        let now_s = (self.now_s)();
        let period = lock(&self.period).clone()?;
        let age_s = now_s.checked_sub(period.start_s)?;
        let young = age_s.saturating_mul(4) < self.maker.standing_period_s().saturating_mul(3);
        (young && self.maker.is_current(&period.quote)).then_some(period)
    }
}

impl Period {
    fn vouch(&self, handshake: &Digest, nonce: &Nonce) -> Bound {
        let signature = self.key.sign(&session_words(handshake, nonce));
        Bound {
            quote: self.quote.clone(),
            proof: SessionProof::Standing(StandingProof {
                key: SigPublic(self.key.verifying_key().to_bytes()),
                period_start_s: self.start_s,
                path: self.path.clone(),
                signature: Signature(signature.to_bytes()),
            }),
        }
    }
}

fn no_evidence() -> Refusal {
    refusal(RefusalCode::Unavailable, "this member could not make evidence in time; try again or ask another member")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
