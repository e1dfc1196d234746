//! AMD's key distribution service, or a mirror of it.
//!
//! Decides: which address has which document, and what an answer looks like: DER certificates and lists, the intermediate as PEM with the root
//! behind it.
//! Trusts: nothing of the answer beyond its form. Out of scope: whether it is genuine (`shelf`). Source: AMD 57230, "Versioned Chip Endorsement
//! Key (VCEK) certificate and KDS interface specification", sections 4.1 to 4.3, and its VLEK counterpart 58369.

use super::document::{Document, DocumentError, pem_certs};
use super::http::Http;
use super::limits::{REPLY_CERT_BYTES, REPLY_CHAIN_BYTES, REPLY_CRL_BYTES};
use super::part::{Part, hardware_id};
use super::source::{FetchError, Source};
use ringwall_attest::VekKind;
use ringwall_wire::policy::{SnpProduct, SnpTcb};
use ringwall_wire::text::hex;

/// AMD's service at one address.
#[derive(Clone, Debug)]
pub struct Kds {
    http: Http,
    base: String,
}

impl Kds {
    /// The service at `base`, an address without a slash at its end.
    pub fn new(http: Http, base: impl Into<String>) -> Self {
        Kds { http, base: base.into() }
    }

    fn read(&self, part: &Part, url: &str, max: usize) -> Result<Document, FetchError> {
        let answer = self.http.get(url, max)?;
        let document = match part {
            // The service sends the intermediate first and the root behind it; the root is pinned and not needed.
            Part::AmdIntermediate { .. } => pem_certs(&answer.body).and_then(|certs| {
                let first = certs.into_iter().next().ok_or(DocumentError::Malformed { what: "the chain holds no certificate" })?;
                Document::der(part, first)
            }),
            _ => Document::der(part, answer.body),
        };
        document.map_err(|cause| FetchError::Document { url: url.to_owned(), cause })
    }
}

/// How the service spells a product.
fn product_name(product: SnpProduct) -> &'static str {
    match product {
        SnpProduct::Milan => "Milan",
        SnpProduct::Genoa => "Genoa",
        SnpProduct::Turin => "Turin",
    }
}

fn query(product: SnpProduct, tcb: SnpTcb) -> String {
    let SnpTcb { fmc, boot_loader, tee, snp, microcode } = tcb;
    let fmc = if product == SnpProduct::Turin { format!("fmcSPL={fmc:02}&") } else { String::new() };
    format!("{fmc}blSPL={boot_loader:02}&teeSPL={tee:02}&snpSPL={snp:02}&ucodeSPL={microcode:02}")
}

impl Source for Kds {
    fn fetch(&self, part: &Part) -> Result<Document, FetchError> {
        let not_served = |fix| FetchError::NotServed { part: part.to_string(), source_name: self.name(), fix };
        match part {
            Part::AmdVcek { product, chip, tcb } => {
                let (name, id) = (product_name(*product), hex(hardware_id(*product, chip)));
                self.read(part, &format!("{}/vcek/v1/{name}/{id}?{}", self.base, query(*product, *tcb)), REPLY_CERT_BYTES)
            }
            Part::AmdIntermediate { product, kind } => {
                let kind = if *kind == VekKind::Vcek { "vcek" } else { "vlek" };
                self.read(part, &format!("{}/{kind}/v1/{}/cert_chain", self.base, product_name(*product)), REPLY_CHAIN_BYTES)
            }
            Part::AmdCrl { product } => self.read(part, &format!("{}/vcek/v1/{}/crl", self.base, product_name(*product)), REPLY_CRL_BYTES),
            Part::AmdVlek { .. } => Err(not_served("the host of this guest has it: let it provide its certificate table")),
            _ => Err(not_served("it is Intel's")),
        }
    }

    fn name(&self) -> String {
        self.base.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_is_spelled_as_the_service_spells_it() {
        let tcb = SnpTcb { fmc: 1, boot_loader: 4, tee: 0, snp: 24, microcode: 219 };
        assert_eq!(query(SnpProduct::Milan, tcb), "blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219");
        assert_eq!(query(SnpProduct::Turin, tcb), "fmcSPL=01&blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219");
    }
}
