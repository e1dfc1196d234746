//! Whoever keeps secrets of a cluster beside its plain users: custodians, a user with devices and a phrase, governors and guests, who takes backups.
//!
//! Decides: what their secrets are, and that each was really used: shares are combined to a key that opens the cluster's keys, the phrase restores, the granted
//! key is one key over both protocols. Everything passes the taps. Trusts: the shipped command line, the suite's custodians and guests.
//! Out of scope: looking for any of it.

use super::door::Door;
use super::plant::random;
use super::tapes::Recording;
use crate::workload::broker::{Guest, TeeKey, write_endorsements};
use crate::workload::{INTEL, NAME, policy};
use ringwall_client::policy::GovernorKey;
use ringwall_client::workload::{WorkloadSession, anywhere, request_workload_key};
use ringwall_client::{Credential, Options, Phrase, UserKey, read_user_key};
use ringwall_keys::Keyring;
use ringwall_keys::custody::split::interpolate;
use ringwall_keys::custody::{GoodShare, combine};
use ringwall_keys::derive::{Purpose, expand};
use ringwall_node::custody::blob_file;
use ringwall_sim::canary::Canaries;
use ringwall_sim::cluster::{LocalCluster, LocalOptions};
use ringwall_sim::guest::guest;
use ringwall_tests::custodian::{Holder, Talk};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_tests::visibility::{BROKER, CREDENTIAL, KEY_NAME, NAMESPACE, RECOVERY, SHARE, TOKEN, USER, USER_KEY, VALUE, WORKLOAD};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp};
use ringwall_wire::custody::CustodyManifest;
use ringwall_wire::drill::{DrillOffer, DrillOp, DrillOutcome};
use ringwall_wire::ids::{ClusterId, Digest, UserId};
use ringwall_wire::policy::Governance;
use ringwall_wire::recovery::{RecoveryOffer, ShareSubmission};
use ringwall_wire::text::hex;
use ringwall_wire::workload::{GrantOrder, WorkloadPurpose};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The slot whose node offers the key broker protocol.
pub(crate) const BROKERED: u8 = 1;
/// Nonces among what nodes drew that are public: of the proof of a share, and of the drill.
pub(crate) const NONCES: usize = 2;
/// A phrase of somebody else.
const OTHER: &str = "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave \
                     sausage worth title";

/// Their files and keys.
pub(crate) struct Offices {
    folder: PathBuf,
    holders: Vec<Holder>,
    governors: Vec<GovernorKey>,
    ops: UserId,
}

/// What they keep.
#[derive(Default)]
pub(crate) struct Kept {
    /// Kinds and secrets.
    secrets: Vec<(&'static str, Vec<u8>)>,
    /// What was said to those who got something wrong.
    pub(crate) errors: String,
    /// The cluster's keys of now, as its shares open them.
    ring: Option<Keyring>,
    /// What the key that answers to the drill are sealed to belongs to.
    offer: Option<RecoveryOffer>,
    /// The file.
    pub(crate) backup: PathBuf,
}

impl Kept {
    fn add(&mut self, kind: &'static str, secret: &[u8]) {
        self.secrets.push((kind, secret.to_vec()));
    }

    /// Shares of one dealing, the key they give, and what it opens blobs with.
    fn dealt(&mut self, manifest: &CustodyManifest, shares: &[GoodShare]) {
        for share in shares {
            self.add(SHARE, share.share().y.expose());
            self.add(SHARE, share.share().r.expose());
        }
        assert!(combine(manifest, shares).is_ok(), "they are shares of that key");
        let points: Vec<_> = shares.iter().map(|good| (good.share().x, &good.share().y)).collect();
        let key = interpolate(&points).unwrap();
        let place: [&[u8]; 2] = [&manifest.cluster_id.0, &manifest.custody_epoch.0.to_be_bytes()];
        assert_eq!(*expand::<16>(&key, Purpose::CustodyKcv, &place).expose(), manifest.kcv, "the key itself is searched for");
        self.add(RECOVERY, expand::<32>(&key, Purpose::RecoverySeed, &place).expose());
        self.add(RECOVERY, key.expose());
    }

    /// Adds all of it, with the key of the drill's session as the tapes have it. Gives the cluster's keys of now.
    pub(crate) fn add_to(&self, canaries: &mut Canaries, tapes: &[Recording]) -> &Keyring {
        self.secrets.iter().for_each(|(kind, secret)| canaries.add(kind, secret));
        let kem = &self.offer.as_ref().expect("a drill was offered").kem;
        let session = tapes.iter().find_map(|tape| tape.session_key(kem)).expect("the key of the drill's session is on a tape");
        canaries.add(RECOVERY, &session);
        let ring = self.ring.as_ref().expect("shares opened the cluster's keys");
        let mut broker = *ring.broker_key(0).expose();
        canaries.add(BROKER, &broker);
        // As numbers are kept in memory.
        broker.reverse();
        canaries.add_raw(BROKER, &broker);
        ring
    }
}

impl Offices {
    /// Their keys and an empty desk.
    pub(crate) fn found(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        write_endorsements(&folder.join("endorsements"), &guest(INTEL).unwrap());
        let governors = (1..=3).map(|number| GovernorKey::create(&folder.join(format!("governor-{number}"))).unwrap()).collect();
        let ops = Credential::create(&folder.join("ops")).unwrap().user();
        Offices { folder: folder.to_owned(), holders: (1..=3).map(Holder::numbered).collect(), governors, ops }
    }

    /// What the cluster is founded with.
    pub(crate) fn options(&self) -> LocalOptions {
        let keys = self.governors.iter().map(GovernorKey::public).collect();
        LocalOptions {
            custodians: (self.holders.iter().map(Holder::public).collect(), 2),
            rotate_s: Some((1_000_000, 1_000_000)),
            governance: Some(Governance { keys: List::new(keys).unwrap(), threshold: 2, timelock_s: 0, lease_s: 0 }),
            kbs: Some(self.folder.join("endorsements")),
            kbs_slots: vec![BROKERED],
            backup_users: vec![self.ops.to_string()],
            ..LocalOptions::default()
        }
    }

    /// Bytes by which whoever reads a disk tells that this custodian holds a share.
    pub(crate) fn custodian(&self) -> [u8; 32] {
        self.holders[0].public().sig.0
    }

    /// Everybody does what they are there for, once; guests come through `door`.
    pub(crate) async fn work(&self, cluster: &LocalCluster, door: &Door) -> Kept {
        let mut kept = Kept::default();
        self.deal(cluster, &mut kept).await;
        self.rehearse(cluster, &mut kept).await;
        self.devices(cluster, &mut kept);
        self.grant(cluster, door, &mut kept).await;
        kept
    }

    /// The backup is taken by the program its user would run. To be called when there is something in it.
    pub(crate) fn back_up(&self, cluster: &LocalCluster, kept: &mut Kept) {
        self.done(cluster, ("ops", 2), "backup take backup --timeout 120", "");
        kept.backup = self.folder.join("backup");
    }

    async fn dial(&self, cluster: &LocalCluster, number: usize, slot: usize) -> Talk {
        let address = cluster.addresses()[slot - 1].parse().unwrap();
        let opened = self.holders[number - 1].dial(id(cluster), address).await;
        opened.unwrap_or_else(|refusal| panic!("a custodian is refused: {refusal:?}\n{}", local::logs(cluster)))
    }

    /// Shares are taken and made active, and one is proved.
    async fn deal(&self, cluster: &LocalCluster, kept: &mut Kept) {
        let until = Instant::now() + PATIENCE;
        let pause = async |what: &str| {
            assert!(Instant::now() < until, "{what}\n{}", local::logs(cluster));
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        while self.dial(cluster, 1, 1).await.status().await.is_none_or(|status| status.waiting.0 == 0) {
            pause("nothing is dealt").await;
        }
        let mut shares = Vec::new();
        for number in 1..=3 {
            let mut talk = self.dial(cluster, number, number).await;
            let dealt = talk.pull().await.expect("a dealing waits");
            shares.push(self.holders[number - 1].open(&id(cluster), &dealt).unwrap_or_else(|fault| panic!("{fault}")));
            let answer = talk.acknowledge(Digest(dealt.manifest.manifest.digest())).await;
            assert!(matches!(answer, CustodianAnswer::Noted(_)), "{answer:?}\n{}", local::logs(cluster));
        }
        while self.dial(cluster, 1, 1).await.status().await.is_none_or(|status| status.active.0 == 0) {
            pause("nothing is active").await;
        }
        let file = loop {
            match blob_file::read(&cluster.data_folder(BROKERED)).unwrap() {
                Some(file) => break file,
                None => pause("no recovery file").await,
            }
        };
        let manifest = &file.manifest.manifest;
        kept.dealt(manifest, &shares);
        // What whoever has two shares and one disk has.
        kept.ring = Some(combine(manifest, &shares[..2]).unwrap().open(manifest, &file.recovery).unwrap());
        let proved = self.dial(cluster, 3, 2).await.prove(&shares[2], |_| {}).await;
        assert!(matches!(proved, CustodianAnswer::Noted(_)), "{proved:?}");
        let again = self.dial(cluster, 3, 3).await.prove(&shares[2], |_| {}).await;
        kept.errors += &format!("{again:?}\n");
    }

    async fn drill(&self, cluster: &LocalCluster, number: usize, op: DrillOp) -> CustodianAnswer {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.dial(cluster, number, number).await.ask(CustodianOp::Drill(op.clone())).await {
                // Busy, or without a leader for a moment.
                CustodianAnswer::Refused(refusal) => assert!(Instant::now() < until, "{refusal:?}\n{}", local::logs(cluster)),
                answer => return answer,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Two custodians answer a drill.
    async fn rehearse(&self, cluster: &LocalCluster, kept: &mut Kept) {
        let drill = match self.drill(cluster, 1, DrillOp::Begin).await {
            CustodianAnswer::DrillOffer(drill) => *drill,
            other => panic!("no drill: {other:?}\n{}", local::logs(cluster)),
        };
        let mut shares = Vec::new();
        for number in [1, 2] {
            let (share, sent) = self.answer(cluster, number, &drill).await;
            shares.push(share);
            let _taken = self.drill(cluster, number, DrillOp::Submit(Box::new(sent))).await;
        }
        let until = Instant::now() + PATIENCE;
        let receipt = loop {
            if let CustodianAnswer::Drills(Some(row)) = self.drill(cluster, 3, DrillOp::Last).await
                && let Some(paper) = row.last
            {
                break paper.receipt;
            }
            assert!(Instant::now() < until, "no receipt of the drill\n{}", local::logs(cluster));
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(matches!(receipt.outcome, DrillOutcome::Passed(_)), "{receipt:?}\n{}", local::logs(cluster));
        kept.dealt(&drill.shadow, &shares);
        kept.offer = Some(drill.signed.offer);
    }

    async fn answer(&self, cluster: &LocalCluster, number: usize, drill: &DrillOffer) -> (GoodShare, ShareSubmission) {
        let holder = &self.holders[number - 1];
        let share = holder.open_shadow(&id(cluster), drill).unwrap_or_else(|fault| panic!("{fault}"));
        let anchor = self.dial(cluster, number, number).await.anchor();
        let sent = holder.submission(&drill.signed, &share, anchor);
        (share, sent)
    }

    /// A user stores something in each mode, makes a phrase and comes back on another device; somebody tries another phrase.
    fn devices(&self, cluster: &LocalCluster, kept: &mut Kept) {
        let made = self.done(cluster, ("laptop", 1), "user init --name laptop", "");
        let user: UserId = made["user"].as_str().unwrap().parse().unwrap();
        let spaces = ["cluster", "dual", "user"].map(|mode| (mode, hex(&random::<16>()), hex(&random::<16>()), hex(&random::<24>())));
        for (mode, space, name, value) in &spaces {
            self.done(cluster, ("laptop", 1), &format!("put {space} {name} --mode {mode}"), value);
            for slot in 1..=3 {
                let got = self.done(cluster, ("laptop", slot), &format!("get {space} {name} --mode {mode}"), "");
                assert_eq!(got["value"], value.as_str(), "{mode} at node {slot}");
            }
            [(NAMESPACE, space), (KEY_NAME, name), (VALUE, value)].into_iter().for_each(|(kind, text)| kept.add(kind, text.as_bytes()));
        }
        let made = self.done(cluster, ("laptop", 2), "recovery create --escrow escrow --cool-down 0", "");
        let phrase = made["phrase"].as_str().unwrap().to_owned();
        let tried = self.typed(cluster, ("thief", 3), &format!("restore --user {user}"), OTHER);
        assert!(!tried.status.success(), "another phrase restores nobody");
        kept.errors += &String::from_utf8(tried.stderr).unwrap();
        self.done(cluster, ("phone", 3), "restore --escrow escrow", &phrase);
        let (mode, space, name, value) = &spaces[2];
        let got = self.done(cluster, ("phone", 2), &format!("get {space} {name} --mode {mode}"), "");
        assert_eq!(got["value"], value.as_str(), "the phrase gave the user's key back");

        kept.add(USER, &user.0);
        for device in ["laptop", "phone"] {
            kept.add(CREDENTIAL, &seed(&self.folder.join(device)));
        }
        let key: UserKey = read_user_key(&self.folder.join("laptop.userkey")).unwrap();
        kept.add(USER_KEY, key.seed().expose());
        kept.add(USER_KEY, key.part(&id(cluster), &user, &spaces[1].1).expose());
        kept.add(USER_KEY, phrase.as_bytes());
        kept.add(USER_KEY, Phrase::parse(&phrase).unwrap().signature_seed().expose());
    }

    /// A workload key is made, and granted over both protocols.
    async fn grant(&self, cluster: &LocalCluster, door: &Door, kept: &mut Kept) {
        let policy = policy(NAME, 1, 1_000);
        let mut order = GrantOrder {
            cluster_id: id(cluster),
            replaces: None,
            policy: Blob::new(policy.encode()).unwrap(),
            signatures: List::default(),
        };
        for governor in &self.governors[..2] {
            order.signatures.push(governor.grant(&order)).unwrap();
        }
        let at = |slot: u8| Options { addresses: vec![cluster.addresses()[usize::from(slot) - 1].clone()], ..local::options(cluster) };
        let (two, brokered) = (at(2), at(BROKERED));
        let brought = anywhere(&two, WorkloadPurpose::Governor, async |session: &mut WorkloadSession| session.order(&order).await);
        assert_eq!(brought.await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(cluster))), 1);
        let asked = anywhere(&brokered, WorkloadPurpose::Governor, async |session: &mut WorkloadSession| session.certificate().await);
        let certificate = asked.await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(cluster)));

        let mut asking = Guest::new(door.address, &certificate, guest(INTEL).unwrap(), TeeKey::ec(1));
        let refused = asking.resource(NAME).await;
        assert_eq!(refused.status, 401, "nobody gets anything before the evidence");
        kept.errors += &String::from_utf8(refused.body).unwrap();
        let token = asking.handshake().await;
        let answer = asking.resource(NAME).await;
        assert_eq!(answer.status, 200, "{answer:?}\n{}", local::logs(cluster));
        let key = asking.key.open(&answer.json());
        kept.add(TOKEN, token.as_bytes());
        kept.add(TOKEN, asking.cookie.as_ref().expect("a session has a cookie").as_bytes());
        for slot in 1..=3 {
            let granted = request_workload_key(&at(slot), Arc::new(guest(INTEL).unwrap()), NAME, None).await;
            let granted = granted.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(cluster)));
            assert_eq!(granted.key.expose().to_vec(), key, "node {slot}");
        }
        kept.add(WORKLOAD, &key);
    }

    /// Types `ringwall LINE` on a device, which speaks with the node of one slot.
    fn typed(&self, cluster: &LocalCluster, (device, slot): (&str, usize), line: &str, input: &str) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim-ringwall"));
        command.current_dir(&self.folder).env("RINGWALL_CARD", cluster.card_path()).env("RINGWALL_CREDENTIAL", device);
        command.args(line.split_whitespace()).args(["--address", &cluster.addresses()[slot - 1], "--json"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn done(&self, cluster: &LocalCluster, device: (&str, usize), line: &str, input: &str) -> serde_json::Value {
        let ended = self.typed(cluster, device, line, input);
        let (out, err) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
        assert!(ended.status.success(), "{device:?}: {line}: {out}{err}\n{}", local::logs(cluster));
        serde_json::from_str(out.lines().last().unwrap_or("null")).unwrap_or_else(|fault| panic!("{line}: {fault}: {out}{err}"))
    }
}

fn id(cluster: &LocalCluster) -> ClusterId {
    cluster.card().genesis.cluster_id()
}

/// The seed in a credential file.
fn seed(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().rfind(|line| line.len() == 64).expect("a credential file has its seed in hex");
    ringwall_wire::text::read_hex_vec(line).unwrap()
}
