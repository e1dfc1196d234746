//! What a node asks its own chip for: the key that master keys are wrapped to, and what has to be said to get it.
//!
//! Decides: measurement, guest policy and the committed TCB version go into the key, besides what the firmware always mixes in (the chip's secret, HOST_DATA, the
//! ID key): another chip, another build, another policy of the guest, another boot configuration has another key, and firmware older than at the wrapping cannot
//! derive it. What the guest is, is read from its own evidence, which was judged. A chip is asked off the runtime's threads: it may take long.
//! Trusts: the firmware. Out of scope: what is wrapped (`ringwall_keys::custody::platform`), whether it may be (the policy says). Protocol section 6.3.

use super::derived_keys::{DerivedKeyError, DerivedKeys, KeyFields, NoDerivedKeys};
use ringwall_attest::Claims;
use ringwall_wire::ids::Vendor;
use ringwall_wire::secret::Secret;
use std::sync::{Arc, OnceLock};

/// Opens the device that derives keys on a machine of this vendor.
pub type KeySource = Arc<dyn Fn(Vendor) -> Result<Box<dyn DerivedKeys>, DerivedKeyError> + Send + Sync>;

/// What has to be said to a chip, besides which guest this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRequest {
    /// TCB version that is mixed in, raw.
    pub(crate) tcb_version: u64,
    /// Privilege level the key is for.
    pub(crate) vmpl: u32,
}

/// The chip of this machine, as far as keys go.
pub struct ChipKeys {
    source: KeySource,
    guest: OnceLock<(Vendor, KeyRequest)>,
}

impl core::fmt::Debug for ChipKeys {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "ChipKeys({:?})", self.guest.get())
    }
}

impl ChipKeys {
    /// Of the machine that `source` opens.
    pub fn new(source: KeySource) -> Self {
        ChipKeys { source, guest: OnceLock::new() }
    }

    /// Of a machine without any.
    pub fn none() -> Self {
        ChipKeys::new(Arc::new(|vendor| Ok(Box::new(NoDerivedKeys(vendor)))))
    }

    /// Remembers which guest this is: `claims` are those of its own evidence, judged.
    pub(crate) fn look(&self, claims: &Claims) {
        let request = match claims {
            Claims::Snp(claims) => KeyRequest { tcb_version: claims.committed_tcb_version(), vmpl: claims.vmpl },
            Claims::Tdx(_) => KeyRequest { tcb_version: 0, vmpl: 0 },
        };
        // The first look counts: a life keeps to one key.
        let _ = self.guest.set((claims.vendor(), request));
    }

    /// What this guest says now to get its key. Intel's chips derive none.
    pub(crate) fn request(&self) -> Result<KeyRequest, DerivedKeyError> {
        match self.guest.get() {
            Some((Vendor::Amd, request)) => Ok(*request),
            Some((vendor, _)) => Err(DerivedKeyError::NoneHere { vendor: *vendor }),
            None => Err(DerivedKeyError::Device { device: "this machine".into(), cause: "its own evidence was not judged yet".into() }),
        }
    }

    /// Asks the chip.
    pub(crate) async fn derive(&self, request: KeyRequest) -> Result<Secret<32>, DerivedKeyError> {
        // A platform without such keys says so by its own name.
        self.request()?;
        let source = Arc::clone(&self.source);
        let asked = tokio::task::spawn_blocking(move || source(Vendor::Amd)?.derive(fields(request)));
        asked.await.unwrap_or_else(|fault| Err(DerivedKeyError::Device { device: "the chip".into(), cause: fault.to_string() }))
    }
}

fn fields(KeyRequest { tcb_version, vmpl }: KeyRequest) -> KeyFields {
    KeyFields { policy: true, measurement: true, tcb_version: Some(tcb_version), vmpl, ..KeyFields::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::sync::Mutex;

    struct Noting(Arc<Mutex<Vec<KeyFields>>>);

    impl DerivedKeys for Noting {
        fn derive(&self, fields: KeyFields) -> Result<Secret<32>, DerivedKeyError> {
            self.0.lock().unwrap().push(fields);
            Ok(Secret::new([7; 32]))
        }
    }

    #[tokio::test]
    async fn measurement_policy_and_tcb_are_mixed_in() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let chip = ChipKeys::new(Arc::new(move |_| Ok(Box::new(Noting(Arc::clone(&noted))))));
        let request = KeyRequest { tcb_version: 0x5800_0000_0000_000a, vmpl: 1 };
        assert!(matches!(chip.derive(request).await, Err(DerivedKeyError::Device { .. })), "which guest this is, nobody knows yet");
        chip.guest.set((Vendor::Amd, request)).unwrap();
        assert!(chip.derive(request).await.unwrap().same(&Secret::new([7; 32])));
        let [fields] = asked.lock().unwrap()[..] else { panic!("one question") };
        assert_eq!((fields.select(), fields.tcb_version, fields.vmpl), (0b10_1001, Some(request.tcb_version), 1));
    }

    #[tokio::test]
    async fn an_intel_machine_has_none_and_is_not_asked() {
        let chip = ChipKeys::new(Arc::new(|_| panic!("no device is opened")));
        let request = KeyRequest { tcb_version: 0, vmpl: 0 };
        chip.guest.set((Vendor::Intel, request)).unwrap();
        assert_eq!(chip.derive(request).await, Err(DerivedKeyError::NoneHere { vendor: Vendor::Intel }));
        assert_eq!(chip.request(), Err(DerivedKeyError::NoneHere { vendor: Vendor::Intel }));
    }
}
