//! RFC 3161 timestamps: when a signature existed, by a clock of the trusted root.
//!
//! Decides: a timestamp counts when it is over exactly this signature and the lowest certificate of an authority of the root, valid at that time,
//! signed it. A certificate the timestamp brings along is not looked at.
//! Trusts: the trusted root. Out of scope: what was signed. RFC 3161 and 5652 as far as Sigstore's authorities use them.

use super::der::{CONTEXT, INTEGER, OBJECT, OCTET_STRING, Part, SEQUENCE, SET, element, one, time};
use super::key::{Hash, Scheme};
use super::root::Authority;
use crate::release::bundle::BundleError;
use alloc::vec::Vec;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];

/// A timestamp taken apart.
struct Token<'a> {
    /// What is attested, exact bytes.
    content: &'a [u8],
    /// What was signed: the attributes, as a set.
    signed: Vec<u8>,
    scheme: Scheme,
    signature: &'a [u8],
}

/// The second a timestamp gives for `signature`.
pub(crate) fn stamped(response: &[u8], signature: &[u8], authorities: &[Authority]) -> Result<u64, BundleError> {
    let wrong = |what| BundleError::Timestamp { what };
    let token = token(response).ok_or(wrong("it is no RFC 3161 response of the shape that is known"))?;
    let at_s = moment(token.content, signature).ok_or(wrong("it is over something else, or has no time"))?;
    for authority in authorities.iter().filter(|authority| authority.valid.covers(at_s)) {
        let Some(chain) = authority.chain() else { continue };
        let Some((leaf, above)) = chain.split_first() else { continue };
        let trusted = match above {
            [] => leaf.covers(at_s),
            above => leaf.leads_to(above, at_s),
        };
        if trusted && leaf.is_for_time() && leaf.key.verified(token.scheme, &token.signed, token.signature).is_some() {
            return Ok(at_s);
        }
    }
    Err(wrong("no authority of the trusted root signed it while it was valid"))
}

fn token(response: &[u8]) -> Option<Token<'_>> {
    let response = one(response)?.inside(SEQUENCE)?;
    let [status, token] = response.as_slice() else { return None };
    let granted = status.inside(SEQUENCE)?;
    if !matches!(granted.first()?.expect(INTEGER)?, [0] | [1]) {
        return None;
    }
    let token = token.inside(SEQUENCE)?;
    let [kind, data] = token.as_slice() else { return None };
    if kind.expect(OBJECT)? != SIGNED_DATA {
        return None;
    }
    let data = one(data.expect(CONTEXT)?)?.inside(SEQUENCE)?;
    let [version, hashes, content, rest @ ..] = data.as_slice() else { return None };
    let (signers, _certificates) = rest.split_last()?;
    if version.tag != INTEGER || hashes.tag != SET {
        return None;
    }
    let content = content.inside(SEQUENCE)?;
    let [kind, content] = content.as_slice() else { return None };
    if kind.expect(OBJECT)? != TST_INFO {
        return None;
    }
    let content = one(content.expect(CONTEXT)?)?.expect(OCTET_STRING)?;
    let signers = signers.inside(SET)?;
    let [signer] = signers.as_slice() else { return None };
    signed(content, signer)
}

/// The one signer's part: its attributes must name the content's type and hash.
fn signed<'a>(content: &'a [u8], signer: &Part<'a>) -> Option<Token<'a>> {
    let fields = signer.inside(SEQUENCE)?;
    let [version, _who, hash, attributes, algorithm, signature, ..] = fields.as_slice() else { return None };
    let hash = Hash::named(hash.whole)?;
    let list = attributes.inside(CONTEXT)?;
    let kind = attribute(&list, CONTENT_TYPE)?;
    let digest = attribute(&list, MESSAGE_DIGEST)?;
    if version.tag != INTEGER || kind.expect(OBJECT)? != TST_INFO || digest.expect(OCTET_STRING)? != hash.of(content) {
        return None;
    }
    let scheme = Scheme::named(algorithm.whole)?;
    Some(Token { content, signed: element(SET, attributes.value), scheme, signature: signature.expect(OCTET_STRING)? })
}

/// The one value of the one attribute of this type.
fn attribute<'a>(list: &[Part<'a>], object: &[u8]) -> Option<Part<'a>> {
    let mut found = None;
    for one in list {
        let fields = one.inside(SEQUENCE)?;
        let [name, values] = fields.as_slice() else { return None };
        if name.expect(OBJECT)? != object {
            continue;
        }
        let values = values.inside(SET)?;
        let [value] = *values.as_slice() else { return None };
        if found.replace(value).is_some() {
            return None;
        }
    }
    found
}

/// The time in a `TSTInfo` over `signature`.
fn moment(content: &[u8], signature: &[u8]) -> Option<u64> {
    let info = one(content)?.inside(SEQUENCE)?;
    let [version, _policy, imprint, serial, at, ..] = info.as_slice() else { return None };
    let imprint = imprint.inside(SEQUENCE)?;
    let [algorithm, hashed] = imprint.as_slice() else { return None };
    let over = Hash::named(algorithm.whole)?.of(signature);
    let fits = version.expect(INTEGER)? == [1] && serial.tag == INTEGER && hashed.expect(OCTET_STRING)? == over;
    fits.then(|| time(at)).flatten()
}
