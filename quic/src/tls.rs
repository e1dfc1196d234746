//! TLS 1.3 as a dumb pipe: a throw-away certificate, and a verifier that looks at nothing but the handshake signature.
//!
//! Decides: which certificate is shown (by the protocol that is asked for: pages find theirs by its hash), one version, one key exchange, two ciphers; no early bytes, no resumption, no tickets, no names. The dialler does verify
//! the handshake signature: without it the exporter value would not be shared with the holder of the certificate's key.
//! Trusts: nothing for confidentiality or identity; those are Noise's. Protocol section 3, SB6.

use crate::endpoint::{Alpn, PipeError};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use std::sync::Arc;

/// The provider, cut down to what the pipe needs. X25519 alone keeps the first flight in one packet; the post-quantum half of a
/// session is in the Noise handshake.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256, aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    }
}

/// What pages are shown: browsers take a certificate by its hash if it is self-signed, for an ECDSA key on P-256, and good for at most 14 days.
#[derive(Clone)]
pub struct PageCertificate {
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: Arc<PrivateKeyDer<'static>>,
}

impl std::fmt::Debug for PageCertificate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PageCertificate({} bytes)", self.certificate.len())
    }
}

/// Chooses by protocol. Whoever offers one of ours speaks it, and is shown what is thrown away.
#[derive(Debug)]
struct ByProtocol {
    thrown_away: Arc<CertifiedKey>,
    pages: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByProtocol {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let offered = |alpn: &Alpn| hello.alpn().is_some_and(|mut names| names.any(|name| name == alpn.name()));
        match &self.pages {
            Some(pages) if offered(&Alpn::Web) && !Alpn::NATIVE.iter().any(offered) => Some(Arc::clone(pages)),
            _ => Some(Arc::clone(&self.thrown_away)),
        }
    }
}

/// The answering side: a fresh certificate for this process, which names nobody, and the one for pages where they are let in.
pub(crate) fn server(shown: Option<&PageCertificate>) -> Result<ServerConfig, PipeError> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|fault| PipeError::Certificate(fault.to_string()))?;
    let mut names = rcgen::CertificateParams::default();
    names.distinguished_name = rcgen::DistinguishedName::new();
    let certificate = names.self_signed(&key).map_err(|fault| PipeError::Certificate(fault.to_string()))?;
    let signing = aws_lc_rs::sign::any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    let thrown_away = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing));
    let for_pages = |shown: &PageCertificate| {
        let signing = aws_lc_rs::sign::any_supported_type(&shown.key)?;
        Ok::<_, Error>(Arc::new(CertifiedKey::new(vec![shown.certificate.clone()], signing)))
    };
    let resolver = ByProtocol { thrown_away, pages: shown.map(for_pages).transpose()? };
    let spoken: &[Alpn] = if shown.is_some() { &Alpn::ALL } else { &Alpn::NATIVE };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = spoken.iter().map(|alpn| alpn.name().to_vec()).collect();
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The dialling side for one protocol.
pub(crate) fn dialler(alpn: Alpn) -> Result<ClientConfig, PipeError> {
    let provider = Arc::new(provider());
    let scheme = match alpn {
        Alpn::Client | Alpn::Peer => SignatureScheme::ED25519,
        Alpn::Web => SignatureScheme::ECDSA_NISTP256_SHA256,
    };
    let verifier = Arc::new(SignatureAlone { provider: Arc::clone(&provider), scheme });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.name().to_vec()];
    config.enable_early_data = false;
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Ignores who the certificate names; verifies that its key signed this handshake.
#[derive(Debug)]
struct SignatureAlone {
    provider: Arc<CryptoProvider>,
    scheme: SignatureScheme,
}

impl ServerCertVerifier for SignatureAlone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Identity is decided by attestation inside the Noise session; a name or a chain here would only look like security.
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![self.scheme]
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A server that shows one certificate and signs with another key, as a machine in the middle would have to.
    #[derive(Debug)]
    struct OtherKey(Arc<CertifiedKey>);

    impl ResolvesServerCert for OtherKey {
        fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    fn handshake(server: ServerConfig) -> Result<(), Error> {
        let mut dialler =
            rustls::ClientConnection::new(Arc::new(dialler(Alpn::Client).unwrap()), ServerName::try_from("ringwall").unwrap()).unwrap();
        let mut answerer = rustls::ServerConnection::new(Arc::new(server)).unwrap();
        for _ in 0..4 {
            let mut wire = Vec::new();
            while dialler.wants_write() {
                dialler.write_tls(&mut wire).unwrap();
            }
            answerer.read_tls(&mut wire.as_slice()).unwrap();
            answerer.process_new_packets()?;
            let mut wire = Vec::new();
            while answerer.wants_write() {
                answerer.write_tls(&mut wire).unwrap();
            }
            dialler.read_tls(&mut wire.as_slice()).unwrap();
            dialler.process_new_packets()?;
        }
        assert!(!dialler.is_handshaking() && !answerer.is_handshaking());
        Ok(())
    }

    #[test]
    fn a_certificate_whose_key_did_not_sign_the_handshake_is_refused() {
        handshake(server(None).unwrap()).unwrap();

        let shown = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&shown).unwrap();
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let signing = aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::from(PrivatePkcs8KeyDer::from(other.serialize_der()))).unwrap();
        let mut hostile = server(None).unwrap();
        hostile.cert_resolver = Arc::new(OtherKey(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing))));
        let refused = handshake(hostile).unwrap_err();
        assert!(matches!(refused, Error::InvalidCertificate(rustls::CertificateError::BadSignature)), "{refused:?}");
    }

    #[test]
    fn nothing_of_a_session_outlives_it() {
        let server = server(None).unwrap();
        assert_eq!(server.send_tls13_tickets, 0);
        assert_eq!(server.max_early_data_size, 0);
        assert!(!dialler(Alpn::Peer).unwrap().enable_early_data);
    }
}
