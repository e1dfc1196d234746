//! What the model of a cluster's life remembers: processes, elections, what was committed, what is public.
//!
//! Decides: the vocabulary. A *life* is one process; a *name* is the incarnation it speaks for, which is the number of the life that got it
//! first. A *lineage* is one run of Raft: the founding's, and the recovery's. A life's log is its disk after its death. Ghosts (committed
//! history, acknowledgements, flags) are the model's own memory, which no life can read.
//! Trusts: nothing. Out of scope: what may happen (`moves`), what must hold (`properties`). Protocol sections 2.1 and 4.

use crate::list::List;

/// Processes a run can have: three founders, and whoever is started, cloned or recovered.
pub const LIVES: usize = 8;
/// Entries of a log.
pub const ENTRIES: usize = 5;
/// Elections that succeeded, the founder's included.
pub const LEADS: usize = 6;
/// Writes clients make.
pub const WRITES: usize = 4;
/// No name.
pub const NOBODY: u8 = 15;
/// The first lineage.
pub const FOUNDED: usize = 0;
/// The lineage a recovery begins.
pub const RECOVERED: usize = 1;

/// Set of names, one bit each.
pub type Names = u8;

/// The set of one name.
pub fn only(name: u8) -> Names {
    1_u8.checked_shl(u32::from(name)).unwrap_or(0)
}

/// Maker of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// Even slots.
    Amd,
    /// Odd slots.
    Intel,
}

/// The vendor of a slot.
pub fn vendor(slot: u8) -> Vendor {
    if slot % 2 == 1 { Vendor::Intel } else { Vendor::Amd }
}

/// What an entry does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Op {
    /// Nothing.
    #[default]
    Nothing,
    /// A client's write, by number.
    Write(u8),
    /// `AdmitCommit`: this name is a member, its slot's former one is superseded.
    Admit(u8),
    /// A change of the membership: one leaves, one enters, jointly.
    Swap {
        /// Leaves.
        out: u8,
        /// Enters.
        into: u8,
    },
    /// A group of one's own, made by Raft's `initialize`.
    Init(u8),
    /// What nobody honest proposed.
    Forged,
}

/// An entry of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Term.
    pub term: u8,
    /// Effect.
    pub op: Op,
}

/// A log.
pub type Log = List<Entry, ENTRIES>;

/// Whether a process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Run {
    /// Runs.
    #[default]
    Up,
    /// Does not run or is cut off, and may come back as it was.
    Paused,
    /// Its memory is gone; its disk is not.
    Dead,
    /// Found itself out, wiped its keys, and ended.
    Fenced,
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// Its place.
    pub slot: u8,
    /// Whom it speaks for; `NOBODY` before it is granted keys.
    pub name: u8,
    /// Which run of Raft it is in.
    pub lineage: u8,
    /// Whether it runs.
    pub run: Run,
    /// Whether it follows the adversary's program instead of ours.
    pub rogue: bool,
    /// Whether it did so from its start.
    pub foreign: bool,
    /// Whether it holds the master keys.
    pub keys: bool,
    /// Whether it leads its term.
    pub leads: bool,
    /// Its term.
    pub term: u8,
    /// Whom it voted for in that term.
    pub voted: u8,
    /// Its log.
    pub log: Log,
    /// Entries it knows to be committed; it has applied as many.
    pub commit: u8,
    /// Whether it asked to join and was proposed.
    pub asked: bool,
    /// The name it is to replace.
    pub replaces: u8,
    /// Whether that one answered when this one was proposed.
    pub evicts: bool,
    /// Voters that accepted its evidence.
    pub verdicts: Names,
}

impl Default for Life {
    fn default() -> Self {
        Life {
            slot: 0,
            name: NOBODY,
            lineage: 0,
            run: Run::Up,
            rogue: false,
            foreign: false,
            keys: false,
            leads: false,
            term: 0,
            voted: NOBODY,
            log: Log::default(),
            commit: 0,
            asked: false,
            replaces: NOBODY,
            evicts: false,
            verdicts: 0,
        }
    }
}

impl Life {
    /// Whether it takes part: it runs our program, and has keys.
    pub fn serves(&self) -> bool {
        self.run == Run::Up && self.keys && !self.rogue
    }

    /// Whether it holds keys now, or will when it is continued.
    pub fn holds_keys(&self) -> bool {
        self.keys && matches!(self.run, Run::Up | Run::Paused)
    }

    /// Term and length of its log, in the order in which Raft compares logs.
    pub fn position(&self) -> (u8, usize) {
        (self.log.last().map_or(0, |entry| entry.term), self.log.len())
    }
}

/// A successful election, and every append its leader ever sent: it only adds to its log, so one log stands for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lead {
    /// Which run of Raft.
    pub lineage: u8,
    /// Term.
    pub term: u8,
    /// Name of the leader.
    pub name: u8,
    /// Process that was elected.
    pub life: u8,
    /// Who voted for it.
    pub votes: Names,
    /// What it sent last.
    pub log: Log,
    /// Entries each name acknowledged to it.
    pub acks: [u8; LIVES],
    /// Entries it knows to be committed.
    pub commit: u8,
}

/// One run of Raft, as the model remembers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lineage {
    /// Its first voters; none before it exists.
    pub voters: Names,
    /// Entries it began with: they are content, their changes of membership are another lineage's.
    pub base: u8,
    /// Ghost: everything that was ever committed in it.
    pub history: Log,
}

/// Which judges of evidence are deceived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deceived {
    /// None.
    Nobody,
    /// The voter of one slot, whatever the joiner.
    Slot(u8),
    /// Everyone on one vendor's machines, about joiners of that vendor: that vendor is broken.
    Vendor(Vendor),
}

/// What the adversary may still do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Processes of members that can be killed.
    pub crashes: u8,
    /// Processes that can be paused or cut off.
    pub pauses: u8,
    /// Processes that can be started.
    pub starts: u8,
    /// Among them, beside a process of the same slot and disk that still runs.
    pub clones: u8,
    /// Disks that can be put back.
    pub rollbacks: u8,
    /// Machines that follow the adversary's program, with evidence that opens a session.
    pub rogues: u8,
    /// Members that are broken once they are out and every voter knows.
    pub breaks: u8,
    /// Recoveries from total outage.
    pub recoveries: u8,
    /// Elections that succeed.
    pub elections: u8,
    /// Writes of clients.
    pub writes: u8,
    /// Anchors the honest custodian fetches.
    pub anchors: u8,
}

/// What a recovery left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recovery {
    /// Whether there was one.
    pub done: bool,
    /// Whether its epoch start is public.
    pub public: bool,
    /// An acknowledged write is missing.
    pub lost: bool,
    /// A write below the honest custodian's anchor is missing.
    pub behind: bool,
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Processes.
    pub lives: List<Life, LIVES>,
    /// Elections.
    pub leads: List<Lead, LEADS>,
    /// Runs of Raft.
    pub lineages: [Lineage; 2],
    /// Ghost: lineage and term in which each write was acknowledged.
    pub acked: [Option<(u8, u8)>; WRITES],
    /// Writes below the honest custodian's newest anchor, one bit each.
    pub anchor: u8,
    /// Recovery.
    pub recovery: Recovery,
    /// Ghost: a disk was put back.
    pub rolled: bool,
    /// Ghost: a read missed a write acknowledged before it began.
    pub stale: bool,
    /// Ghost: a member that answered was superseded.
    pub evicted: bool,
    /// Whose judgement is worth nothing.
    pub deceived: Deceived,
    /// What may still happen.
    pub left: Budget,
}

/// Voters, before and after a change under way; equal when none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voters {
    /// Before.
    pub old: Names,
    /// After.
    pub new: Names,
}

impl Voters {
    /// Whether `names` hold a majority, of both sides of a change.
    pub fn majority(self, names: Names) -> bool {
        let of = |side: Names| 2 * (side & names).count_ones() > side.count_ones();
        of(self.old) && of(self.new)
    }

    /// Whether `name` has a vote.
    pub fn contains(self, name: u8) -> bool {
        (self.old | self.new) & only(name) != 0
    }
}

/// What a member's applied log says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Founder, or admitted.
    Live,
    /// Another name was admitted to its slot after it.
    Out,
    /// No admission that is applied here.
    Unknown,
}

impl World {
    /// One founder for each slot, the first of which leads term 1.
    pub fn founded(slots: u8, left: Budget, deceived: Deceived) -> World {
        let mut lives = List::default();
        let all = only(slots) - 1;
        for slot in 0..slots {
            lives.push(Life { slot, name: slot, keys: true, term: 1, voted: 0, leads: slot == 0, ..Life::default() });
        }
        let mut leads = List::default();
        leads.push(Lead { term: 1, votes: all, ..Lead::default() });
        let founding = Lineage { voters: all, ..Lineage::default() };
        World {
            lives,
            leads,
            lineages: [founding, Lineage::default()],
            acked: [None; WRITES],
            anchor: 0,
            recovery: Recovery::default(),
            rolled: false,
            stale: false,
            evicted: false,
            deceived,
            left,
        }
    }

    /// Voters a log names, to somebody who knows `commit` entries to be committed.
    pub fn voters(&self, lineage: u8, log: &[Entry], commit: u8) -> Voters {
        let run = &self.lineages[usize::from(lineage)];
        let (mut old, mut new) = (run.voters, run.voters);
        for (at, entry) in log.iter().enumerate().skip(usize::from(run.base)) {
            match entry.op {
                Op::Swap { out, into } => {
                    // A second change is never proposed before the first is committed.
                    old = new;
                    new = (old & !only(out)) | only(into);
                    if at < usize::from(commit) {
                        old = new;
                    }
                }
                Op::Init(name) => (old, new) = (only(name), only(name)),
                _ => {}
            }
        }
        Voters { old, new }
    }

    /// Voters as a life sees them.
    pub fn voters_of(&self, life: &Life) -> Voters {
        self.voters(life.lineage, &life.log, life.commit)
    }

    /// The slot of a name.
    pub fn slot_of(&self, name: u8) -> u8 {
        self.lives.get(usize::from(name)).map_or(NOBODY, |life| life.slot)
    }

    /// Standing of a name according to the first `applied` entries of a log.
    pub fn standing(&self, log: &[Entry], applied: usize, name: u8) -> Standing {
        let founder = self.lineages.iter().any(|lineage| lineage.voters & only(name) != 0);
        let mut standing = if founder { Standing::Live } else { Standing::Unknown };
        let recovered = self.lineages[RECOVERED].voters & only(name) != 0;
        let begins = if recovered { usize::from(self.lineages[RECOVERED].base) } else { 0 };
        for entry in log.iter().take(applied).skip(begins) {
            match entry.op {
                Op::Admit(admitted) if admitted == name => standing = Standing::Live,
                Op::Admit(admitted) if self.slot_of(admitted) == self.slot_of(name) && standing == Standing::Live => {
                    standing = Standing::Out;
                }
                _ => {}
            }
        }
        standing
    }

    /// The live name of a slot, according to a whole log.
    pub fn incumbent(&self, log: &[Entry], slot: u8) -> u8 {
        let admitted = log.iter().rev().find_map(|entry| match entry.op {
            Op::Admit(name) if self.slot_of(name) == slot => Some(name),
            _ => None,
        });
        admitted.unwrap_or(slot)
    }

    /// The election a leading life won.
    pub fn lead_of(&self, life: u8) -> Option<usize> {
        let held = self.lives.get(usize::from(life)).filter(|held| held.leads && held.serves())?;
        self.leads.iter().rposition(|lead| lead.life == life && lead.term == held.term && lead.lineage == held.lineage)
    }

    /// Writes in a log, one bit each.
    pub fn written(log: &[Entry]) -> u8 {
        log.iter().fold(0, |bits, entry| if let Op::Write(number) = entry.op { bits | only(number) } else { bits })
    }

    /// Writes acknowledged in a lineage, one bit each.
    pub fn acked_in(&self, lineage: usize) -> u8 {
        let acked = self.acked.iter().enumerate().filter(|(_, acked)| acked.is_some_and(|(of, _)| usize::from(of) == lineage));
        acked.fold(0, |bits, (number, _)| bits | only(u8::try_from(number).unwrap_or(NOBODY)))
    }
}

/// Whether a log holds an entry with this effect.
pub fn holds(log: &[Entry], op: Op) -> bool {
    log.iter().any(|entry| entry.op == op)
}
