//! Frames out of bytes that come as they come.
//!
//! Decides: while an attempt waits for a frame, four bytes say how long it is (big-endian), and one that is longer than it may be is refused before anything is collected;
//! once it waits for bytes, they are given on in pieces of at most what it takes. Trusts: nothing. Out of scope: what frames mean (`opening.rs`). Protocol section 3.1.

use crate::dial::DialError;
use crate::opening::Wants;

/// Bytes that were not used yet.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    waiting: Vec<u8>,
    from: usize,
}

/// What stands before a frame.
const HEADER: usize = 4;
/// Bytes a node may send before its way is told to be open, and ahead of a signature it cannot know of yet: it has nothing to say then.
const AHEAD_BYTES: usize = 64 * 1024;

impl Cutter {
    /// Takes bytes of the node.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.from > 0 {
            self.waiting.drain(..self.from);
            self.from = 0;
        }
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether more waits than a node may send ahead of what it is asked.
    pub(super) fn is_ahead(&self) -> bool {
        self.waiting.len().saturating_sub(self.from) > AHEAD_BYTES
    }

    /// The next piece of what is waited for; none where it is not there as a whole.
    pub(super) fn next(&mut self, wants: Wants) -> Result<Option<Vec<u8>>, DialError> {
        let rest = self.waiting.get(self.from..).unwrap_or_default();
        match wants {
            Wants::Frame(most) => {
                let Some((header, body)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
                let len = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
                if len == 0 || len > most {
                    return Err(DialError::Breach(format!("it announced a message of {len} bytes where 1 to {most} are possible")));
                }
                let Some(frame) = body.get(..len).map(<[u8]>::to_vec) else { return Ok(None) };
                self.from = self.from.saturating_add(HEADER).saturating_add(len);
                Ok(Some(frame))
            }
            Wants::Bytes(_) if rest.is_empty() => Ok(None),
            Wants::Bytes(most) => Ok(Some(self.piece(most))),
            Wants::Signature if self.is_ahead() => Err(DialError::Breach("it sent more than anybody waits for".into())),
            Wants::Signature | Wants::Nothing => Ok(None),
        }
    }

    /// At most so many bytes of those that wait; none where none do.
    pub(super) fn piece(&mut self, most: usize) -> Vec<u8> {
        let rest = self.waiting.get(self.from..).unwrap_or_default();
        let piece = rest.get(..most.min(rest.len())).unwrap_or_default().to_vec();
        self.from = self.from.saturating_add(piece.len());
        piece
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_however_they_were_cut() {
        let sent = [&5_u32.to_be_bytes()[..], b"hello", &2_u32.to_be_bytes(), b"ab", b"the rest"].concat();
        for cut in 1..sent.len() {
            let mut cutter = Cutter::default();
            let mut got = Vec::new();
            for piece in sent.chunks(cut) {
                cutter.push(piece);
                while got.len() < 2 {
                    let Some(frame) = cutter.next(Wants::Frame(5)).unwrap() else { break };
                    got.push(frame);
                }
            }
            assert_eq!(got, [b"hello".to_vec(), b"ab".to_vec()], "cut at {cut}");
            assert_eq!(cutter.next(Wants::Bytes(3)).unwrap().unwrap(), b"the");
            assert_eq!(cutter.next(Wants::Bytes(100)).unwrap().unwrap(), b" rest");
            assert_eq!(cutter.next(Wants::Bytes(100)).unwrap(), None);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_header() {
        for announced in [0, 6, u32::MAX] {
            let mut cutter = Cutter::default();
            cutter.push(&announced.to_be_bytes());
            assert!(matches!(cutter.next(Wants::Frame(5)), Err(DialError::Breach(_))), "{announced}");
        }
        let mut cutter = Cutter::default();
        cutter.push(&vec![0; AHEAD_BYTES]);
        assert_eq!(cutter.next(Wants::Signature).unwrap(), None);
        cutter.push(&[0]);
        assert!(cutter.next(Wants::Signature).is_err());
    }
}
