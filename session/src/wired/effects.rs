//! What the core wants, carried out on dials: attempts, the session in use, the end.
//!
//! Decides: a session nobody wanted any more when it was open is hung up; a way of which nothing comes makes room for the next one to the same place while there is time
//! for that one; the last word comes after everybody was told and every way is ended.
//! Trusts: the core. Out of scope: what comes from a host (`wired.rs`). Protocol section 3.

use super::cutter::Cutter;
use super::roads::Way;
use super::{At, Out, Road, Wired};
use crate::core::{DialId, Effect, Left};
use crate::dial::DialError;
use crate::error::ConnectError;
use crate::opening::Now;
use ringwall_wire::ids::ClientId;
use std::collections::VecDeque;

impl Wired {
    /// The dial of an attempt of the core.
    fn dial_of(&self, of: DialId) -> Option<u64> {
        self.dials.iter().find(|(_, road)| road.of == of).map(|(dial, _)| *dial)
    }

    /// Does what the core wants.
    pub(super) fn carry_out(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Dial { dial, address, client, until_ms } => self.begin(dial, (address, until_ms), client, now),
            Effect::Abandon { dial } => {
                if let Some(dial) = self.dial_of(dial) {
                    self.hang_up(dial, false);
                }
            }
            Effect::Use { dial, .. } => {
                let road = self.dials.values_mut().find(|road| road.of == dial);
                if let Some(Road { at: At::Open { used, .. }, .. }) = road {
                    *used = true;
                }
            }
            Effect::Send { dial, messages } => self.queue(dial, messages, now),
            Effect::Leave { dial, why } => self.leave(dial, why),
            Effect::Ended(fault) => self.end(fault),
        }
    }

    /// Ends sessions that nobody wanted any more when they were open: what the core wants it has said.
    pub(super) fn end_what_is_in_vain(&mut self) {
        let in_vain = |(dial, road): (&u64, &Road)| matches!(road.at, At::Open { used: false, .. }).then_some(*dial);
        for dial in self.dials.iter().filter_map(in_vain).collect::<Vec<_>>() {
            self.hang_up(dial, true);
        }
    }

    fn begin(&mut self, of: DialId, (address, until_ms): (String, u64), client: ClientId, now: Now) {
        let mut left: VecDeque<Way> = self.roads.ways(&address).into();
        match left.pop_front() {
            Some(way) => {
                let (at, cutter) = (At::Asked, Cutter::default());
                self.dial(
                    Road { of, client, way, left, address, until_ms, give_up_ms: None, is_silent: true, at, cutter, waiting: 0 },
                    now,
                );
            }
            None => self.core.failed(of, DialError::Unreachable("no way leads there".into()), now.ms),
        }
    }

    /// Asks for a way.
    fn dial(&mut self, road: Road, now: Now) {
        let dial = self.next_dial;
        self.next_dial = self.next_dial.saturating_add(1);
        let within_ms = road.share_ms(now);
        let give_up_ms = (!road.left.is_empty()).then(|| now.ms.saturating_add(within_ms));
        let way = road.way.clone();
        self.dials.insert(dial, Road { give_up_ms, is_silent: true, at: At::Asked, cutter: Cutter::default(), waiting: 0, ..road });
        self.give(Out::Dial { dial, way, within_ms });
    }

    /// The next way to the same place is tried, or the attempt has failed.
    pub(super) fn another_way(&mut self, dial: u64, why: String, now: Now) {
        let Some(mut road) = self.dials.remove(&dial) else { return };
        match road.left.pop_front().filter(|_| now.ms < road.until_ms) {
            Some(way) => self.dial(Road { way, ..road }, now),
            None => self.ended(dial, road, DialError::Unreachable(why), now),
        }
    }

    /// Ends the ways that had their time.
    pub(super) fn end_what_is_late(&mut self, now: Now) {
        let late = |(dial, road): (&u64, &Road)| road.gives_up_ms().is_some_and(|at| at <= now.ms).then_some(*dial);
        for dial in self.dials.iter().filter_map(late).collect::<Vec<_>>() {
            self.give(Out::HangUp { dial, well: false });
            self.another_way(dial, "nothing came of it in time".into(), now);
        }
    }

    /// Seals messages and sends them.
    fn queue(&mut self, of: DialId, messages: Vec<Vec<u8>>, now: Now) {
        let Some(dial) = self.dial_of(of) else { return self.core.spent(messages) };
        let Some(Road { at: At::Open { line, .. }, .. }) = self.dials.get_mut(&dial) else { return };
        let sealed = line.goes_on().and_then(|()| line.queue(&messages));
        let bytes = line.unsent().to_vec();
        line.sent(bytes.len());
        self.core.spent(messages);
        match sealed {
            Ok(()) => self.send(dial, bytes),
            Err(fault) => self.core.broke(of, fault, now.ms),
        }
    }

    fn leave(&mut self, of: DialId, why: Left) {
        let Some(dial) = self.dial_of(of) else { return };
        let address = self.dials.get(&dial).map(|road| road.address.clone()).unwrap_or_default();
        let well = !matches!(why, Left::Node(_));
        self.hang_up(dial, well);
        if let Left::Node(fault) = why {
            self.give(Out::Unusable { dial, address, fault });
        }
    }

    /// The last word: everybody was told, every way is ended.
    pub(super) fn end(&mut self, fault: Option<Box<ConnectError>>) {
        if self.over {
            return;
        }
        self.over = true;
        while let Some(word) = self.desk.next() {
            self.out.push_back(Out::Word(word));
        }
        for dial in std::mem::take(&mut self.dials).into_keys() {
            self.out.push_back(Out::HangUp { dial, well: fault.is_none() });
        }
        self.out.push_back(Out::Ended(fault));
    }
}
