//! What records refuse, and that messages of any size, cut anywhere, come out as they went in.
//! Decides: which damage each record must survive or show; arbitrary cuts come from proptest.
//! Trusts: nothing it tests. Out of scope: handshakes. Protocol section 3.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::schedule::{KeyChain, Side};
use alloc::vec;
use proptest::prelude::*;
use ringwall_wire::ids::Digest;
use ringwall_wire::secret::Secret;

const LIMIT: usize = 8 * 1024 * 1024;

fn chain(raw: u8, handshake: u8, sender: Side, stream: u32) -> KeyChain {
    KeyChain::new(&Secret::new([raw; 32]), &Digest([handshake; 32]), sender, stream)
}

fn sealer() -> Sealer {
    Sealer::new(chain(1, 2, Side::Dial, 3), LIMIT)
}

fn opener() -> Opener {
    Opener::new(chain(1, 2, Side::Dial, 3), LIMIT)
}

/// Pushes `bytes` in pieces of at most `piece` and takes every message.
fn drain(opener: &mut Opener, bytes: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, ChannelError> {
    let mut out = Vec::new();
    for part in bytes.chunks(piece) {
        opener.push(part)?;
        while let Some(message) = opener.next()? {
            out.push(message);
        }
    }
    Ok(out)
}

fn record_of(messages: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    sealer().seal_many(messages, &mut out).unwrap();
    out
}

/// Seals a plaintext of the test's making, authentic whatever it says.
fn raw_record(keys: &mut KeyChain, plain: &[u8]) -> Vec<u8> {
    let header = u32::try_from(plain.len() + TAG_BYTES).unwrap().to_be_bytes();
    let mut body = plain.to_vec();
    let (cipher, iv) = keys.current();
    let tag = cipher.encrypt_inout_detached(&iv.into(), &header, body.as_mut_slice().into()).unwrap();
    keys.advance().unwrap();
    [header.as_slice(), &body, &tag].concat()
}

#[test]
fn many_small_messages_share_one_record() {
    let messages: Vec<Vec<u8>> = (0..500u32).map(|number| number.to_be_bytes().repeat(10)).collect();
    let mut out = Vec::new();
    let mut sealer = sealer();
    sealer.seal_many(&messages, &mut out).unwrap();
    assert_eq!(sealer.keys.counter(), 1, "500 messages of 40 bytes are one record");
    assert_eq!(drain(&mut opener(), &out, 1000).unwrap(), messages);
    let before = out.len();
    sealer.seal_many::<&[u8]>(&[], &mut out).unwrap();
    assert_eq!(out.len(), before, "nothing to seal is no record");
}

#[test]
fn a_look_sees_what_next_gives_and_copies_nothing_of_one_record() {
    let sizes = [0, 1, 40, 200_000, 64, 70_000, 3];
    let messages: Vec<Vec<u8>> = sizes.iter().zip(0xa0u8..).map(|(len, byte)| vec![byte; *len]).collect();
    let mut sealed = Vec::new();
    sealer().seal_many(&messages, &mut sealed).unwrap();
    for piece in [1_000, 70_000, sealed.len()] {
        let (mut opener, mut seen) = (opener(), Vec::new());
        for part in sealed.chunks(piece) {
            opener.push(part).unwrap();
            let read = opener.inbox.as_ptr();
            while let Some((message, lies)) = opener.look(|message| (message.to_vec(), message.as_ptr())).unwrap() {
                let within = (read as usize..read as usize + opener.inbox.len()).contains(&(lies as usize));
                assert!(within || message.len() > RECORD_PLAIN_BYTES / 2, "{} bytes were copied", message.len());
                seen.push(message);
            }
            assert!(opener.partial.is_empty() || opener.within_message, "a message that was shown is not kept");
        }
        assert_eq!(seen, messages, "in pieces of {piece}");
        opener.push(&[]).unwrap();
        assert!(opener.inbox.is_empty() && opener.is_idle(), "what was shown is gone with the next push");
    }
}

#[test]
fn a_look_at_a_damaged_record_shows_nothing_and_closes() {
    let mut sealed = record_of(&[b"first", b"second"]);
    *sealed.last_mut().unwrap() ^= 1;
    let mut opener = opener();
    opener.push(&sealed).unwrap();
    assert!(matches!(opener.look(|_| panic!("shown")), Err(ChannelError::RecordNotAuthentic { .. })));
    assert_eq!(opener.look(|_| panic!("shown")), Err(ChannelError::Closed));
}

#[test]
fn padding_hides_small_lengths_and_costs_little() {
    assert_eq!(record_of(&[b""]).len(), record_of(&[&[7; 124]]).len());
    for len in [200usize, 1_000, 5_000, 60_000] {
        let plain = record_of(&[&vec![1; len]]).len() - HEADER_BYTES - TAG_BYTES;
        assert!(plain >= len + HEAD_BYTES && plain * 100 <= (len + HEAD_BYTES) * 113, "{len} became {plain}");
    }
}

#[test]
fn every_damaged_byte_is_refused() {
    let good = record_of(&[b"first", b"second message"]);
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        let mut opener = opener();
        opener.push(&bad).unwrap();
        // A longer length waits for bytes that never come; everything else is refused at once. No message comes out.
        match opener.next() {
            Ok(None) => assert_eq!(opener.finish(), Err(ChannelError::Truncated), "byte {byte}"),
            Ok(Some(_)) => panic!("byte {byte}: a damaged record gave a message"),
            Err(_) => assert_eq!(opener.next(), Err(ChannelError::Closed), "byte {byte}: the direction stays closed"),
        }
    }
}

#[test]
fn reordered_repeated_and_missing_records_are_refused() {
    let mut sealer = sealer();
    let records: Vec<Vec<u8>> = (0..3u8)
        .map(|number| {
            let mut out = Vec::new();
            sealer.seal(&[number], &mut out).unwrap();
            out
        })
        .collect();
    let refused = |order: &[usize], at: u64| {
        let bytes: Vec<u8> = order.iter().flat_map(|index| records[*index].clone()).collect();
        assert_eq!(drain(&mut opener(), &bytes, 64), Err(ChannelError::RecordNotAuthentic { counter: at }), "{order:?}");
    };
    refused(&[1, 0, 2], 0);
    refused(&[0, 0, 1], 1);
    refused(&[0, 2], 1);
    let bytes = records.concat();
    assert_eq!(drain(&mut opener(), &bytes, 64).unwrap(), [[0], [1], [2]]);
}

#[test]
fn records_of_other_streams_directions_and_sessions_are_refused() {
    let record = record_of(&[b"message"]);
    let others = [chain(1, 2, Side::Dial, 4), chain(1, 2, Side::Answer, 3), chain(1, 9, Side::Dial, 3), chain(9, 2, Side::Dial, 3)];
    for keys in others {
        let mut other = Opener::new(keys, LIMIT);
        other.push(&record).unwrap();
        assert_eq!(other.next(), Err(ChannelError::RecordNotAuthentic { counter: 0 }));
    }
    assert_eq!(drain(&mut opener(), &record, 7).unwrap(), [b"message"]);
}

#[test]
fn a_cut_inside_a_message_is_noticed() {
    let long = vec![5; 3 * RECORD_PLAIN_BYTES];
    let bytes = record_of(&[b"whole", &long]);
    let first = HEADER_BYTES + RECORD_PLAIN_BYTES + TAG_BYTES;
    for cut in [1, 100, first - 1, first, first + 1, bytes.len() - 1] {
        let mut opener = opener();
        let got = drain(&mut opener, &bytes[..cut], 4096).unwrap();
        assert!(got.len() <= 1, "the long message did not come out");
        assert_eq!(opener.finish(), Err(ChannelError::Truncated), "cut at {cut}");
    }
    let mut whole = opener();
    assert_eq!(drain(&mut whole, &bytes, 4096).unwrap().len(), 2);
    assert_eq!(whole.finish(), Ok(()));
}

#[test]
fn lengths_are_refused_before_bytes_are_kept() {
    for len in [0u32, 1, (MIN_PLAIN_BYTES + TAG_BYTES - 1) as u32, (RECORD_PLAIN_BYTES + TAG_BYTES + 1) as u32, u32::MAX] {
        let mut opener = opener();
        opener.push(&len.to_be_bytes()).unwrap();
        assert!(matches!(opener.next(), Err(ChannelError::RecordLength { len: got, .. }) if got == len as usize));
    }
    let mut full = opener();
    full.push(&vec![0; INBOX_BYTES]).unwrap();
    assert_eq!(full.push(&[0]), Err(ChannelError::InboxFull { len: INBOX_BYTES + 1, max: INBOX_BYTES }));
}

#[test]
fn a_message_above_its_limit_is_refused_by_both_sides() {
    let mut small = Sealer::new(chain(1, 2, Side::Dial, 3), 10);
    let mut out = Vec::new();
    assert_eq!(small.seal(&[0; 11], &mut out), Err(ChannelError::MessageTooLong { len: 11, max: 10 }));
    assert!(out.is_empty());
    small.seal(&[0; 10], &mut out).unwrap();

    // Three records, limit of one: refused when the second is opened, not when all are there.
    let limit = RECORD_PLAIN_BYTES + 10;
    let bytes = record_of(&[&vec![5; 3 * RECORD_PLAIN_BYTES]]);
    let mut opener = Opener::new(chain(1, 2, Side::Dial, 3), limit);
    opener.push(&bytes[..2 * (HEADER_BYTES + RECORD_PLAIN_BYTES + TAG_BYTES)]).unwrap();
    assert!(matches!(opener.next(), Err(ChannelError::MessageTooLong { max, .. }) if max == limit));
    assert!(opener.partial.len() <= limit);
}

#[test]
fn authentic_records_with_malformed_contents_are_refused() {
    let padded_to = |bytes: &[u8]| {
        let mut plain = bytes.to_vec();
        plain.resize(MIN_PLAIN_BYTES, 0);
        plain
    };
    let fin = |len: u32| (len | FIN).to_be_bytes();
    let dirty = {
        let mut plain = padded_to(&[fin(1).as_slice(), b"x"].concat());
        *plain.last_mut().unwrap() = 1;
        plain
    };
    let cases: [(&str, Vec<u8>); 5] = [
        ("padding only", padded_to(&[])),
        ("a fragment past the end", padded_to(&fin(125))),
        ("a fragment without FIN before the end", padded_to(&[8u32.to_be_bytes().as_slice(), &[1; 8]].concat())),
        ("padding that is not zero", dirty),
        ("a head cut short", [padded_to(&[fin(121).as_slice(), &[1; 121]].concat())[..125].to_vec(), vec![0, 0, 1]].concat()),
    ];
    for (name, plain) in cases {
        let record = raw_record(&mut chain(1, 2, Side::Dial, 3), &plain);
        let got = drain(&mut opener(), &record, 4096);
        assert_eq!(got, Err(ChannelError::MalformedRecord { counter: 0 }), "{name}");
    }
}

#[test]
fn generations_follow_each_other_and_do_not_share_keys() {
    let raw = Secret::new([1; 32]);
    let mut sealer = Sealer::new(KeyChain::short(&raw, 4), LIMIT);
    let mut bytes = Vec::new();
    for number in 0..11u8 {
        sealer.seal(&[number], &mut bytes).unwrap();
    }
    let mut same = Opener::new(KeyChain::short(&raw, 4), LIMIT);
    assert_eq!(drain(&mut same, &bytes, 300).unwrap().len(), 11);
    // One that never changes generation stops at the first record of the second.
    let mut stuck = Opener::new(KeyChain::short(&raw, 1 << 20), LIMIT);
    assert_eq!(drain(&mut stuck, &bytes, 300), Err(ChannelError::RecordNotAuthentic { counter: 4 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_messages_in_any_pieces_come_out_as_they_went_in(
        sizes in prop::collection::vec(prop_oneof![0usize..300, 60_000usize..70_000, 130_000usize..200_000], 1..12),
        batch in 1usize..6,
        piece in prop_oneof![1usize..40, 1_000usize..100_000],
    ) {
        // Tiny pieces of large streams are only slow.
        let piece = if sizes.iter().sum::<usize>() > 20_000 { piece.max(500) } else { piece };
        let messages: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(number, size)| vec![number as u8; *size]).collect();
        let (mut sealer, mut bytes) = (sealer(), Vec::new());
        for group in messages.chunks(batch) {
            sealer.seal_many(group, &mut bytes).unwrap();
        }
        let mut opener = opener();
        prop_assert_eq!(drain(&mut opener, &bytes, piece).unwrap(), messages);
        prop_assert_eq!(opener.finish(), Ok(()));
    }

    #[test]
    fn strangers_bytes_never_give_a_message(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
        let got = drain(&mut opener(), &bytes, piece);
        prop_assert!(got.is_err() || got.unwrap().is_empty());
    }
}
