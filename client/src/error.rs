//! What can go wrong, one enum per family of operations, each with a stable code: the core's, under the names this crate always gave them.
//!
//! Decides: nothing; the full list of codes, of the core and of this crate, is pinned by a test here. Trusts: nothing.
//! Out of scope: the errors themselves (`ringwall_session::error`), exit codes (`cli/exit.rs`).

pub use ringwall_session::error::{Attempt, ConnectError, NamespaceError, ReadError, WatchError, WriteError};
pub(crate) use ringwall_session::error::{code_name, refusal_code};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    /// Every code this crate can name. Programs match on them: a line may be added, none may change.
    const CODES: &[&str] = &[
        "RW-C-ANCHOR-IO",
        "RW-C-ANCHOR-MALFORMED",
        "RW-C-BATCH-SHAPE",
        "RW-C-BATCH-TOO-LARGE",
        "RW-C-CALL-CLIENT",
        "RW-C-CALL-CLIENTS",
        "RW-C-CALL-DIAL",
        "RW-C-CALL-FRAME",
        "RW-C-CALL-HEAD",
        "RW-C-CALL-TICKET",
        "RW-C-CALL-TOO-LARGE",
        "RW-C-CANNOT-TELL",
        "RW-C-CARD-CONTRADICTION",
        "RW-C-CARD-IO",
        "RW-C-CARD-LINK",
        "RW-C-CARD-MALFORMED",
        "RW-C-CARD-OTHER-CLUSTER",
        "RW-C-CARD-POLICY",
        "RW-C-CARD-TEXT",
        "RW-C-CARD-TOO-LARGE",
        "RW-C-CLOSED",
        "RW-C-COMPACTED",
        "RW-C-CONFLICT",
        "RW-C-CREDENTIAL-EXISTS",
        "RW-C-CREDENTIAL-EXPOSED",
        "RW-C-CREDENTIAL-IO",
        "RW-C-CREDENTIAL-MALFORMED",
        "RW-C-DEVICE-CODE",
        "RW-C-DEVICE-KNOWN",
        "RW-C-DEVICE-REVOKED",
        "RW-C-DEVICE-SIGNATURE",
        "RW-C-DIAL-BREACH",
        "RW-C-DIAL-HANDSHAKE",
        "RW-C-DIAL-ORDER",
        "RW-C-DIAL-REFUSED",
        "RW-C-DIAL-SIGNATURE",
        "RW-C-DIAL-UNREACHABLE",
        "RW-C-ENDPOINT",
        "RW-C-EPOCH-UNPROVEN",
        "RW-C-ESCROW-IO",
        "RW-C-ESCROW-MALFORMED",
        "RW-C-ESCROW-OTHER-CLUSTER",
        "RW-C-ESCROW-OTHER-PHRASE",
        "RW-C-ESCROW-OTHER-USER",
        "RW-C-EVIDENCE",
        "RW-C-FORK-DETECTED",
        "RW-C-GOVERNANCE-FALLS",
        "RW-C-GOVERNANCE-LEASE",
        "RW-C-GOVERNANCE-NO-ROOM",
        "RW-C-GOVERNANCE-NOT-APPROVED",
        "RW-C-GOVERNANCE-NOT-NOW",
        "RW-C-GOVERNANCE-NOTICE",
        "RW-C-GOVERNANCE-OTHER-STEP",
        "RW-C-GOVERNANCE-UNFIT",
        "RW-C-INPUT",
        "RW-C-KEY-EXISTS",
        "RW-C-KEY-TOO-LONG",
        "RW-C-MEMORY-DAMAGED",
        "RW-C-MEMORY-OTHER",
        "RW-C-MEMORY-UNKEPT",
        "RW-C-NAMESPACE-NAME",
        "RW-C-NAMESPACE-NOT-ENTERED",
        "RW-C-NO-ADDRESS",
        "RW-C-NO-NAMESPACE",
        "RW-C-NO-USER-KEY",
        "RW-C-NONSENSE",
        "RW-C-NOT-AUTHENTIC",
        "RW-C-NOT-AUTHORIZED",
        "RW-C-NOT-FOUND",
        "RW-C-NOT-RESTORED",
        "RW-C-OTHER-CLUSTER",
        "RW-C-OTHER-MODE",
        "RW-C-OTHER-USER-KEY",
        "RW-C-OUTCOME-UNKNOWN",
        "RW-C-OUTPUT",
        "RW-C-PHRASE",
        "RW-C-POLICIES-FORKED",
        "RW-C-POLICY-WENT-BACK",
        "RW-C-RECEIPT",
        "RW-C-ROLLBACK-DETECTED",
        "RW-C-TOO-MANY-NAMES",
        "RW-C-TOO-MANY-UNLOCKED",
        "RW-C-TOO-MANY-WATCHES",
        "RW-C-UNAVAILABLE",
        "RW-C-USAGE",
        "RW-C-USER-REFUSED",
        "RW-C-USER-STALE",
        "RW-C-VALUE-TOO-LARGE",
        "RW-C-WENT-BACK",
    ];

    fn named_in(source: &'static str) -> impl Iterator<Item = &'static str> {
        let shipped = source.split("#[cfg(test)]\nmod tests").next().unwrap().split("#[cfg(test)]\n#[allow").next().unwrap();
        shipped.split('"').filter(|word| word.starts_with("RW-C-") && !word.ends_with('-'))
    }

    #[test]
    fn the_list_of_codes_is_stable() {
        let sources = [
            include_str!("../../session/src/error.rs"),
            include_str!("../../session/src/error/connect.rs"),
            include_str!("../../session/src/anchor/store.rs"),
            include_str!("../../session/src/anchor/keeper.rs"),
            include_str!("../../session/src/anchor/governed.rs"),
            include_str!("anchor/proofs.rs"),
            include_str!("card.rs"),
            include_str!("credential.rs"),
            include_str!("escrow.rs"),
            include_str!("../../session/src/card.rs"),
            include_str!("../../session/src/kept.rs"),
            include_str!("../../session/src/ops/governance.rs"),
            include_str!("../../session/src/ops/users.rs"),
            include_str!("../../session/src/spoken/asked.rs"),
            include_str!("../../session/src/spoken/client.rs"),
            include_str!("../../session/src/spoken/frame.rs"),
            include_str!("../../session/src/wired.rs"),
            include_str!("exchange_file.rs"),
            include_str!("cli/input.rs"),
            include_str!("cli/mod.rs"),
            include_str!("cli/show.rs"),
            include_str!("cli/verbs.rs"),
            include_str!("cli/recovery.rs"),
            include_str!("cli/user.rs"),
            include_str!("cli/verify.rs"),
        ];
        let named: BTreeSet<&str> = sources.into_iter().flat_map(named_in).collect();
        let pinned: BTreeSet<&str> = CODES.iter().copied().collect();
        assert_eq!(named, pinned);
    }
}
