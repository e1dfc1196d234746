//! `init` of the guest image: prepares the machine, then becomes the node; when that ends, the node becomes this program again, and it stops the machine.
//!
//! Decides: the order of a start: file systems, modules, data disk, network, powers; then this process *is replaced* by the program the image names, which
//! stays the only process there is. When that ends it is replaced by this one, with the word for it (`end.rs`); when it is killed, the kernel stops. Either
//! way the machine starts anew, measured and with new keys, or is gone, as its host has it.
//! Trusts: the image it stands in (kernel, command line, initrd: measured together) and nothing from the host: `boot.conf` is read by a closed list of words,
//! no link on its disk is followed, disks and network are the host's anyway. Out of scope: what a node does with its configuration; whether the host shows
//! the image at all (evidence).

mod end;
mod fault;
mod modules;
mod network;
mod privileges;
mod settings;

use fault::{Fault, fault};
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};
use settings::{SETTINGS_BYTES, Settings};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

/// The program and its first arguments, one a line; part of the image.
const PROGRAM: &str = "/etc/ringwall/program";
/// The host's disk, and where it is mounted.
const DATA_DISK: &str = "/dev/vda";
const DATA_FOLDER: &str = "/data";
/// How often, and how long each time, the disk and the card are waited for: ten seconds in all.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);
const BUILD: &str = "build the image again; deploy/image/README.md says how";
const GIVE_DISK: &str = "give the machine one virtio disk with an ext4 file system";

/// This program: what the node becomes when it ends, and the variable that tells it so.
const INIT: &str = "/init";
const AFTERWARDS: &str = "RINGWALL_AFTERWARDS";

/// Kernel settings: none of them is needed by a node. Each takes something from whoever gets into it, but for the first: the keys Ctrl, Alt and Delete ask
/// process 1 to end, where they otherwise stop the machine as it is.
const SYSCTLS: [(&str, &str); 7] = [
    ("kernel/ctrl-alt-del", "0"),
    ("kernel/kexec_load_disabled", "1"),
    ("kernel/kptr_restrict", "2"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/sysrq", "0"),
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("net/ipv6/conf/all/disable_ipv6", "1"),
];

#[expect(clippy::print_stderr, reason = "the console is all there is to tell anybody")]
fn say(words: &str) {
    eprintln!("ringwall-init: {words}");
}

fn main() -> ExitCode {
    if std::process::id() != 1 {
        say("this is the first program of a guest image and does nothing elsewhere");
        return ExitCode::from(2);
    }
    let mut words = std::env::args().skip(1);
    if words.next().is_some_and(|word| word == end::ENDED) {
        let fault = end::end(&words.next().unwrap_or_default(), DATA_FOLDER);
        say(&fault.to_string());
        return ExitCode::FAILURE;
    }
    let Err(fault) = start();
    say(&format!("this machine cannot start. {fault}"));
    ExitCode::FAILURE
}

/// Returns only when something failed.
fn start() -> Result<std::convert::Infallible, Fault> {
    kernel_file_systems()?;
    let absent = modules::load()?;
    modules::close()?;
    if !absent.is_empty() {
        say(&format!("no hardware for {}", absent.join(", ")));
    }
    // Only where the module is part of the image, and it always is: reports are asked for through it.
    attach("configfs", "/sys/kernel/config", "configfs", MountFlags::empty())?;
    wait_for(DATA_DISK)?;
    // A link on the host's disk could lead a node that writes there to the kernel's own files.
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME | MountFlags::NOSYMFOLLOW;
    mount(DATA_DISK, DATA_FOLDER, "ext4", quiet, c"errors=panic").map_err(fault(format!("mounting {DATA_DISK}"), GIVE_DISK))?;
    let settings = read_settings()?;
    wait_for(&format!("/sys/class/net/{}", network::CARD))?;
    network::configure(&settings)?;
    if let Some(server) = settings.dns {
        fs::write("/etc/resolv.conf", format!("nameserver {server}\n")).map_err(fault("naming the name server", BUILD))?;
    }
    for (name, value) in SYSCTLS {
        fs::write(format!("/proc/sys/{name}"), value).map_err(fault(format!("setting {name}"), BUILD))?;
    }
    let program = fs::read_to_string(PROGRAM).map_err(fault(PROGRAM, BUILD))?;
    close_files()?;
    privileges::drop_others()?;
    become_node(&program, &settings)
}

/// Makes the image and what the kernel shows of itself read-only, but for configfs, where reports are asked for; and looks whether it is so.
fn close_files() -> Result<(), Fault> {
    let step = "making the image read-only";
    mount_remount("/", MountFlags::RDONLY | MountFlags::NOSUID, c"").map_err(fault(step, BUILD))?;
    mount_bind("/proc/sys", "/proc/sys").map_err(fault(step, BUILD))?;
    let shown = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for place in ["/proc/sys", "/sys"] {
        mount_remount(place, shown, c"").map_err(fault(format!("making {place} read-only"), BUILD))?;
    }
    for (place, words) in [("/written", ""), ("/proc/sys/kernel/sysrq", "0"), ("/sys/kernel/profiling", "0")] {
        let cause = match fs::write(place, words) {
            Err(cause) if cause.kind() == ErrorKind::ReadOnlyFilesystem || cause.kind() == ErrorKind::NotFound => continue,
            Err(cause) => cause.to_string(),
            Ok(()) => "it could be written to".into(),
        };
        return Err(Fault { step: format!("{step}: {place}"), cause, fix: BUILD });
    }
    Ok(())
}

fn attach(source: &str, target: &str, kind: &str, more: MountFlags) -> Result<(), Fault> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | more;
    mount(source, target, kind, flags, None).map_err(fault(format!("mounting {target}"), BUILD))
}

fn kernel_file_systems() -> Result<(), Fault> {
    attach("proc", "/proc", "proc", MountFlags::NODEV)?;
    attach("sysfs", "/sys", "sysfs", MountFlags::NODEV)?;
    attach("devtmpfs", "/dev", "devtmpfs", MountFlags::empty())
}

/// Waits until the kernel shows `path`; drivers find their devices after they are loaded.
fn wait_for(path: &str) -> Result<(), Fault> {
    for _ in 0..TRIES {
        if Path::new(path).exists() {
            return Ok(());
        }
        sleep(PAUSE);
    }
    Err(Fault {
        step: format!("waiting for {path}"),
        cause: "the kernel shows none".into(),
        fix: "give the machine one virtio disk and one virtio network card",
    })
}

fn read_settings() -> Result<Settings, Fault> {
    let (path, fix) = (format!("{DATA_FOLDER}/boot.conf"), "put boot.conf onto the data disk; deploy/image/README.md has one");
    let mut text = String::new();
    let file = File::open(&path).map_err(fault(&path, fix))?;
    let read = file.take(SETTINGS_BYTES + 1).read_to_string(&mut text).map_err(fault(&path, fix))?;
    if u64::try_from(read).is_ok_and(|read| read > SETTINGS_BYTES) {
        return Err(Fault { step: path, cause: format!("longer than {SETTINGS_BYTES} bytes"), fix });
    }
    Settings::parse(&text)
}

/// Replaces this program by the node's.
fn become_node(program: &str, settings: &Settings) -> Result<std::convert::Infallible, Fault> {
    let mut words = program.lines();
    let path = words.next().filter(|path| path.starts_with('/')).ok_or_else(|| fault(PROGRAM, BUILD)("it names no program"))?;
    let mut node = Command::new(path);
    node.env_clear()
        .env(AFTERWARDS, INIT)
        .current_dir(DATA_FOLDER)
        .args(words)
        .args(settings.task)
        .arg("--config")
        .arg(format!("{DATA_FOLDER}/ringwalld.toml"));
    if let Some(order) = &settings.replace_order {
        node.arg("--replace-order").arg(format!("{DATA_FOLDER}/{order}"));
    }
    say(&format!("becoming {path} {}", settings.task.join(" ")));
    Err(fault(path, BUILD)(node.exec()))
}
