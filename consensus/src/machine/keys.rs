//! What commands about keys do to namespaces: wrapping anew, retiring, erasing.
//!
//! Decides: a data key is wrapped anew only where it still is wrapped as the proposer saw it, and only under the newest generation; a generation
//! ends when nothing is wrapped under it, no namespace, no workload key and no dealing; an erased namespace has no data key from that entry on, its records go in
//! bounded steps, and its name is not used again, so that nobody who still has the old key in memory seals anything with it.
//! Trusts: nothing in an entry. Out of scope: which generations there are (`generations`), shares (`custody`). Protocol section 7.5.

use crate::machine::custody;
use crate::machine::generations::Generations;
use crate::machine::replicated::ReplicatedState;
use crate::machine::rows::{self, SpaceValue};
use crate::machine::workloads;
use bytes::Bytes;
use ringwall_wire::command::{Denial, Outcome};
use ringwall_wire::ids::{KeyEpoch, KeyTag, SpaceTag};
use ringwall_wire::rotation::{KeyCommand, KeyRotate, RewrappedSpace, RotationFault};
use std::io;
use std::sync::Arc;

impl ReplicatedState {
    pub(super) fn generations(&mut self) -> &mut Generations {
        Arc::make_mut(&mut self.generations)
    }

    /// A step of a rotation.
    pub(super) fn keys(&mut self, command: KeyCommand) -> io::Result<Outcome> {
        let done = match command {
            KeyCommand::Rotate(rotate) => self.rotate(*rotate),
            KeyCommand::Rewrap(rewrap) => match rewrap.to == self.generations.newest() {
                true => {
                    for space in rewrap.spaces.into_vec() {
                        self.rewrap(space)?;
                    }
                    Ok(())
                }
                false => Err(RotationFault::NotNewest),
            },
            KeyCommand::Retire(key_epoch) => match self.custody.wraps_under(key_epoch) || workloads::wraps_under(&self.store, key_epoch)? {
                true => Err(RotationFault::InUse),
                false => self.generations().retire(key_epoch),
            },
            KeyCommand::RewrapDealt(dealt) => {
                let newest = self.generations.newest();
                self.custody_mut().rewrapped(&dealt.manifest, dealt.keys, newest)
            }
            KeyCommand::RewrapWorkloads(keys) => {
                let newest = self.generations.newest();
                keys.into_vec().into_iter().try_for_each(|moved| workloads::rewrap(&self.store, moved, newest))?;
                Ok(())
            }
        };
        Ok(match done {
            Ok(()) => Outcome::Done,
            Err(fault) => Outcome::Denied(Denial::Keys(fault)),
        })
    }

    /// A rotation on its own: the active dealing, if there is one, comes with it.
    fn rotate(&mut self, rotate: KeyRotate) -> Result<(), RotationFault> {
        let active = self.custody.active.clone();
        self.may_rotate(&rotate, active.as_deref())?;
        let KeyRotate { generation, custody: rotated, .. } = rotate;
        let now_ms = self.time_ms;
        self.generations().rotate(generation, now_ms)?;
        if let Some(rotated) = rotated {
            self.custody_mut().carried(rotated);
        }
        Ok(())
    }

    /// Whether a rotation may be applied that leaves `active` the active dealing: nothing alive is missing from what its custodians recover.
    pub(super) fn may_rotate(&self, rotate: &KeyRotate, active: Option<&custody::Held>) -> Result<(), RotationFault> {
        self.generations.may_follow(&rotate.generation)?;
        if !self.voters().iter().any(|voter| voter.incarnation == rotate.by) {
            return Err(RotationFault::NotVoter);
        }
        let fits = match (active, &rotate.custody) {
            (None, None) => true,
            (Some(active), Some(rotated)) => {
                let newest = rotate.generation.key_epoch;
                let blob = &rotated.recovery;
                blob.manifest == active.hash
                    && blob.newest_key == newest
                    && Some(blob.epoch) == self.roster.epoch
                    && active.wants(&rotated.keys, newest)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        fits.then_some(()).ok_or(RotationFault::NotCustody)
    }

    /// What is not as the proposer saw it stays.
    fn rewrap(&mut self, rewrapped: RewrappedSpace) -> io::Result<()> {
        let RewrappedSpace { space, from, dek } = rewrapped;
        let newest = self.generations.newest();
        let Some(found) = self.space(&space)? else { return Ok(()) };
        if found.dek.key_epoch != from || dek.key_epoch != newest || from >= newest {
            return Ok(());
        }
        self.put_space(&space, &SpaceValue { dek, ..found });
        self.generations().unwrapped(from);
        self.generations().wrapped(newest);
        Ok(())
    }

    /// Whether a new namespace may be wrapped so.
    pub(super) fn may_open(&self, space: &SpaceTag, key_epoch: KeyEpoch) -> io::Result<Result<(), RotationFault>> {
        if self.store.read(&rows::erased_key(space), |row| row.is_some())? {
            return Ok(Err(RotationFault::Erased));
        }
        Ok(self.generations.is_live(key_epoch).then_some(()).ok_or(RotationFault::NoGeneration))
    }

    /// The data key is gone with this entry; there may never have been one.
    pub(super) fn erase(&mut self, space: &SpaceTag) -> io::Result<()> {
        if let Some(found) = self.space(space)? {
            self.store.put(rows::space_key(space), None);
            self.store.put(rows::sweep_key(space), Some(Bytes::new()));
            self.generations().unwrapped(found.dek.key_epoch);
        }
        if !self.store.read(&rows::erased_key(space), |row| row.is_some())? {
            self.store.put(rows::erased_key(space), Some(Bytes::new()));
            let now_ms = self.time_ms;
            self.generations().erased(now_ms);
        }
        Ok(())
    }

    /// Removes at most `most` records of erased namespaces. Nobody is told: whoever asks for such a namespace hears that there is none.
    pub(super) fn sweep(&mut self, most: usize) -> io::Result<()> {
        let mut left = most;
        let (waiting, _) = self.store.range(&[rows::SWEEP], &rows::table_end(rows::SWEEP), most)?;
        for (row, _) in waiting {
            let space = rows::split_space(&row).map_err(io::Error::other)?;
            let (records, more) = self.store.range(&rows::record_key(&space, &KeyTag([0; 16])), &rows::records_end(&space), left)?;
            left = left.saturating_sub(records.len());
            for (record, value) in records {
                let (_, key) = rows::split_record(&record).map_err(io::Error::other)?;
                let head = rows::take_head(&value).map_err(io::Error::other)?;
                if head.expires_at_ms != 0 {
                    self.store.put(rows::expiry_key(head.expires_at_ms, &space, &key), None);
                }
                self.store.put(record, None);
            }
            if !more {
                self.store.put(row, None);
            }
            if more || left == 0 {
                break;
            }
        }
        Ok(())
    }
}
