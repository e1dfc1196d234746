//! What happens to sessions: dialling, answering, finishing, attesting, judging, speaking; each with honest words or the attacker's.
//!
//! Decides: the attacker is the network. It relays, repeats, withholds and splices what honest runs said, and says itself what it can compute.
//! An honest word is accepted where the transcript it was made for is the receiver's; a word of the attacker where it can compute the
//! session's keys.
//! Trusts: nothing. Out of scope: what must hold (`session::properties`). Protocol section 3, as `attest/src/session.rs` and
//! `node/src/peers/handshake.rs` do it. Attesting again in one session is planned (SB5) and allowed here: it only helps the attacker.

use crate::session::rules::{Rule, Rules};
use crate::session::terms::{ATTACKER, Evidence, Kind, NONE, Party, Run, Side, Transcript};
use crate::session::{Scene, Session};

/// Bit of a nonce in `Run::attested`.
fn bit(nonce: u8) -> u8 {
    if nonce == ATTACKER { 1 << 7 } else { 1 << nonce }
}

impl Session {
    fn names_ours(&self, party: Party) -> bool {
        party.is_ours() || party == Party::Client || !(self.rules.keep(Rule::ClusterPrologue) && self.rules.keep(Rule::ClusterId))
    }

    /// A client dials whoever a descriptor names; the descriptor is the attacker's to write.
    pub(super) fn dial_client(&self, scene: &Scene, sr: Party, kem: Party) -> Option<Scene> {
        let dialled = scene.runs.iter().filter(|run| run.who == Party::Client).count();
        if dialled == self.scope.clients || scene.runs.is_full() {
            return None;
        }
        let mut next = *scene;
        let fresh = scene.runs.len().try_into().ok()?;
        // A generator that repeats gives every client run the first one's ephemeral key.
        let ei = scene.runs.iter().find(|run| self.scope.repeats && run.who == Party::Client).map_or(fresh, |run| run.seen.ei);
        let seen = Transcript { kind: Kind::Client, ours: true, ei, er: NONE, si: Party::Client, sr, kem };
        next.runs.push(Run { seen, ..Run::default() });
        Some(next)
    }

    /// Member A dials member B.
    pub(super) fn dial_member(&self, scene: &Scene) -> Option<Scene> {
        let dialled = scene.runs.iter().filter(|run| run.side == Side::Dial && run.seen.kind == Kind::Member).count();
        if dialled == self.scope.members || scene.runs.is_full() {
            return None;
        }
        let mut next = *scene;
        let ei = scene.runs.len().try_into().ok()?;
        let seen = Transcript { kind: Kind::Member, ours: true, ei, er: NONE, si: Party::A, sr: Party::Client, kem: Party::Client };
        next.runs.push(Run { who: Party::A, seen, ..Run::default() });
        Some(next)
    }

    /// A node answers the first message of an honest run.
    pub(super) fn answer(&self, scene: &Scene, who: Party, dialler: u8) -> Option<Scene> {
        let first = scene.runs.get(usize::from(dialler)).filter(|run| run.side == Side::Dial)?.seen;
        let meant = match first.kind {
            Kind::Client => first.sr == who && first.kem == who,
            Kind::Member => who.is_ours(),
        };
        if !meant || first.ours != self.names_ours(who) {
            return None;
        }
        self.answered(scene, who, first, first.kind == Kind::Client)
    }

    /// A node answers a handshake of the attacker, who uses a static key it holds.
    pub(super) fn answer_attacker(&self, scene: &Scene, who: Party, kind: Kind, si: Party) -> Option<Scene> {
        if kind == Kind::Member && !self.leaked(scene).holds(si) {
            return None;
        }
        let ours = self.names_ours(who);
        self.answered(scene, who, Transcript { kind, ours, ei: ATTACKER, er: NONE, si, sr: who, kem: who }, true)
    }

    fn answered(&self, scene: &Scene, who: Party, first: Transcript, open: bool) -> Option<Scene> {
        let answers = scene.runs.iter().filter(|run| run.side == Side::Answer).count();
        if answers == self.scope.answers || scene.runs.is_full() {
            return None;
        }
        let mut next = *scene;
        let er = scene.runs.len().try_into().ok()?;
        let kem = if first.kind == Kind::Client { who } else { Party::Client };
        next.runs.push(Run { who, side: Side::Answer, seen: Transcript { er, sr: who, kem, ..first }, open, ..Run::default() });
        Some(next)
    }

    /// A dialler takes the second message of an honest run, this one's or a repeated one; the answerer then takes the third.
    pub(super) fn finish(&self, scene: &Scene, dialler: u8, answerer: u8) -> Option<Scene> {
        let (mine, theirs) = (scene.runs.get(usize::from(dialler))?, scene.runs.get(usize::from(answerer))?);
        if mine.side != Side::Dial || mine.open || theirs.side != Side::Answer {
            return None;
        }
        let sr = if mine.seen.kind == Kind::Member { theirs.seen.sr } else { mine.seen.sr };
        if (Transcript { er: theirs.seen.er, sr, ..mine.seen }) != theirs.seen {
            return None;
        }
        let mut next = *scene;
        next.runs[usize::from(dialler)].seen = theirs.seen;
        next.runs[usize::from(dialler)].open = true;
        next.runs[usize::from(answerer)].open = true;
        Some(next)
    }

    /// A dialler takes a second message the attacker made, with a static key it holds.
    pub(super) fn finish_attacker(&self, scene: &Scene, dialler: u8, sr: Party) -> Option<Scene> {
        let mine = scene.runs.get(usize::from(dialler))?;
        let fits = mine.seen.kind == Kind::Member || sr == mine.seen.sr;
        let seen = Transcript { er: ATTACKER, sr, ..mine.seen };
        if mine.side != Side::Dial || mine.open || !fits || !self.leaked(scene).computes(&seen) {
            return None;
        }
        let mut next = *scene;
        next.runs[usize::from(dialler)].seen = seen;
        next.runs[usize::from(dialler)].open = true;
        Some(next)
    }

    /// A node attests for the nonce it was asked with in its session.
    pub(super) fn attest(&self, scene: &Scene, run: u8, nonce: u8) -> Option<Scene> {
        let mine = scene.runs.get(usize::from(run))?;
        if !mine.open || mine.who == Party::Client || mine.attested & bit(nonce) != 0 {
            return None;
        }
        if mine.side == Side::Dial && mine.accepted.is_none() && self.rules.keep(Rule::AttestSecond) {
            return None;
        }
        let leaked = self.leaked(scene);
        let asker = scene.runs.get(usize::from(nonce));
        let honest = asker.is_some_and(|asker| asker.open && asker.seen == mine.seen && asker.side != mine.side);
        let known = nonce == ATTACKER || asker.is_some_and(|asker| asker.open && leaked.computes(&asker.seen));
        let from_attacker = known && leaked.computes(&mine.seen);
        if !(honest || from_attacker) {
            return None;
        }
        let mut next = *scene;
        next.runs[usize::from(run)].attested |= bit(nonce);
        Some(next)
    }

    /// A run judges what it is shown.
    pub(super) fn judge(&self, scene: &Scene, run: u8, shown: Evidence) -> Option<Scene> {
        let mine = *scene.runs.get(usize::from(run))?;
        let anonymous = mine.seen.kind == Kind::Client && mine.side == Side::Answer;
        if !mine.open || mine.accepted.is_some() || anonymous || !self.reaches(scene, &mine, shown) {
            return None;
        }
        if !accepts(&self.rules, scene, run, &mine, shown) {
            return None;
        }
        let mut next = *scene;
        next.runs[usize::from(run)].accepted = Some(shown);
        Some(next)
    }

    /// Whether evidence can arrive under the keys of a session: from its other end, or from whoever computes them and has it.
    fn reaches(&self, scene: &Scene, mine: &Run, shown: Evidence) -> bool {
        let leaked = self.leaked(scene);
        match shown {
            Evidence::Made { run, nonce } => scene.runs.get(usize::from(run)).is_some_and(|maker| {
                let made = maker.attested & bit(nonce) != 0;
                let direct = maker.seen == mine.seen && maker.side != mine.side;
                made && (direct || (leaked.computes(&mine.seen) && leaked.computes(&maker.seen)))
            }),
            Evidence::Unlisted | Evidence::OtherImage => leaked.computes(&mine.seen),
        }
    }

    /// The first message of an application.
    pub(super) fn speak(&self, scene: &Scene, run: u8) -> Option<Scene> {
        let mine = scene.runs.get(usize::from(run))?;
        let may = mine.accepted.is_some() || !self.rules.keep(Rule::AttestFirst);
        if !mine.open || !may || mine.spoke || mine.side != Side::Dial {
            return None;
        }
        let mut next = *scene;
        next.runs[usize::from(run)].spoke = true;
        Some(next)
    }
}

/// Every comparison of `attest/src/session.rs::judge` and `node/src/peers/handshake.rs::dialled` that the model has.
fn accepts(rules: &Rules, scene: &Scene, run: u8, mine: &Run, shown: Evidence) -> bool {
    let (maker, nonce) = match shown {
        // What the attacker's own chips say is right in every field but the one they cannot choose.
        Evidence::Unlisted => return !rules.keep(Rule::ChipList),
        Evidence::OtherImage => return !rules.keep(Rule::Image),
        Evidence::Made { run, nonce } => (scene.runs[usize::from(run)], nonce),
    };
    let other_side = if mine.side == Side::Dial { Side::Answer } else { Side::Dial };
    let other_key = if mine.side == Side::Dial { mine.seen.sr } else { mine.seen.si };
    let keys = maker.who == other_key && (mine.seen.kind == Kind::Member || maker.who == mine.seen.kem);
    let cluster = maker.who.is_ours() || !rules.keep(Rule::ClusterBinding) || !rules.keep(Rule::ClusterId);
    let role = (maker.seen.kind, maker.side) == (mine.seen.kind, other_side);
    // The membership records one key for the incarnation the evidence names; a dialler besides dialled one.
    let member = mine.seen.kind == Kind::Client || (maker.who == other_key && (mine.side == Side::Answer || maker.who == Party::B));
    (maker.seen == mine.seen || !rules.keep(Rule::HandshakeHash))
        && (nonce == run || !rules.keep(Rule::Nonce))
        && (role || !rules.keep(Rule::Role))
        && (keys || !rules.keep(Rule::StaticKey))
        && (member || !rules.keep(Rule::MemberKey))
        && cluster
}
