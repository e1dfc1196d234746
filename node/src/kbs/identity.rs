//! The certificate under which the key broker protocol is offered: one for the whole cluster, in every life of every node.
//!
//! Decides: the key is derived from the cluster's keys, so it exists in members' memory alone and is the same on all of them; certificate and
//! signature are deterministic, so equal names give equal bytes. A guest pins it; it is had over an attested session (`ringwall workload-key
//! certificate`), not from the host. Trusts: the keyring. Out of scope: what it proves to clients that do not pin it (nothing).

use crate::signer::Signer;
use p256::ecdsa::SigningKey;
use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, SerialNumber};
use ringwall_keys::Keyring;
use ringwall_wire::bounded::Blob;
use ringwall_wire::limits::CERT_BYTES;
use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use std::sync::Arc;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for the key broker protocol: {0}; check kbs.names")]
pub(crate) struct IdentityError(String);

/// Key and certificate of a cluster.
pub(crate) struct Identity {
    signer: Signer,
    certificate: CertificateDer<'static>,
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Identity({} bytes)", self.certificate.len())
    }
}

impl Identity {
    /// The cluster's identity for these names.
    pub(crate) fn new(keyring: &Keyring, names: &[String]) -> Result<Self, IdentityError> {
        // A scalar above the group's order is as likely as a collision in 32 bits: the next one is tried.
        let key = (0..=u8::MAX).find_map(|at| SigningKey::from_slice(keyring.broker_key(at).expose()).ok());
        let key = key.ok_or_else(|| IdentityError("no key could be derived".into()))?;
        let signer = Signer::new(key);
        let params = params(names, signer.point()).map_err(|fault| IdentityError(fault.to_string()))?;
        let certificate = params.self_signed(&signer).map_err(|fault| IdentityError(fault.to_string()))?;
        Ok(Identity { certificate: certificate.der().clone(), signer })
    }

    /// The certificate, DER.
    pub(crate) fn certificate(&self) -> Blob<CERT_BYTES> {
        Blob::new(self.certificate.to_vec()).unwrap_or_default()
    }

    /// TLS 1.3 under this certificate.
    pub(crate) fn tls(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.signer.private_key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn params(names: &[String], point: &[u8]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Ringwall workload keys");
    params.distinguished_name = subject;
    // No clock: who pins it decides how long it is good for, and its key changes with the cluster alone.
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2075, 1, 1);
    params.serial_number = Some(SerialNumber::from_slice(point.get(1..17).unwrap_or_default()));
    // A guest that pins it takes it for the server's own, which no authority's certificate may be.
    params.is_ca = IsCa::NoCa;
    Ok(params)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::testing::rng;
    use ringwall_wire::ids::ClusterId;

    #[test]
    fn every_member_has_the_same_certificate_and_every_cluster_another() {
        let names = vec!["kbs.example".to_owned(), "127.0.0.1".to_owned()];
        let founder = Keyring::found(ClusterId([1; 32]), &mut *rng());
        let member = Keyring::from_grant(ClusterId([1; 32]), &founder.granted()).unwrap();
        let (one, two) = (Identity::new(&founder, &names).unwrap(), Identity::new(&member, &names).unwrap());
        assert_eq!(one.certificate(), two.certificate());
        one.tls().unwrap();
        let elsewhere = Keyring::from_grant(ClusterId([2; 32]), &founder.granted()).unwrap();
        assert_ne!(Identity::new(&elsewhere, &names).unwrap().certificate(), one.certificate());
    }
}
