//! What a cookie or a token of the key broker protocol stands for: sessions in this member's memory, for minutes.
//!
//! Decides: how many there are (a full table drops the one that ends first of those that were not attested, and then refuses), how long they last, and
//! that a session attests once. A token is a JWT under a key of this process; it names a session here and nothing anywhere else, so a guest that
//! was sent to another member attests there. Trusts: the clock for ends of sessions alone. Out of scope: what they may ask for (`serve.rs`).

use super::protocol::{TeeKey, base64url, from_base64url};
use crate::front::grants::Guest;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use rand_core::CryptoRng;
use ringwall_wire::codec::enc_digest;
use ringwall_wire::ids::{Digest, Nonce, Vendor};
use ringwall_wire::label::Label;
use ringwall_wire::text::{hex, read_hex};
use ringwall_wire::workload::Subject;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sessions at once.
const SESSIONS: usize = 4_096;
/// Seconds a session lasts: the reference service's default is five minutes.
const LASTS_S: u64 = 300;

/// A guest that showed genuine evidence.
pub(super) struct Attested {
    pub(super) guest: Guest,
    pub(super) key: TeeKey,
    /// Names this session's requests.
    pub(super) name: Digest,
    asked: AtomicU64,
}

impl Attested {
    /// Number of the next request.
    pub(super) fn number(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

/// One session.
struct Session {
    vendor: Vendor,
    nonce: Nonce,
    ends_s: u64,
    attested: Option<(Arc<Attested>, String)>,
}

/// All sessions of this member.
pub(super) struct Sessions {
    open: Mutex<HashMap<[u8; 16], Session>>,
    signs: SigningKey,
    issuer: String,
}

/// What an unattested session was challenged with.
pub(super) struct Challenged {
    pub(super) vendor: Vendor,
    pub(super) nonce: Nonce,
}

impl Sessions {
    /// None yet; tokens are signed by a key of this process.
    pub(super) fn new(issuer: String, rng: &mut dyn CryptoRng) -> Self {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Sessions { open: Mutex::default(), signs: SigningKey::from_bytes(&seed), issuer }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens one; gives the value of its cookie. None when there are too many attested ones.
    pub(super) fn open(&self, vendor: Vendor, nonce: Nonce, now_s: u64, rng: &mut dyn CryptoRng) -> Option<String> {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let mut open = self.lock();
        if open.len() >= SESSIONS {
            open.retain(|_, session| session.ends_s > now_s);
        }
        if open.len() >= SESSIONS {
            let unattested = open.iter().filter(|(_, session)| session.attested.is_none());
            let oldest = unattested.min_by_key(|(_, session)| session.ends_s).map(|(id, _)| *id)?;
            open.remove(&oldest);
        }
        open.insert(id, Session { vendor, nonce, ends_s: now_s.saturating_add(LASTS_S), attested: None });
        Some(hex(&id))
    }

    /// The challenge of a session that has not attested yet.
    pub(super) fn challenged(&self, cookie: &str, now_s: u64) -> Option<Challenged> {
        let open = self.lock();
        let session = open.get(&read_hex::<16>(cookie)?).filter(|session| session.ends_s > now_s && session.attested.is_none())?;
        Some(Challenged { vendor: session.vendor, nonce: session.nonce })
    }

    /// The token of a session that attested before: attesting again changes nothing.
    pub(super) fn token_of(&self, cookie: &str, now_s: u64) -> Option<String> {
        let open = self.lock();
        let session = open.get(&read_hex::<16>(cookie)?).filter(|session| session.ends_s > now_s)?;
        session.attested.as_ref().map(|(_, token)| token.clone())
    }

    /// The session has attested; gives its token. None when it ended, or attested, meanwhile.
    pub(super) fn attest(&self, cookie: &str, guest: Guest, key: TeeKey, subject: Option<Subject>, now_s: u64) -> Option<String> {
        let id = read_hex::<16>(cookie)?;
        let mut open = self.lock();
        let session = open.get_mut(&id).filter(|session| session.ends_s > now_s && session.attested.is_none())?;
        let name = name_of(cookie, &session.nonce);
        let token = self.token(&id, session.ends_s, &key, subject, now_s);
        session.attested = Some((Arc::new(Attested { guest, key, name, asked: AtomicU64::new(0) }), token.clone()));
        Some(token)
    }

    /// Who asks, by cookie or by token.
    pub(super) fn attested(&self, cookie: Option<&str>, bearer: Option<&str>, now_s: u64) -> Option<Arc<Attested>> {
        let by_cookie = cookie.and_then(read_hex::<16>);
        let id = by_cookie.or_else(|| bearer.and_then(|token| self.named(token)))?;
        let open = self.lock();
        let session = open.get(&id).filter(|session| session.ends_s > now_s)?;
        session.attested.as_ref().map(|(attested, _)| attested.clone())
    }

    /// A JSON web token about the session.
    fn token(&self, id: &[u8; 16], ends_s: u64, key: &TeeKey, subject: Option<Subject>, now_s: u64) -> String {
        let public = self.signs.verifying_key().to_bytes();
        let claims = json!({
            "iss": self.issuer,
            "iat": now_s,
            "nbf": now_s,
            "exp": ends_s,
            "jti": hex(id),
            "jwk": { "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": base64url(&public) },
            "tee-pubkey": key,
            "tcb-status": subject.map(|subject| json!({
                "vendor": subject.vendor.to_string(),
                "chip": subject.chip.to_string(),
                "measurement": subject.measurement.to_string(),
            })),
            "evaluation-report": "genuine evidence; what it is worth, the grant policy of each key decides",
        });
        let words = format!("{}.{}", base64url(br#"{"typ":"JWT","alg":"EdDSA"}"#), base64url(claims.to_string().as_bytes()));
        let signature = self.signs.sign(words.as_bytes()).to_bytes();
        format!("{words}.{}", base64url(&signature))
    }

    /// The session a token of this process names.
    fn named(&self, token: &str) -> Option<[u8; 16]> {
        let (words, signature) = token.rsplit_once('.')?;
        let signature: [u8; 64] = from_base64url(signature, 64)?.try_into().ok()?;
        let key = self.signs.verifying_key();
        key.verify_strict(words.as_bytes(), &Signature::from_bytes(&signature)).ok()?;
        let (_, claims) = words.split_once('.')?;
        let claims: serde_json::Value = serde_json::from_slice(&from_base64url(claims, 8_192)?).ok()?;
        read_hex(claims.get("jti")?.as_str()?)
    }
}

/// Names a session's requests, so that two sessions have none in common.
pub(super) fn name_of(cookie: &str, nonce: &Nonce) -> Digest {
    Digest(enc_digest(Label::WorkloadRequest, &[b"kbs", cookie.as_bytes(), &nonce.0]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::testing::rng;

    fn key() -> TeeKey {
        TeeKey::Rsa { alg: "RSA-OAEP-256".into(), e: "AQAB".into(), kty: "RSA".into(), n: "bg".into() }
    }

    #[test]
    fn a_session_attests_once_and_ends() {
        let sessions = Sessions::new("https://kbs.example".into(), &mut *rng());
        let mut chance = rng();
        let cookie = sessions.open(Vendor::Amd, Nonce([1; 32]), 100, &mut *chance).unwrap();
        assert!(sessions.attested(Some(&cookie), None, 101).is_none() && sessions.token_of(&cookie, 101).is_none());
        assert_eq!(sessions.challenged(&cookie, 101).unwrap().nonce, Nonce([1; 32]));
        assert!(sessions.challenged(&cookie, 100 + LASTS_S).is_none(), "a session that ended attests no more");
        let token = sessions.attest(&cookie, Guest::none(), key(), None, 101).unwrap();
        assert!(sessions.challenged(&cookie, 102).is_none() && sessions.attest(&cookie, Guest::none(), key(), None, 102).is_none());
        assert_eq!(sessions.token_of(&cookie, 102).unwrap(), token);
        let one = sessions.attested(Some(&cookie), None, 102).unwrap();
        let two = sessions.attested(None, Some(&token), 102).unwrap();
        assert!(Arc::ptr_eq(&one, &two) && one.number() == 1 && two.number() == 2);
        assert!(sessions.attested(Some(&cookie), None, 100 + LASTS_S).is_none());
        assert!(sessions.attested(None, Some(&token), 100 + LASTS_S).is_none());
        for wrong in ["", "00", "zz", "a.b.c", &token[1..], &token[..token.len() - 2]] {
            assert!(sessions.attested(Some(wrong), None, 102).is_none() && sessions.attested(None, Some(wrong), 102).is_none(), "{wrong}");
        }
        let other = Sessions::new("https://kbs.example".into(), &mut *chance);
        assert!(other.attested(None, Some(&token), 102).is_none(), "another process believes its own tokens alone");
    }

    #[test]
    fn a_flood_of_challenges_drops_no_attested_session() {
        let sessions = Sessions::new(String::new(), &mut *rng());
        let mut chance = rng();
        let kept = sessions.open(Vendor::Amd, Nonce([1; 32]), 1, &mut *chance).unwrap();
        sessions.attest(&kept, Guest::none(), key(), None, 1).unwrap();
        for _ in 0..SESSIONS + 10 {
            sessions.open(Vendor::Intel, Nonce([2; 32]), 2, &mut *chance).unwrap();
        }
        assert!(sessions.attested(Some(&kept), None, 3).is_some());
        assert_eq!(sessions.lock().len(), SESSIONS);
    }
}
