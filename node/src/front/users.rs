//! Who a client is: the word of a user's credential, given on this very session.
//!
//! Decides: whether a session becomes a user's. The signature is bound to the handshake, the client's nonce, this incarnation and the client
//! process, and the user is the one the credential names. Trusts: `channel` for the verification.
//! Out of scope: enrolment of devices and rate limits over restarts. Protocol sections 3 (step 6) and 9.

use crate::front::refusals::{malformed, refusal};
use ringwall_channel::user::{UserBinding, VerifiedUser, verify_user};
use ringwall_wire::codec::Message as _;
use ringwall_wire::receipt::KnownPoint;
use ringwall_wire::session::{Refusal, RefusalCode, UserAuth};

/// Reads and verifies the first message of an open session; with it comes what the client has seen of the log.
pub(crate) fn admit_user(message: &[u8], binding: &UserBinding<'_>) -> Result<(VerifiedUser, Option<KnownPoint>), Refusal> {
    let auth = UserAuth::decode(message).map_err(|_| malformed())?;
    let user = verify_user(&auth, binding).map_err(|fault| {
        tracing::info!(%fault, "a user was refused");
        refusal(RefusalCode::NotAuthorized, "the credential or its signature does not verify on this session; sign again on a new session")
    })?;
    Ok((user, auth.known))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ed25519_dalek::SigningKey;
    use ringwall_channel::user::sign_user;
    use ringwall_wire::ids::{ClientId, Digest, Incarnation, Nonce};

    #[test]
    fn only_a_word_for_this_session_node_and_client_counts() {
        let (handshake, nonce, incarnation) = (Digest([1; 32]), Nonce([2; 32]), Incarnation(3));
        let here = UserBinding { handshake: &handshake, nonce: &nonce, incarnation };
        let key = SigningKey::from_bytes(&[9; 32]);
        let auth = sign_user(&here, &ClientId([4; 16]), &key);
        assert_eq!(admit_user(&auth.encode(), &here).unwrap().0.user(), &auth.user);
        let other = Digest([5; 32]);
        let elsewhere = UserBinding { handshake: &other, ..here };
        assert_eq!(admit_user(&auth.encode(), &elsewhere).unwrap_err().code, RefusalCode::NotAuthorized);
        let swapped = UserAuth { client: ClientId([6; 16]), ..auth.clone() };
        assert_eq!(admit_user(&swapped.encode(), &here).unwrap_err().code, RefusalCode::NotAuthorized);
        assert_eq!(admit_user(b"garbage", &here).unwrap_err().code, RefusalCode::Malformed);
    }
}
