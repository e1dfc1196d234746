//! A client: one verified session at a time, shared by everybody who clones the handle.
//!
//! Decides: nothing is sent before the node was verified; operations of many tasks are pipelined over one session; the handle is cheap
//! to clone and the session ends with the last clone. Trusts: the driver (`driver.rs`) for everything that happens in between.
//! Out of scope: what operations mean (`namespace.rs`). Protocol section 3.

use crate::Verification;
use crate::clock;
use crate::credential::Credential;
use crate::dial::NodeDialler;
use crate::driver::{Command, Driver};
use crate::entropy::Entropy;
use crate::error::{ConnectError, NamespaceError, ReadError, WatchError};
use crate::link::Dial;
use crate::namespace::NamespaceHandle;
use crate::options::{Options, Timeouts};
use crate::waiting::{Follower, Told, Waiter};
use ringwall_keys::UserKey;
use ringwall_session::asked::{Ask, Failure, Submission};
use ringwall_session::ops::{self, Entering, Owner, Space, entered, namespace_name, read_error};
use ringwall_wire::ids::{ClusterId, Revision, UserId};
use ringwall_wire::limits::SESSION_PARTS;
use ringwall_wire::request::{Answer, ClusterStatus, KeyMode, KeyName, Namespace, Op, Unlock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for the task; beyond this, askers wait.
const INBOX: usize = 1_024;

/// Time a closing word gets to leave this machine before a program may end.
pub(crate) const GOODBYE: Duration = Duration::from_millis(5);

/// What the task tells the handles.
#[derive(Debug)]
pub(crate) struct Shared {
    verification: Mutex<Option<Arc<Verification>>>,
    revision: AtomicU64,
}

impl Shared {
    fn new() -> Self {
        Shared { verification: Mutex::new(None), revision: AtomicU64::new(0) }
    }

    /// Notes why the node in use was believed.
    pub(crate) fn verified(&self, verification: Verification) {
        *self.verification.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(verification));
    }

    /// Notes the newest revision seen.
    pub(crate) fn revision(&self, revision: Revision) {
        self.revision.fetch_max(revision.0, Ordering::Relaxed);
    }
}

/// For whom a client works, and where.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// The user.
    pub(crate) user: UserId,
    /// The cluster.
    pub(crate) cluster_id: ClusterId,
    /// The user's own key, if the client was given it.
    pub(crate) user_key: Option<UserKey>,
    /// The device's credential: it signs for other devices.
    pub(crate) credential: Credential,
}

impl Principal {
    pub(crate) fn owner(&self) -> Owner<'_> {
        Owner { cluster_id: &self.cluster_id, user: &self.user, user_key: self.user_key.as_ref() }
    }
}

/// A client of one cluster, as one user. Clones share its session; the session ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    inbox: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    timeouts: Timeouts,
    principal: Principal,
}

impl Client {
    /// Finds a node of the pinned cluster, verifies it, authenticates the user, and keeps that session going: when the node is lost,
    /// another is verified and everything unanswered is asked there. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ConnectError::Evidence`] and its like when nodes were found and none of them could be believed, [`ConnectError::Unavailable`]
    /// when none answered before the deadline, [`ConnectError::NotAuthorized`] when the credential is not accepted.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let principal = Principal {
            user: options.user(),
            cluster_id: options.cluster_id,
            user_key: options.user_key.clone(),
            credential: options.credential.clone(),
        };
        let timeouts = options.timeouts;
        let addresses = options.addresses.clone();
        let dialler = NodeDialler::new(options)?;
        Client::over(dialler, addresses, timeouts, principal).await
    }

    /// The same over any dialler.
    pub(crate) async fn over<D: Dial>(
        dialler: D,
        addresses: Vec<String>,
        timeouts: Timeouts,
        principal: Principal,
    ) -> Result<Self, ConnectError> {
        let (inbox, commands) = mpsc::channel(INBOX);
        let shared = Arc::new(Shared::new());
        let mut driver = Driver::new(dialler, addresses, timeouts, commands, Arc::clone(&shared));
        driver.open().await?;
        tokio::spawn(driver.run());
        Ok(Client { inbox, shared, timeouts, principal })
    }

    /// Opens a namespace under the cluster's keys, making it when it does not exist.
    pub async fn namespace(&self, name: &str) -> Result<NamespaceHandle, NamespaceError> {
        self.open_with(name, KeyMode::Cluster).await
    }

    /// Opens a namespace in a key mode, making it when it does not exist. In [`KeyMode::Dual`] the nodes in use get the user's part of this
    /// namespace's keys for as long as a session lasts; in [`KeyMode::User`] names and values are sealed here and no node can read them.
    ///
    /// # Errors
    /// [`NamespaceError::OtherMode`] when it was made in another mode, which is for ever; [`NamespaceError::OtherUserKey`] when it was made under
    /// another key of this user; [`NamespaceError::NoUserKey`] when the client was given none ([`Options::user_key`]).
    pub async fn open_with(&self, name: &str, mode: KeyMode) -> Result<NamespaceHandle, NamespaceError> {
        self.enter(name, mode, true).await
    }

    /// The same, and fails with [`NamespaceError::NoNamespace`] when it does not exist.
    pub async fn find_with(&self, name: &str, mode: KeyMode) -> Result<NamespaceHandle, NamespaceError> {
        self.enter(name, mode, false).await
    }

    async fn enter(&self, name: &str, mode: KeyMode, make: bool) -> Result<NamespaceHandle, NamespaceError> {
        let Entering { open, unlock, space } = ops::enter(self.principal.owner(), name, mode, make, || Box::new(Entropy))?;
        entered(self.ask(Ask::Read(open)).await)?;
        if let Some(unlock) = unlock {
            self.unlock(unlock).await?;
        }
        Ok(NamespaceHandle::new(self.clone(), space))
    }

    /// Gives the node in use the user's part of a namespace's keys, and every later one as soon as it is verified.
    async fn unlock(&self, unlock: Unlock) -> Result<(), NamespaceError> {
        let (taken, answer) = oneshot::channel();
        let closed = |()| NamespaceError::Session(ConnectError::Closed);
        self.inbox.send(Command::Keep { unlock: unlock.clone(), taken }).await.map_err(|_| closed(()))?;
        if !answer.await.map_err(|_| closed(()))? {
            return Err(NamespaceError::TooManyUnlocked { most: SESSION_PARTS });
        }
        entered(self.ask(Ask::Read(Op::Unlock(unlock))).await)
    }

    /// The same client with another key of its user, over the same session: for [`crate::rekey::rekey`].
    pub fn with_user_key(&self, key: UserKey) -> Client {
        let principal = Principal { user_key: Some(key), ..self.principal.clone() };
        Client { principal, ..self.clone() }
    }

    /// Destroys the keys of all namespaces of this user, and with them what they hold: at once for everybody who asks, and within the cluster's
    /// `custody.erase_s` for whoever holds old disks. It cannot be undone. Asked again after a failure it goes on.
    pub async fn erase_everything(&self) -> Result<(), ReadError> {
        self.erase(None).await
    }

    pub(crate) async fn erase(&self, namespace: Option<ringwall_wire::request::Namespace>) -> Result<(), ReadError> {
        match self.ask(Ask::Read(Op::Erase(namespace))).await {
            Ok(Answer::Done) => Ok(()),
            other => Err(read_error(other)),
        }
    }

    /// A namespace in cluster mode that is expected to exist: asks nobody. Operations on it fail with `NoNamespace` when it does not, and are
    /// refused when it is in another mode. Nothing here is sealed by the user's key, whether or not the client has one: for the other modes [`Client::find_with`].
    pub fn existing_namespace(&self, name: &str) -> Result<NamespaceHandle, NamespaceError> {
        Ok(NamespaceHandle::new(self.clone(), Space::new(namespace_name(name)?, None)))
    }

    /// How the cluster is, as the member in use sees it.
    pub async fn status(&self) -> Result<ClusterStatus, ReadError> {
        ops::status(self.ask(Ask::Read(Op::Status)).await)
    }

    /// Why the node in use (or used last) was believed.
    ///
    /// # Panics
    /// Never: a client exists only after a node was verified.
    pub fn verification(&self) -> Arc<Verification> {
        let held = self.shared.verification.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(held.as_ref().expect("a client exists only after a node was verified"))
    }

    /// Newest revision that any answer showed.
    pub fn revision(&self) -> Revision {
        Revision(self.shared.revision.load(Ordering::Relaxed))
    }

    /// The user.
    pub fn user(&self) -> UserId {
        self.principal.user
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Ends the session for all clones. Operations under way end with [`ConnectError::Closed`], sent writes with an unknown outcome.
    pub async fn close(self) {
        // Fails only when the task has ended already.
        let _ = self.inbox.send(Command::Close).await;
        self.inbox.closed().await;
        tokio::time::sleep(GOODBYE).await;
    }

    /// Asks and waits. The task answers every submission before its deadline; only a full inbox has to be bounded here.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let (answer, answered) = oneshot::channel();
        let deadline = clock::now() + self.timeouts.deadline;
        let command = Command::Ask(Submission { ask, deadline_ms: clock::ms(deadline), asker: Waiter(answer) });
        match self.inbox.try_send(command) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Failure::Session(ConnectError::Closed)),
            Err(mpsc::error::TrySendError::Full(command)) => match tokio::time::timeout_at(deadline, self.inbox.send(command)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Failure::Session(ConnectError::Closed)),
                Err(_) => {
                    let waited_ms = clock::millis(self.timeouts.deadline);
                    return Err(Failure::Session(ConnectError::Unavailable { waited_ms, tried: Vec::new() }));
                }
            },
        }
        answered.await.unwrap_or(Err(Failure::Session(ConnectError::Closed)))
    }

    /// Starts following a prefix.
    pub(crate) async fn follow(&self, namespace: Namespace, prefix: KeyName, after: Revision) -> Result<Told, WatchError> {
        let (reader, told) = Follower::new();
        let (taken, answer) = oneshot::channel();
        let closed = |_| WatchError::Session(ConnectError::Closed);
        self.inbox.send(Command::Watch { namespace, prefix, after, reader, taken }).await.map_err(|_| closed(()))?;
        answer.await.map_err(|_| closed(()))??;
        Ok(told)
    }
}
