//! Which protocol version two sides speak.
//!
//! Decides: the answering side picks the newest version both know; none in common is a refusal, never a guess. The picked version
//! is in the handshake prologue, so a stripped offer makes the handshake fail.
//! Trusts: nothing. Out of scope: what versions mean.

/// Versions this build speaks, newest first.
pub const SUPPORTED: &[u16] = &[crate::genesis::PROTOCOL_VERSION];

/// The newest version in both lists.
pub fn pick(offered: &[u16]) -> Option<u16> {
    SUPPORTED.iter().copied().find(|version| offered.contains(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_the_newest_in_common_and_nothing_else() {
        assert_eq!(pick(&[9, 1]), Some(1));
        assert_eq!(pick(&[9, 8]), None);
        assert_eq!(pick(&[]), None);
    }
}
