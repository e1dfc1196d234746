//! Users who store secrets, use them in every way a client offers, and remember what they planted.
//!
//! Decides: what a secret is: 32 random bytes as a value (inside others) or as a key's name, 32 hex digits as a namespace's name, a credential and
//! the user it names. Trusts: the client library. Out of scope: looking for them.

use futures_util::future::join_all;
use ringwall_client::{Client, Credential, Expect, NamespaceHandle, Options, Revision};
use ringwall_sim::canary::Canaries;
use ringwall_sim::cluster::LocalCluster;
use ringwall_tests::local;
use ringwall_tests::visibility::{CREDENTIAL, KEY_NAME, NAMESPACE, USER, VALUE};
use ringwall_wire::ids::UserId;
use ringwall_wire::secret::Secret;

/// Users.
pub(crate) const USERS: usize = 10;
/// Namespaces of each.
const SPACES: usize = 2;
/// Records of each namespace; each is two secrets.
pub(crate) const RECORDS: usize = 250;
/// Records of one batch.
const BATCH: usize = 40;
/// Writes of one namespace under way at once.
const AT_ONCE: usize = 10;

/// One user, as planted.
pub(crate) struct Planted {
    pub(crate) user: UserId,
    pub(crate) namespaces: Vec<String>,
    /// Kinds and secrets.
    secrets: Vec<(&'static str, Vec<u8>)>,
    /// What nodes and clients said when something went wrong.
    pub(crate) errors: String,
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// All users at once.
pub(crate) async fn plant(cluster: &LocalCluster) -> Vec<Planted> {
    join_all((0..USERS).map(|number| user(cluster, number))).await
}

/// What to look for.
pub(crate) fn canaries(planted: &[Planted]) -> Canaries {
    let mut canaries = Canaries::default();
    for (kind, secret) in planted.iter().flat_map(|user| &user.secrets) {
        canaries.add(kind, secret);
    }
    canaries
}

async fn user(cluster: &LocalCluster, number: usize) -> Planted {
    let seed = random::<32>();
    let credential = Credential::from_seed(Secret::new(seed));
    let user = credential.user();
    let secrets = vec![(CREDENTIAL, seed.to_vec()), (USER, user.0.to_vec())];
    let mut planted = Planted { user, namespaces: Vec::new(), secrets, errors: String::new() };
    let mut options: Options = local::options(cluster);
    options.credential = credential;
    let addresses = cluster.addresses();
    options.addresses = vec![addresses[number % addresses.len()].clone()];
    let client = Client::connect(options).await.unwrap();
    for _ in 0..SPACES {
        let name = ringwall_wire::text::hex(&random::<16>());
        let space = client.namespace(&name).await.unwrap();
        planted.secrets.push((NAMESPACE, name.clone().into_bytes()));
        planted.namespaces.push(name);
        use_space(&space, &mut planted).await;
    }
    client.close().await;
    planted
}

/// Writes in batches and one by one, reads, lists, watches, deletes, and errs.
async fn use_space(space: &NamespaceHandle, planted: &mut Planted) {
    let records: Vec<([u8; 32], Vec<u8>)> = (0..RECORDS).map(|number| record(number, planted)).collect();
    let (batched, single) = records.split_at(RECORDS / 5 * 4);
    for chunk in batched.chunks(BATCH) {
        let batch = chunk.iter().fold(space.batch(), |batch, (name, value)| batch.put(name, value.clone()).unwrap());
        batch.commit().await.unwrap();
    }
    for chunk in single.chunks(AT_ONCE) {
        let puts = join_all(chunk.iter().map(|(name, value)| space.put(name, value.clone()))).await;
        assert!(puts.iter().all(Result::is_ok), "{puts:?}");
    }
    for (name, value) in records.iter().step_by(10) {
        assert_eq!(space.get(name).await.unwrap().unwrap().value, *value);
    }
    let listed = space.list("").with_values().all().await.unwrap();
    assert_eq!(listed.len(), RECORDS);
    let (name, value) = &records[0];
    let mut watch = space.watch(name, space.client().revision()).await.unwrap();
    let again = space.put(name, value.clone()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, again);
    err(space, name, value, planted).await;
    for chunk in records.chunks(5).map(|chunk| &chunk[0].0).collect::<Vec<_>>().chunks(AT_ONCE) {
        let gone = join_all(chunk.iter().map(|name| space.delete(name))).await;
        assert!(gone.iter().all(Result::is_ok), "{gone:?}");
    }
}

/// A secret name, and a value of any length with a secret in it.
fn record(number: usize, planted: &mut Planted) -> ([u8; 32], Vec<u8>) {
    let (name, secret) = (random::<32>(), random::<32>());
    planted.secrets.extend([(KEY_NAME, name.to_vec()), (VALUE, secret.to_vec())]);
    let around = number * 7 % 90;
    (name, [&vec![b'.'; around][..], &secret, &vec![b'.'; around / 2]].concat())
}

/// Everything a user can get wrong, with secrets in the request; what comes back is kept.
async fn err(space: &NamespaceHandle, name: &[u8; 32], value: &[u8], planted: &mut Planted) {
    let lost = space.compare_and_set(name, Revision(1), value.to_vec()).await.unwrap_err();
    let absent = space.delete_with(random::<32>(), Expect::Present).await.unwrap_err();
    let huge = space.put(name, value.repeat((2 << 20) / value.len())).await.unwrap_err();
    let unknown = space.client().existing_namespace(&ringwall_wire::text::hex(name)).unwrap().get(name).await.unwrap_err();
    let illegal = space.batch().put(name, value.to_vec()).unwrap().require(name, Expect::Absent);
    let twice = match illegal {
        Ok(batch) => batch.commit().await.unwrap_err(),
        Err(error) => error,
    };
    planted.errors += &format!("{lost} {lost:?}\n{absent} {absent:?}\n{huge} {huge:?}\n{unknown} {unknown:?}\n{twice} {twice:?}\n");
}
