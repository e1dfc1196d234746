//! The simulated AMD chain: ARK, ASK, ASVK, VCEK, VLEK and the revocation list, in AMD's layout.
//!
//! Decides: what AMD's key distribution service would answer for a simulated chip. One key pair per authority serves all products,
//! as the names in the certificates keep them apart.
//! Trusts: the fixed keys of `keys/`. Out of scope: reports (`snp`). Certificates are minted once per process: RSA-4096 is slow.

use crate::pki::{
    AUTHORITY_FROM_S, AUTHORITY_UNTIL_S, Authority, LEAF_FROM_S, LEAF_UNTIL_S, Subject, Window, authority_extensions, der, name,
    raw_extension, serial,
};
use der::asn1::{Ia5StringRef, ObjectIdentifier};
use ringwall_wire::policy::{SnpProduct, SnpTcb};
use rsa::pkcs8::DecodePrivateKey;
use sha2::Sha384;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// Which of AMD's keys signs certificates of chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Issuer {
    /// The genuine simulated root.
    Ark,
    /// A stranger's root with the same name.
    Foreign,
    /// Signs VCEKs.
    Ask,
    /// Signs VLEKs.
    Asvk,
}

/// What a VEK certificate says about the key it endorses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vek {
    pub(crate) product: SnpProduct,
    pub(crate) tcb: [u8; 8],
    pub(crate) of: VekOf,
    pub(crate) until_s: u64,
    /// Signed by its own key instead of AMD's.
    pub(crate) self_signed: bool,
}

/// Whose key a VEK certificate endorses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum VekOf {
    /// One chip, named by its 64-byte id.
    Chip([u8; 64]),
    /// One chip, but the certificate does not say which.
    Unnamed,
    /// A cloud provider, for many chips.
    Provider(&'static str),
}

/// Everything of a product, for loops.
pub(crate) const PRODUCTS: [SnpProduct; 3] = [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin];

/// AMD's word for a product.
pub(crate) fn product_name(product: SnpProduct) -> &'static str {
    match product {
        SnpProduct::Milan => "Milan",
        SnpProduct::Genoa => "Genoa",
        SnpProduct::Turin => "Turin",
    }
}

/// Security versions in the byte order of `product`.
pub(crate) fn tcb_bytes(product: SnpProduct, tcb: &SnpTcb) -> [u8; 8] {
    match product {
        SnpProduct::Turin => [tcb.fmc, tcb.boot_loader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode],
        SnpProduct::Milan | SnpProduct::Genoa => [tcb.boot_loader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode],
    }
}

/// The root certificate of `product`, DER.
pub(crate) fn ark(product: SnpProduct) -> Arc<[u8]> {
    authority_certificate(product, Issuer::Ark, Issuer::Ark)
}

/// The stranger's root certificate of `product`, DER.
pub(crate) fn foreign_ark(product: SnpProduct) -> Arc<[u8]> {
    authority_certificate(product, Issuer::Foreign, Issuer::Foreign)
}

/// The certificate of ASK or ASVK under `root`, DER.
pub(crate) fn intermediate(product: SnpProduct, which: Issuer, root: Issuer) -> Arc<[u8]> {
    authority_certificate(product, which, root)
}

/// A chip's or provider's certificate over `spki`, DER.
pub(crate) fn vek(vek: &Vek, key: &p384::ecdsa::SigningKey) -> Arc<[u8]> {
    let public = key.verifying_key().to_sec1_point(true).as_bytes().to_vec();
    cached(Kind::Vek(vek.clone(), public), || {
        let signer = match (vek.self_signed, &vek.of) {
            (true, _) => Authority::P384(key.clone()),
            (false, VekOf::Provider(_)) => key_of(Issuer::Asvk),
            (false, _) => key_of(Issuer::Ask),
        };
        let issuer = match &vek.of {
            VekOf::Provider(_) => authority_name(vek.product, Issuer::Asvk),
            _ => authority_name(vek.product, Issuer::Ask),
        };
        let leaf = amd_name(match vek.of {
            VekOf::Provider(_) => "SEV-VLEK",
            _ => "SEV-VCEK",
        });
        let subject = Subject {
            name: leaf,
            issuer,
            // AMD gives every VEK the serial number 0.
            serial: serial(&[0]),
            from_s: LEAF_FROM_S.min(vek.until_s.saturating_sub(86_400)),
            until_s: vek.until_s,
            extensions: vek_extensions(vek),
            key_identifiers: false,
        };
        let spki = SubjectPublicKeyInfoOwned::from_key(key.verifying_key()).expect("a public key encodes");
        der(&signer.certify(subject, spki))
    })
}

/// The revocation list of `product` over `window`, DER.
pub(crate) fn crl(product: SnpProduct, window: Window, ask_revoked: bool, signer: Issuer) -> Arc<[u8]> {
    cached(Kind::Crl(product, window, ask_revoked, signer), || {
        let revoked = if ask_revoked { vec![authority_serial(product, Issuer::Ask)] } else { Vec::new() };
        // Days since 1970: later lists have higher numbers.
        let number = u32::try_from(window.from_s / crate::pki::DAY_S).expect("days fit");
        key_of(signer).revoke(&authority_name(product, Issuer::Ark), window, number, &revoked)
    })
}

/// The last moment of an ordinary VEK, Unix seconds.
pub(crate) const VEK_UNTIL_S: u64 = LEAF_UNTIL_S;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Authority(SnpProduct, Issuer, Issuer),
    /// What it says, and the key it endorses.
    Vek(Vek, Vec<u8>),
    Crl(SnpProduct, Window, bool, Issuer),
}

/// What this process minted already; bounded by the number of simulated machines and days it deals with.
static MINTED: LazyLock<Mutex<HashMap<Kind, Arc<[u8]>>>> = LazyLock::new(Mutex::default);

fn cached(kind: Kind, mint: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
    // Minting under the lock: whoever waits would otherwise mint the same bytes again.
    let mut minted = MINTED.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(minted.entry(kind).or_insert_with(|| mint().into()))
}

fn authority_certificate(product: SnpProduct, which: Issuer, root: Issuer) -> Arc<[u8]> {
    cached(Kind::Authority(product, which, root), || {
        let path_len = matches!(which, Issuer::Ask | Issuer::Asvk).then_some(0);
        let subject = Subject {
            name: authority_name(product, which),
            issuer: authority_name(product, root),
            serial: authority_serial(product, which),
            from_s: AUTHORITY_FROM_S,
            until_s: AUTHORITY_UNTIL_S,
            extensions: authority_extensions(path_len),
            key_identifiers: true,
        };
        der(&key_of(root).certify(subject, key_of(which).spki()))
    })
}

/// The key pair of an authority.
pub(crate) fn key_of(issuer: Issuer) -> Authority {
    static KEYS: LazyLock<[Authority; 4]> = LazyLock::new(|| {
        [
            include_bytes!("../keys/ark.pk8.der").as_slice(),
            include_bytes!("../keys/foreign.pk8.der"),
            include_bytes!("../keys/ask.pk8.der"),
            include_bytes!("../keys/asvk.pk8.der"),
        ]
        .map(|pkcs8| {
            let key = rsa::PrivateKey::from_pkcs8_der(pkcs8).expect("the fixed key is well-formed");
            Authority::Rsa(rsa::pss::SigningKey::<Sha384>::new_with_salt_len(key, 48))
        })
    });
    let [ark, foreign, ask, asvk] = &*KEYS;
    match issuer {
        Issuer::Ark => ark.clone(),
        Issuer::Foreign => foreign.clone(),
        Issuer::Ask => ask.clone(),
        Issuer::Asvk => asvk.clone(),
    }
}

fn authority_name(product: SnpProduct, which: Issuer) -> Name {
    let product = product_name(product);
    amd_name(&match which {
        Issuer::Ark | Issuer::Foreign => format!("ARK-{product}"),
        Issuer::Ask => format!("SEV-{product}"),
        Issuer::Asvk => format!("SEV-VLEK-{product}"),
    })
}

fn amd_name(common: &str) -> Name {
    name(&[("OU", "Engineering"), ("C", "US"), ("L", "Santa Clara"), ("ST", "CA"), ("O", "Advanced Micro Devices"), ("CN", common)])
}

fn authority_serial(product: SnpProduct, which: Issuer) -> x509_cert::serial_number::SerialNumber {
    let family = match product {
        SnpProduct::Milan => 1,
        SnpProduct::Genoa => 2,
        SnpProduct::Turin => 3,
    };
    let place = match which {
        Issuer::Ark | Issuer::Foreign => 0,
        Issuer::Ask => 1,
        Issuer::Asvk => 2,
    };
    serial(&[family, 0, place])
}

/// AMD's extensions, 1.3.6.1.4.1.3704.1.*, in the order AMD writes them.
fn vek_extensions(vek: &Vek) -> Vec<Extension> {
    let arc = |tail: &str| ObjectIdentifier::new(&format!("1.3.6.1.4.1.3704.1.{tail}")).expect("an identifier is well-formed");
    let number = |tail: &str, value: u8| raw_extension(arc(tail), crate::pki::encoded(&value));
    let text =
        |tail: &str, value: &str| raw_extension(arc(tail), crate::pki::encoded(&Ia5StringRef::new(value).expect("the text is ASCII")));
    let mut list = vec![number("1", 0), text("2", certificate_product(vek))];
    let turin = vek.product == SnpProduct::Turin;
    let [b0, b1, b2, b3, b4, b5, b6, b7] = vek.tcb;
    let (boot_loader, tee, snp, reserved) = if turin { (b1, b2, b3, [b4, b5, b6, 0]) } else { (b0, b1, b6, [b2, b3, b4, b5]) };
    list.extend([number("3.1", boot_loader), number("3.2", tee)]);
    list.extend(["3.4", "3.5", "3.6", "3.7"].iter().zip(reserved).map(|(tail, value)| number(tail, value)));
    list.extend([number("3.3", snp), number("3.8", b7)]);
    if turin {
        list.push(number("3.9", b0));
    }
    match &vek.of {
        // AMD writes the raw bytes, without an inner DER header; Turin's ids have 8 bytes.
        VekOf::Chip(id) => list.push(raw_extension(arc("4"), id.split_at(if turin { 8 } else { 64 }).0)),
        VekOf::Provider(id) => list.push(text("5", id)),
        VekOf::Unnamed => {}
    }
    list
}

fn certificate_product(vek: &Vek) -> &'static str {
    match (vek.product, &vek.of) {
        (SnpProduct::Milan, VekOf::Chip(_) | VekOf::Unnamed) => "Milan-B0",
        (product, _) => product_name(product),
    }
}
