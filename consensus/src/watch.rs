//! A value that many may look at and wait for: the last one counts, and who waits is woken in the order in which it began to wait.
//!
//! Decides: order. tokio's own channel of this kind spreads who waits over eight lists by lot, so that wake-ups come in another order each
//! time; a replica whose every step follows from a seed cannot have that. The interface is tokio's as far as it is used, and openraft's.
//! Trusts: nothing. Out of scope: queues of values. Protocol section 4.

use openraft_rt::watch;
use openraft_rt::{OptionalSend, OptionalSync};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// The sender is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody can change the value any more")]
pub struct Gone;

struct Shared<T> {
    value: RwLock<(T, u64)>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    changed: Notify,
}

/// Changes the value.
pub struct Sender<T>(Arc<Shared<T>>);

/// Looks at the value and waits for the next.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// The value, held still while it is looked at: drop it soon, and not across an await.
pub struct Ref<'a, T>(RwLockReadGuard<'a, (T, u64)>);

impl<T> std::ops::Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T> Shared<T> {
    fn look(&self) -> Ref<'_, T> {
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        let modified = modify(&mut value.0);
        if modified {
            value.1 = value.1.wrapping_add(1);
        }
        drop(value);
        if modified {
            self.changed.notify_waiters();
        }
        modified
    }

    fn receiver(self: &Arc<Self>) -> Receiver<T> {
        self.receivers.fetch_add(1, Ordering::AcqRel);
        Receiver { shared: Arc::clone(self), seen: self.look().0.1 }
    }
}

impl<T> Sender<T> {
    /// With a first value.
    pub fn new(value: T) -> Self {
        let value = RwLock::new((value, 0));
        Sender(Arc::new(Shared { value, senders: AtomicUsize::new(1), receivers: AtomicUsize::new(0), changed: Notify::new() }))
    }

    /// Sets the value, whether anybody looks or not; gives the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.0.change(|held| {
            std::mem::swap(held, &mut value);
            true
        });
        value
    }

    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.look()
    }

    /// Someone who has seen the value as it is.
    pub fn subscribe(&self) -> Receiver<T> {
        self.0.receiver()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::AcqRel);
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}

impl<T> Receiver<T> {
    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.look()
    }

    /// The value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.look();
        self.seen = value.0.1;
        value
    }

    /// Waits for a value that was not seen, which then counts as seen.
    pub async fn changed(&mut self) -> Result<(), Gone> {
        loop {
            // Made before the look: whoever changes the value after it wakes this.
            let changed = self.shared.changed.notified();
            let now = self.shared.look().0.1;
            if now != self.seen {
                self.seen = now;
                return Ok(());
            }
            if self.shared.senders.load(Ordering::Acquire) == 0 {
                return Err(Gone);
            }
            changed.await;
        }
    }

    /// Waits until the value is as wanted.
    pub async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<(), Gone> {
        loop {
            if wanted(&self.borrow_and_update()) {
                return Ok(());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::AcqRel);
        Receiver { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// openraft's name for it.
#[derive(Debug)]
pub(crate) struct Channel;

impl watch::Watch for Channel {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let sender = Sender::new(init);
        let receiver = sender.subscribe();
        (sender, receiver)
    }
}

impl<T: OptionalSend + OptionalSync> watch::WatchSender<Channel, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), watch::SendError<T>> {
        if self.0.receivers.load(Ordering::Acquire) == 0 {
            return Err(watch::SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.0.change(modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.0.look()
    }

    fn subscribe(&self) -> Receiver<T> {
        self.0.receiver()
    }
}

impl<T: OptionalSend + OptionalSync> watch::WatchReceiver<Channel, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), watch::RecvError> {
        Receiver::changed(self).await.map_err(|Gone| watch::RecvError(()))
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        Receiver::borrow_and_update(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Mutex;

    #[tokio::test]
    async fn who_waits_is_woken_in_order_by_the_last_value() {
        let sender = Sender::new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in 0..50 {
            let (mut receiver, woken) = (sender.subscribe(), Arc::clone(&woken));
            tasks.push(tokio::spawn(async move {
                receiver.wait_for(|value| *value == 2).await.unwrap();
                woken.lock().unwrap().push(number);
            }));
        }
        tokio::task::yield_now().await;
        sender.send_replace(1);
        sender.send_replace(2);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*woken.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_value_is_seen_once_and_the_end_is_told() {
        let sender = Sender::new(0);
        let mut receiver = sender.subscribe();
        sender.send_replace(1);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), 1);
        let waiting = tokio::spawn(async move { receiver.changed().await });
        tokio::task::yield_now().await;
        drop(sender);
        assert_eq!(waiting.await.unwrap(), Err(Gone));
    }

    #[tokio::test]
    async fn a_change_between_look_and_wait_is_not_lost() {
        let sender = Sender::new(0_u32);
        let mut receiver = sender.subscribe();
        for value in 1..200 {
            let (sender, held) = (sender.clone(), tokio::spawn(std::future::ready(())));
            let sending = tokio::spawn(async move { sender.send_replace(value) });
            receiver.wait_for(|seen| *seen == value).await.unwrap();
            sending.await.unwrap();
            held.await.unwrap();
        }
    }
}
