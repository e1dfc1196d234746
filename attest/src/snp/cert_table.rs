//! The certificate table a host hands to an SNP guest beside a report: which certificate is where.
//!
//! Decides: the table's form. Entries end with an all-zero one, every entry lies behind the entries and inside the blob, no two share a
//! byte or a name, each is within the limits. Memory held is at most the blob's own length.
//! Trusts: nothing; the host wrote all of it, so it is a place to look for certificates and no reason to believe one (`verify` judges
//! them as if they had been fetched). Out of scope: what the certificates say.
//! Source: AMD SEV-ES GHCB standardization (56421) section 4.1.8.1, "cert_table"; Linux `Documentation/ABI/testing/configfs-tsm-report`,
//! `auxblob`. Protocol section 2.2, "SNP".

use alloc::vec::Vec;
use ringwall_wire::limits::{CERT_BYTES, CRL_BYTES};

/// Bytes of a table: Linux asks the host for 16 KiB and its interface shows at most 32 KiB in older versions; a real one is 5 to 6 KiB.
pub const CERT_TABLE_BYTES: usize = 64 * 1024;
/// Entries of a table: AMD names five kinds; hosts may add their own.
pub const CERT_TABLE_ENTRIES: usize = 32;
/// GUID, offset, length.
const ENTRY_BYTES: usize = 16 + 4 + 4;

/// Name of a table entry: 16 bytes in the order they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Versioned chip endorsement key: `63da758d-e664-4564-adc5-f4b93be8accd`.
    pub const VCEK: Guid = Guid([0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd]);
    /// Versioned loaded endorsement key: `a8074bc2-a25a-483e-aae6-39c045a0b8a1`.
    pub const VLEK: Guid = Guid([0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1]);
    /// AMD's intermediate, ASK or ASVK: `4ab7b379-bbac-4fe4-a02f-05aef327c782`.
    pub const ASK: Guid = Guid([0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82]);
    /// AMD's root: `c0b406a4-a803-4952-9743-3fb6014cd0ae`.
    pub const ARK: Guid = Guid([0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae]);
    /// A revocation list: `92f81bc3-5811-4d3d-97ff-d19f88dc67ea`.
    pub const CRL: Guid = Guid([0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67, 0xea]);

    /// What AMD calls it, if AMD named it.
    pub fn name(&self) -> Option<&'static str> {
        match *self {
            Guid::VCEK => Some("VCEK"),
            Guid::VLEK => Some("VLEK"),
            Guid::ASK => Some("ASK"),
            Guid::ARK => Some("ARK"),
            Guid::CRL => Some("CRL"),
            _ => None,
        }
    }

    /// Bytes one entry of this name may have.
    fn limit(&self) -> usize {
        match *self {
            Guid::CRL => CRL_BYTES,
            Guid::VCEK | Guid::VLEK | Guid::ASK | Guid::ARK => CERT_BYTES,
            _ => CERT_TABLE_BYTES,
        }
    }
}

impl core::fmt::Display for Guid {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&at) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// One entry, its bytes as the host gave them.
#[derive(Clone, PartialEq, Eq)]
pub struct CertEntry {
    /// Its name.
    pub guid: Guid,
    /// The certificate (AMD's are DER) or whatever the host keeps under the name; never empty.
    pub bytes: Vec<u8>,
}

impl core::fmt::Debug for CertEntry {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "CertEntry({}, {} bytes)", self.guid, self.bytes.len())
    }
}

/// A well-formed table, nothing of it believed. Empty when the host gave no certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertTable {
    entries: Vec<CertEntry>,
}

impl CertTable {
    /// The entry of this name.
    pub fn get(&self, guid: Guid) -> Option<&[u8]> {
        self.entries.iter().find(|entry| entry.guid == guid).map(|entry| entry.bytes.as_slice())
    }

    /// All entries, in the host's order.
    pub fn entries(&self) -> &[CertEntry] {
        &self.entries
    }

    /// Whether the host gave nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Why a blob is no certificate table. Nothing is lost with it: fetch the certificates from AMD or a cache instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertTableError {
    /// The blob is too long to look at.
    #[error("the certificate table has {got} bytes, at most {limit}")]
    TooLong {
        /// Bytes.
        got: usize,
        /// Bytes.
        limit: usize,
    },
    /// The blob ends, or certificates begin, before the all-zero entry.
    #[error("the certificate table's entries do not end with an all-zero one")]
    Unterminated,
    /// More entries than anybody has a use for.
    #[error("the certificate table has more than {limit} entries")]
    TooMany {
        /// Entries.
        limit: usize,
    },
    /// An entry has no name.
    #[error("entry {index} of the certificate table has no name")]
    Unnamed {
        /// From 0.
        index: usize,
    },
    /// Two entries have one name.
    #[error("the certificate table names {guid} twice")]
    Twice {
        /// The name.
        guid: Guid,
    },
    /// An entry is not inside the blob, or lies in the table itself.
    #[error("entry {guid} of the certificate table covers bytes {offset} to {end}, allowed are {from} to {until}")]
    Outside {
        /// The name.
        guid: Guid,
        /// First byte.
        offset: u64,
        /// First byte after it.
        end: u64,
        /// First allowed byte.
        from: usize,
        /// First byte after the allowed ones.
        until: usize,
    },
    /// An entry is empty or longer than its kind may be.
    #[error("entry {guid} of the certificate table has {got} bytes, allowed are 1 to {limit}")]
    Length {
        /// The name.
        guid: Guid,
        /// Bytes.
        got: usize,
        /// Bytes.
        limit: usize,
    },
    /// Two entries share bytes.
    #[error("entries {first} and {second} of the certificate table overlap")]
    Overlap {
        /// One name.
        first: Guid,
        /// The other.
        second: Guid,
    },
}

/// Reads a table of at most [`CERT_TABLE_BYTES`]. No bytes at all, or an all-zero first entry, is an empty table: a host without certificates.
pub fn parse(blob: &[u8]) -> Result<CertTable, CertTableError> {
    if blob.is_empty() {
        return Ok(CertTable::default());
    }
    if blob.len() > CERT_TABLE_BYTES {
        return Err(CertTableError::TooLong { got: blob.len(), limit: CERT_TABLE_BYTES });
    }
    let headers = headers(blob)?;
    let from = headers.len().saturating_add(1).saturating_mul(ENTRY_BYTES);
    let mut entries: Vec<CertEntry> = Vec::with_capacity(headers.len());
    for (at, header) in headers.iter().enumerate() {
        let guid = header.guid;
        if header.guid.0 == [0; 16] {
            return Err(CertTableError::Unnamed { index: at });
        }
        for earlier in headers.iter().take(at) {
            if earlier.guid == guid {
                return Err(CertTableError::Twice { guid });
            }
            if earlier.offset < header.end() && header.offset < earlier.end() {
                return Err(CertTableError::Overlap { first: earlier.guid, second: guid });
            }
        }
        entries.push(CertEntry { guid, bytes: header.content(blob, from)?.to_vec() });
    }
    Ok(CertTable { entries })
}

/// One entry before its content was looked at.
struct Header {
    guid: Guid,
    offset: u64,
    length: u64,
}

impl Header {
    fn read(entry: &[u8]) -> Option<Self> {
        let (guid, numbers) = entry.split_first_chunk::<16>()?;
        let (offset, length) = numbers.split_first_chunk::<4>()?;
        let length = length.first_chunk::<4>()?;
        Some(Header { guid: Guid(*guid), offset: u64::from(u32::from_le_bytes(*offset)), length: u64::from(u32::from_le_bytes(*length)) })
    }

    fn is_last(&self) -> bool {
        self.guid.0 == [0; 16] && self.offset == 0 && self.length == 0
    }

    /// First byte after the content; two 32-bit numbers fit 64 bits.
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    fn content<'a>(&self, blob: &'a [u8], from: usize) -> Result<&'a [u8], CertTableError> {
        let (guid, until) = (self.guid, blob.len());
        let outside = CertTableError::Outside { guid, offset: self.offset, end: self.end(), from, until };
        let start = usize::try_from(self.offset).ok().filter(|start| *start >= from).ok_or(outside)?;
        let end = usize::try_from(self.end()).map_err(|_| outside)?;
        let content = blob.get(start..end).ok_or(outside)?;
        match (1..=guid.limit()).contains(&content.len()) {
            true => Ok(content),
            false => Err(CertTableError::Length { guid, got: content.len(), limit: guid.limit() }),
        }
    }
}

/// Entries up to the all-zero one.
fn headers(blob: &[u8]) -> Result<Vec<Header>, CertTableError> {
    let mut headers = Vec::new();
    for entry in blob.chunks(ENTRY_BYTES) {
        let header = Header::read(entry).ok_or(CertTableError::Unterminated)?;
        if header.is_last() {
            return Ok(headers);
        }
        if headers.len() >= CERT_TABLE_ENTRIES {
            return Err(CertTableError::TooMany { limit: CERT_TABLE_ENTRIES });
        }
        headers.push(header);
    }
    Err(CertTableError::Unterminated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec;

    /// A table as a host writes it.
    fn table(entries: &[(Guid, &[u8])]) -> Vec<u8> {
        let mut offset = (entries.len() + 1) * ENTRY_BYTES;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        for (guid, bytes) in entries {
            head.extend_from_slice(&guid.0);
            head.extend_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
            head.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
            tail.extend_from_slice(bytes);
            offset += bytes.len();
        }
        head.extend_from_slice(&[0; ENTRY_BYTES]);
        head.extend_from_slice(&tail);
        head
    }

    fn with(at: usize, bytes: &[u8]) -> Result<CertTable, CertTableError> {
        let mut blob = table(&[(Guid::VCEK, b"chip"), (Guid::ASK, b"middle")]);
        blob[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&blob)
    }

    #[test]
    fn entries_are_found_by_name() {
        let own = Guid([7; 16]);
        let parsed = parse(&table(&[(Guid::VCEK, b"chip"), (own, b"host's own"), (Guid::ASK, b"middle")])).unwrap();
        assert_eq!(parsed.get(Guid::VCEK), Some(&b"chip"[..]));
        assert_eq!(parsed.get(Guid::ASK), Some(&b"middle"[..]));
        assert_eq!(parsed.get(Guid::ARK), None);
        assert_eq!(parsed.entries().len(), 3);
        assert_eq!((own.name(), Guid::VLEK.name()), (None, Some("VLEK")));
        assert_eq!(Guid::VCEK.to_string(), "63da758d-e664-4564-adc5-f4b93be8accd");
    }

    #[test]
    fn a_host_without_certificates_gives_an_empty_table() {
        for blob in [vec![], vec![0; ENTRY_BYTES], vec![0; 16 * 1024]] {
            assert!(parse(&blob).unwrap().is_empty());
        }
    }

    #[test]
    fn tables_that_do_not_end_are_refused() {
        let whole = table(&[(Guid::VCEK, b"chip")]);
        for len in 1..2 * ENTRY_BYTES {
            assert_eq!(parse(&whole[..len]), Err(CertTableError::Unterminated), "{len} bytes");
        }
        assert!(matches!(parse(&whole[..whole.len() - 1]), Err(CertTableError::Outside { .. })));
        assert_eq!(parse(&[1; CERT_TABLE_BYTES + 1]), Err(CertTableError::TooLong { got: CERT_TABLE_BYTES + 1, limit: CERT_TABLE_BYTES }));
        let names: Vec<Guid> = (1..=u8::try_from(CERT_TABLE_ENTRIES).unwrap() + 1).map(|byte| Guid([byte; 16])).collect();
        let most: Vec<(Guid, &[u8])> = names.iter().map(|guid| (*guid, &b"x"[..])).collect();
        assert_eq!(parse(&table(&most)), Err(CertTableError::TooMany { limit: CERT_TABLE_ENTRIES }));
        assert_eq!(parse(&table(&most[1..])).unwrap().entries().len(), CERT_TABLE_ENTRIES);
    }

    #[test]
    fn entries_outside_their_place_are_refused() {
        let (offset_at, length_at) = (16, 20);
        // inside the entries themselves; before the end and past it; around the end of the number
        assert!(matches!(with(offset_at, &71_u32.to_le_bytes()), Err(CertTableError::Outside { offset: 71, from: 72, .. })));
        assert!(matches!(with(offset_at, &0_u32.to_le_bytes()), Err(CertTableError::Outside { offset: 0, .. })));
        assert!(matches!(with(offset_at, &u32::MAX.to_le_bytes()), Err(CertTableError::Outside { end: 0x1_0000_0003, .. })));
        assert!(matches!(with(length_at, &u32::MAX.to_le_bytes()), Err(CertTableError::Outside { .. })));
        assert_eq!(with(length_at, &0_u32.to_le_bytes()), Err(CertTableError::Length { guid: Guid::VCEK, got: 0, limit: CERT_BYTES }));
        assert_eq!(with(length_at, &5_u32.to_le_bytes()), Err(CertTableError::Overlap { first: Guid::VCEK, second: Guid::ASK }));
        let long = vec![1; CERT_BYTES + 1];
        let refused = CertTableError::Length { guid: Guid::ASK, got: CERT_BYTES + 1, limit: CERT_BYTES };
        assert_eq!(parse(&table(&[(Guid::ASK, &long)])), Err(refused));
        assert!(parse(&table(&[(Guid::CRL, &long)])).is_ok());
    }

    #[test]
    fn names_are_needed_and_count_once() {
        assert_eq!(with(0, &[0; 16]), Err(CertTableError::Unnamed { index: 0 }));
        assert_eq!(with(ENTRY_BYTES, &Guid::VCEK.0), Err(CertTableError::Twice { guid: Guid::VCEK }));
    }

    #[test]
    fn every_damaged_byte_is_a_table_or_a_typed_refusal() {
        let whole = table(&[(Guid::VCEK, b"chip"), (Guid::ASK, b"middle")]);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(parsed) = parse(&damaged) {
                    let held: usize = parsed.entries().iter().map(|entry| entry.bytes.len()).sum();
                    assert!(held <= damaged.len());
                }
            }
        }
    }
}
