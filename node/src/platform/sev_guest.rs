//! `/dev/sev-guest`: the one request that the report folder does not have, for a derived key.
//!
//! Decides: the bytes of the request and how its answer is read. The root is the VCEK by name (KEY_SEL 1): with the default, a chip that has
//! a provider's VLEK would derive from that, and all of the provider's chips would derive the same key.
//! Trusts: the guest's kernel and the firmware. This is the one file of the project with `unsafe` in it (a test says so): one ioctl, two
//! pointers, both to values that outlive the call.
//! Source: Linux `include/uapi/linux/sev-guest.h`, `Documentation/virt/coco/sev-guest.rst`; AMD SEV-SNP ABI (56860), MSG_KEY_REQ; AMD's
//! published firmware source for KEY_SEL. Decision 0012; docs/decisions/0012-an-ioctl-of-our-own.md.

use super::derived_keys::{DerivedKeyError, DerivedKeys, KeyFields};
use ringwall_wire::secret::Secret;
use rustix::io::Errno;
use rustix::ioctl::{self, Opcode, Updater};
use std::fs::{File, OpenOptions};
use std::path::Path;

/// The device of an SNP guest.
pub const DEVICE: &str = "/dev/sev-guest";
/// `SNP_GET_DERIVED_KEY`.
const GET_DERIVED_KEY: Opcode = ioctl::opcode::read_write::<GuestRequest>(b'S', 1);
/// Version of MSG_KEY_REQ whose 32 bytes Linux passes on.
const MESSAGE_VERSION: u64 = 1;
/// ROOT_KEY_SELECT 0 (bit 0): the chip's key, not the migration agent's. KEY_SEL 1 (bits 1 and 2): the VCEK only.
const FROM_VCEK: u32 = 1 << 1;
/// What the answer's status is before the firmware wrote one.
const UNWRITTEN: u8 = 0xff;

/// `struct snp_derived_key_req`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyRequest {
    root_key_select: u32,
    reserved: u32,
    guest_field_select: u64,
    vmpl: u32,
    guest_svn: u32,
    tcb_version: u64,
}

/// `struct snp_guest_request_ioctl`; the version is one byte there, and the seven after it are padding.
#[repr(C)]
struct GuestRequest {
    message_version: u64,
    request: u64,
    response: u64,
    exit_codes: u64,
}

/// The opened device.
#[derive(Debug)]
pub struct SevGuest {
    device: File,
}

impl SevGuest {
    /// Opens the device of this guest.
    pub fn open(device: &Path) -> Result<Self, DerivedKeyError> {
        let opened = OpenOptions::new().read(true).write(true).open(device);
        let failed = |fault: std::io::Error| DerivedKeyError::Device { device: device.display().to_string(), cause: fault.to_string() };
        Ok(SevGuest { device: opened.map_err(failed)? })
    }

    /// Sends the request; the answer's 64 bytes are only what the kernel wrote into them.
    #[expect(unsafe_code, reason = "an ioctl cannot be called otherwise")]
    fn send(&self, request: &KeyRequest, response: &mut [u8; 64]) -> Result<(), DerivedKeyError> {
        let mut call = GuestRequest {
            message_version: MESSAGE_VERSION,
            request: core::ptr::from_ref(request).expose_provenance() as u64,
            response: core::ptr::from_mut(response).expose_provenance() as u64,
            exit_codes: 0,
        };
        // SAFETY: the opcode is SNP_GET_DERIVED_KEY, whose argument is a `snp_guest_request_ioctl` (32 bytes, same layout), which `call` is and
        // which the kernel may change. It reads 32 bytes at `request` and writes 64 bytes at `response`; both are borrowed for longer than
        // the call, `response` exclusively, and every pattern of bytes is a value of theirs. A device that does not know the opcode refuses.
        let sent = unsafe { ioctl::ioctl(&self.device, Updater::<GET_DERIVED_KEY, GuestRequest>::new(&mut call)) };
        sent.map_err(|errno| request_failed(errno, call.exit_codes))
    }
}

impl DerivedKeys for SevGuest {
    fn derive(&self, fields: KeyFields) -> Result<Secret<32>, DerivedKeyError> {
        let mut response = [UNWRITTEN; 64];
        let sent = self.send(&request(fields), &mut response);
        // Wipes the buffer whatever became of the request.
        let response = Secret::from_mut(&mut response);
        sent?;
        read_response(&response)
    }
}

fn request(fields: KeyFields) -> KeyRequest {
    KeyRequest {
        root_key_select: FROM_VCEK,
        reserved: 0,
        guest_field_select: fields.select(),
        vmpl: fields.vmpl,
        guest_svn: fields.guest_svn.unwrap_or(0),
        tcb_version: fields.tcb_version.unwrap_or(0),
    }
}

fn request_failed(errno: Errno, exit_codes: u64) -> DerivedKeyError {
    let [a, b, c, d, e, f, g, h] = exit_codes.to_le_bytes();
    let (firmware, host) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    DerivedKeyError::Request { errno: errno.raw_os_error(), host, firmware }
}

/// MSG_KEY_RSP: status, 28 reserved bytes, 32 bytes of key.
fn read_response(response: &Secret<64>) -> Result<Secret<32>, DerivedKeyError> {
    let (status, rest) = response.expose().split_first_chunk::<4>().expect("64 bytes hold four");
    match u32::from_le_bytes(*status) {
        0 => {}
        status => return Err(DerivedKeyError::Refused { status }),
    }
    let key = Secret::new(*rest.last_chunk::<32>().expect("60 bytes hold 32"));
    match key.same(&Secret::new([0; 32])) {
        true => Err(DerivedKeyError::Zero),
        false => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn the_request_has_linuxs_layout() {
        assert_eq!(u64::from(GET_DERIVED_KEY), 0xc020_5301, "_IOWR('S', 1, 32 bytes)");
        assert_eq!((size_of::<KeyRequest>(), size_of::<GuestRequest>()), (32, 32));
        let offsets = [offset_of!(KeyRequest, guest_field_select), offset_of!(KeyRequest, vmpl), offset_of!(KeyRequest, tcb_version)];
        assert_eq!(offsets, [8, 16, 24]);
        let offsets = [offset_of!(GuestRequest, request), offset_of!(GuestRequest, response), offset_of!(GuestRequest, exit_codes)];
        assert_eq!(offsets, [8, 16, 24]);
    }

    #[test]
    fn keys_come_from_the_chip_and_never_from_the_providers_key() {
        let asked = request(KeyFields { measurement: true, guest_svn: Some(7), tcb_version: Some(9), vmpl: 1, ..KeyFields::default() });
        let wanted =
            KeyRequest { root_key_select: 0b010, reserved: 0, guest_field_select: 0b11_1000, vmpl: 1, guest_svn: 7, tcb_version: 9 };
        assert_eq!(asked, wanted);
    }

    #[test]
    fn answers_are_read_by_their_status() {
        let mut bytes = [0; 64];
        bytes[32..].copy_from_slice(&[7; 32]);
        let read = |bytes: &[u8; 64]| read_response(&Secret::new(*bytes));
        assert_eq!(read(&bytes), Ok(Secret::new([7; 32])));
        bytes[0] = 0x16;
        assert_eq!(read(&bytes), Err(DerivedKeyError::Refused { status: 0x16 }));
        assert_eq!(read(&[0; 64]), Err(DerivedKeyError::Zero));
        assert_eq!(read(&[UNWRITTEN; 64]), Err(DerivedKeyError::Refused { status: u32::MAX }), "an answer nobody wrote is no success");
    }

    #[test]
    fn a_file_that_is_no_device_refuses_the_request() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let guest = SevGuest::open(file.path()).unwrap();
        let refused = guest.derive(KeyFields::default());
        let expected = DerivedKeyError::Request { errno: Errno::NOTTY.raw_os_error(), host: 0, firmware: 0 };
        assert_eq!(refused, Err(expected));
        let absent = SevGuest::open(Path::new("/nowhere/sev-guest")).unwrap_err();
        assert!(matches!(absent, DerivedKeyError::Device { .. }), "{absent}");
        assert_eq!(
            request_failed(Errno::IO, 2 << 32 | 0x16),
            DerivedKeyError::Request { errno: Errno::IO.raw_os_error(), host: 2, firmware: 0x16 }
        );
    }
}
