//! Configuration: the documented example is legal, and every refusal names file, field, cause and fix.
//! Decides: which mistakes an operator may make and what they must be told.
//! Trusts: nothing it tests. Out of scope: nodes that run.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_node::config::{ClusterPart, Config, ConfigError, Flags, LogFormat, Purpose, load};
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::{BootCluster, ClusterCard};
use ringwall_wire::ids::{Digest, Slot, TrustDomain};
use ringwall_wire::order::ReplaceOrder;
use ringwall_wire::policy::{PolicyDoc, SlotRule};
use ringwall_wire::sample::{Sample, Source};
use std::path::{Path, PathBuf};

/// A card whose parts belong together, with slots 1 to 3.
fn card() -> ClusterCard {
    let mut source = Source::new(11);
    let mut card = ClusterCard::sample(&mut source);
    let slots: Vec<SlotRule> = (1..=3).map(|slot| SlotRule { slot: Slot(slot), ..SlotRule::sample(&mut source) }).collect();
    card.policy.slots = ringwall_wire::bounded::List::new(slots.clone()).unwrap();
    card.policy.trust_domain = TrustDomain::Simulated;
    card.genesis.template.slots = ringwall_wire::bounded::List::new(slots).unwrap();
    card.genesis.template.trust_domain = TrustDomain::Simulated;
    card.genesis.template.policy = Digest(card.policy.digest());
    card.pinned().unwrap();
    card
}

/// A folder with a card, a template, its policy, and the given configuration.
fn folder(text: &str) -> (tempfile::TempDir, Flags) {
    let folder = tempfile::tempdir().unwrap();
    let card = card();
    std::fs::write(folder.path().join("cluster.card"), card.encode()).unwrap();
    std::fs::write(folder.path().join("genesis.template"), card.genesis.template.encode()).unwrap();
    std::fs::write(folder.path().join("cluster.policy"), card.policy.encode()).unwrap();
    std::fs::write(folder.path().join("release.proof"), b"a proof").unwrap();
    let config = folder.path().join("node.toml");
    std::fs::write(&config, text).unwrap();
    (folder, Flags { config, ..Flags::default() })
}

const GOOD: &str = r#"
data = "here"
slot = 2
listen = "127.0.0.1:7402"
[cluster]
card = "cluster.card"
template = "genesis.template"
policy = "cluster.policy"
"#;

fn refused(text: &str, purpose: Purpose) -> ConfigError {
    let (_folder, flags) = folder(text);
    load(&flags, purpose).unwrap_err()
}

fn field_of(text: &str) -> (&'static str, String) {
    match refused(text, Purpose::Join) {
        ConfigError::Field { field, cause, .. } => (field, cause),
        other => panic!("{other}"),
    }
}

#[test]
fn the_example_file_is_complete_and_legal() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/ringwalld.example.toml");
    let example = std::fs::read_to_string(path).unwrap();
    let example = example.replace("/etc/ringwall/", "");
    let (_folder, flags) = folder(&example);
    let joining = load(&flags, Purpose::Join).unwrap();
    assert_eq!(joining.boot.slot, Slot(1));
    assert_eq!(joining.log.format, LogFormat::Json);
    assert_eq!(joining.peers.len(), 2);
    assert_eq!(&*joining.advertise_clients, "ringwall-1.example.org:7400");
    assert_eq!(&*joining.staple.current(), b"a proof");
    assert!(matches!(load(&flags, Purpose::Found).unwrap().cluster, ClusterPart::Found(..)));
    // Without its comments the example is what the defaults are, so the documented defaults are the real ones.
    let (_folder, flags) = folder(GOOD);
    let defaults: Config = load(&flags, Purpose::Join).unwrap();
    assert_eq!((defaults.limits, defaults.timing), (joining.limits, joining.timing));
    assert_eq!(defaults.endorsements, joining.endorsements);
}

#[test]
fn whoever_backs_up_is_named_and_nobody_is_by_default() {
    let (_folder, flags) = folder(GOOD);
    assert!(load(&flags, Purpose::Join).unwrap().backup_users.is_empty());
    let id = "0a".repeat(20);
    let (_folder, flags) = folder(&format!("{GOOD}\n[backup]\nusers = [\"{id}\"]\n"));
    assert_eq!(load(&flags, Purpose::Join).unwrap().backup_users[0].to_string(), id);
    for users in ["[\"everybody\"]".to_owned(), format!("[{}]", vec![format!("\"{id}\""); 65].join(", "))] {
        let (_folder, flags) = folder(&format!("{GOOD}\n[backup]\nusers = {users}\n"));
        let fault = load(&flags, Purpose::Join).unwrap_err();
        assert!(matches!(fault, ConfigError::Field { field: "backup.users", .. }), "{fault}");
    }
}

#[test]
fn a_proof_of_release_that_is_named_is_there() {
    let (_folder, flags) = folder(GOOD);
    assert!(load(&flags, Purpose::Join).unwrap().staple.current().is_empty());
    let (_folder, flags) = folder(&format!("release_proof = \"nowhere\"\n{GOOD}"));
    let fault = load(&flags, Purpose::Join).unwrap_err();
    assert!(matches!(fault, ConfigError::Field { field: "release_proof", .. }), "{fault}");
    assert!(fault.to_string().contains("ringwall release staple"), "{fault}");
}

#[test]
fn the_key_broker_is_offered_where_its_section_stands() {
    let (_folder, flags) = folder(GOOD);
    assert_eq!(load(&flags, Purpose::Join).unwrap().kbs, None);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/ringwalld.example.toml");
    let example = std::fs::read_to_string(path).unwrap();
    let (_, section) = example.split_once("# [kbs]\n").unwrap();
    // Its fields are comments of one line each; the sentences above them are not fields.
    let fields = section.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
    let text = format!("{GOOD}\n[kbs]\n{}", fields.collect::<Vec<_>>().join("\n"));
    let (folder, flags) = self::folder(&text);
    let kbs = load(&flags, Purpose::Join).unwrap().kbs.unwrap();
    assert_eq!((kbs.listen.port(), kbs.names.as_slice()), (8443, &["kbs.example.org".to_owned()][..]));
    assert_eq!(kbs.endorsements.unwrap(), PathBuf::from("/var/lib/ringwall-workloads"));
    drop(folder);
}

#[test]
fn pages_are_let_in_where_the_section_stands() {
    let (_folder, flags) = folder(GOOD);
    assert_eq!(load(&flags, Purpose::Join).unwrap().web, None);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/ringwalld.example.toml");
    let example = std::fs::read_to_string(path).unwrap();
    let (_, section) = example.split_once("# [web]\n").unwrap();
    let (section, _) = section.split_once("\n\n").unwrap();
    let fields = section.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
    let (_folder, flags) = self::folder(&format!("{GOOD}\n[web]\n{}", fields.collect::<Vec<_>>().join("\n")));
    let web = load(&flags, Purpose::Join).unwrap().web.unwrap();
    assert_eq!(web.transport.unwrap(), PathBuf::from("/var/lib/ringwall-web"));
    let (listen, told) = web.socket.unwrap();
    assert_eq!((listen.port(), &*told), (7401, "wss://node-1.example.org/ringwall"));
    // The least that can be said, and what follows from it.
    let (folder, flags) = self::folder(&format!("{GOOD}\n[web]\nsocket_listen = \"127.0.0.1:7\""));
    let web = load(&flags, Purpose::Join).unwrap().web.unwrap();
    assert_eq!(web.transport.unwrap(), folder.path().join("here"));
    assert_eq!(&*web.socket.unwrap().1, "ws://127.0.0.1:7/ringwall");
}

#[test]
fn the_boot_configuration_binds_slot_and_cluster() {
    let (_folder, flags) = folder(GOOD);
    let joining = load(&flags, Purpose::Join).unwrap();
    assert_eq!(joining.boot.cluster, BootCluster::Join(card().genesis.cluster_id()));
    assert_eq!((joining.boot.slot, joining.boot.trust_domain), (Slot(2), TrustDomain::Simulated));
    let founding = load(&flags, Purpose::Found).unwrap();
    assert_eq!(founding.boot.cluster, BootCluster::Found(Digest(card().genesis.template.digest())));
    let moved = load(&Flags { slot: Some(3), ..flags }, Purpose::Join).unwrap();
    assert_ne!(moved.boot.host_data(), joining.boot.host_data());
}

#[test]
fn flags_go_over_the_file() {
    let (_folder, flags) = folder(GOOD);
    let flags = Flags {
        data: Some(PathBuf::from("/elsewhere")),
        listen: Some("127.0.0.1:9".into()),
        peers: vec!["a:1".into()],
        log_format: Some(LogFormat::Json),
        ..flags
    };
    let config = load(&flags, Purpose::Join).unwrap();
    assert_eq!(config.data, PathBuf::from("/elsewhere"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:9");
    assert_eq!(config.peers.len(), 1);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn a_missing_file_is_named() {
    let error = load(&Flags { config: "/nowhere/node.toml".into(), ..Flags::default() }, Purpose::Join).unwrap_err();
    assert!(matches!(&error, ConfigError::Unreadable { file, .. } if file == Path::new("/nowhere/node.toml")), "{error}");
    assert!(error.to_string().starts_with("/nowhere/node.toml: cannot be read"), "{error}");
}

#[test]
fn unknown_fields_and_broken_toml_are_refused_with_their_place() {
    for (text, line, word) in [
        (format!("{GOOD}\n[limits]\nconnexions = 5\n"), "line 11", "connexions"),
        (format!("insecure = true\n{GOOD}"), "line 1", "insecure"),
        (format!("{GOOD}\n[endorsements]\nverify = false\n"), "line 11", "verify"),
        (GOOD.replace("slot = 2", "slot = \"two\""), "line 3", "invalid type"),
        (GOOD.replace("slot = 2", "slot = 300"), "line 3", "300"),
        ("data = [".to_owned(), "line 1", ""),
    ] {
        let error = refused(&text, Purpose::Join);
        assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(line) && message.contains(word), "{message}");
        assert!(message.contains("node.toml") && message.contains("ringwalld.example.toml"), "{message}");
    }
}

#[test]
fn fields_that_cannot_be_used_are_named() {
    let line = |from: &str, to: &str| GOOD.replace(from, to);
    for (text, field) in [
        (line("data = \"here\"", ""), "data"),
        (line("slot = 2", ""), "slot"),
        (line("slot = 2", "slot = 9"), "slot"),
        (line("listen = \"127.0.0.1:7402\"", ""), "listen"),
        (line("127.0.0.1:7402", "localhost"), "listen"),
        (line("127.0.0.1:7402", "0.0.0.0:7402"), "advertise"),
        (line("slot = 2", "slot = 2\nadvertise = \"nowhere\""), "advertise"),
        (line("slot = 2", "slot = 2\nadvertise_clients = \":1\""), "advertise_clients"),
        (format!("{GOOD}\n[peers]\naddresses = [\"a:b\"]"), "peers.addresses"),
        (line("card = \"cluster.card\"", ""), "cluster.card"),
        (line("card = \"cluster.card\"", "card = \"genesis.template\""), "cluster.card"),
        (format!("{GOOD}\n[limits]\nconnections = 3"), "limits.connections"),
        (format!("{GOOD}\n[limits]\nconnections_per_address = 100000"), "limits.connections_per_address"),
        (format!("{GOOD}\n[limits]\nhandshake_ms = 1"), "limits.handshake_ms"),
        (format!("{GOOD}\n[limits]\ndisk_reserve_mib = 18000000000000"), "limits.disk_reserve_mib"),
        (format!("{GOOD}\n[timing]\nheartbeat_ms = 1"), "timing.heartbeat_ms"),
        (format!("{GOOD}\n[timing]\nelection_min_ms = 60"), "timing.election_min_ms"),
        (format!("{GOOD}\n[timing]\nelection_max_ms = 100"), "timing.election_max_ms"),
        (format!("{GOOD}\n[endorsements]\nsource = \"nowhere\""), "endorsements.source"),
        (format!("{GOOD}\n[endorsements]\namd = \"http://mirror.example\""), "endorsements.amd"),
        (format!("{GOOD}\n[kbs]\nlisten = \"8443\"\nnames = [\"a\"]"), "kbs.listen"),
        (format!("{GOOD}\n[kbs]\nlisten = \"0.0.0.0:1\"\nnames = []"), "kbs.names"),
        (format!("{GOOD}\n[kbs]\nlisten = \"0.0.0.0:1\"\nnames = [\"a/b\"]"), "kbs.names"),
        (format!("{GOOD}\n[endorsements]\nrefresh_hours = 0"), "endorsements.refresh_hours"),
        (format!("{GOOD}\n[web]\ntransport = false"), "web.transport"),
        (format!("{GOOD}\n[web]\ntransport = false\nfolder = \"a\"\nsocket_listen = \"0.0.0.0:1\""), "web.folder"),
        (format!("{GOOD}\n[web]\nsocket_listen = \"7401\""), "web.socket_listen"),
        (format!("{GOOD}\n[web]\nsocket = \"ws://a/ringwall\""), "web.socket"),
        (format!("{GOOD}\n[web]\nsocket_listen = \"0.0.0.0:1\"\nsocket = \"https://a/ringwall\""), "web.socket"),
        (format!("{GOOD}\n[web]\nsocket_listen = \"0.0.0.0:1\"\nsocket = \"ws://a/other\""), "web.socket"),
        (format!("{GOOD}\n[web]\nsocket_listen = \"0.0.0.0:1\"\nsocket = \"ws://u@a/ringwall\""), "web.socket"),
    ] {
        assert_eq!(field_of(&text).0, field, "{text}");
    }
}

#[test]
fn a_card_that_contradicts_itself_and_a_foreign_policy_are_refused() {
    let (folder, flags) = folder(GOOD);
    let mut foreign = card();
    foreign.policy.min_svn ^= 1;
    std::fs::write(folder.path().join("cluster.card"), foreign.encode()).unwrap();
    std::fs::write(folder.path().join("cluster.policy"), PolicyDoc::encode(&foreign.policy)).unwrap();
    for (purpose, field) in [(Purpose::Join, "cluster.card"), (Purpose::Found, "cluster.policy")] {
        match load(&flags, purpose).unwrap_err() {
            ConfigError::Field { field: named, .. } => assert_eq!(named, field),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_file_that_is_far_too_large_is_not_read() {
    let (folder, flags) = folder(GOOD);
    let huge = std::fs::File::create(folder.path().join("cluster.card")).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert!(matches!(load(&flags, Purpose::Join).unwrap_err(), ConfigError::TooLarge { bytes, .. } if bytes == 1 << 40));
}

#[test]
fn an_order_of_the_governors_is_read_whole_or_named_and_nobody_founds_with_one() {
    let (place, flags) = folder(GOOD);
    assert_eq!(load(&flags, Purpose::Join).unwrap().replace_order, None);
    let order = ReplaceOrder::sample(&mut Source::new(4));
    let path = place.path().join("order");
    std::fs::write(&path, order.encode()).unwrap();
    let flags = Flags { replace_order: Some(path.clone()), ..flags };
    assert_eq!(load(&flags, Purpose::Join).unwrap().replace_order, Some(order.clone()));
    let founding = load(&flags, Purpose::Found).unwrap_err();
    assert!(matches!(founding, ConfigError::Field { field: "--replace-order", .. }), "{founding}");
    let mut longer = order.encode();
    longer.push(0);
    std::fs::write(&path, longer).unwrap();
    let fault = load(&flags, Purpose::Join).unwrap_err();
    assert!(matches!(fault, ConfigError::Field { field: "--replace-order", .. }), "{fault}");
    assert!(fault.to_string().contains("1 bytes left after the value"), "{fault}");
}
