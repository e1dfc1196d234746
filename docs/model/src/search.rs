//! Running a model: how far, with what result, and how a counterexample is told.
//!
//! Decides: when a search stops (a failure, everything visited, or a number of distinct worlds), and whether its outcome is what was expected.
//! After the bound, worlds already found are still judged and no longer expanded, so the count ends somewhat above it.
//! Trusts: `stateright`'s 64-bit fingerprints: two worlds that share one count as one. Out of scope: printing, clocks (`main`).

use stateright::{Checker, HasDiscoveries, Model};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often worlds are counted: a search passes its bound by what it finds meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// How many distinct worlds are enough.
#[derive(Clone, Debug)]
pub struct Bound {
    worlds: usize,
    reached: Arc<AtomicBool>,
}

impl Bound {
    /// This many; 0 for all there are.
    pub fn new(worlds: usize) -> Self {
        Bound { worlds, reached: Arc::new(AtomicBool::new(false)) }
    }

    /// Whether worlds are still expanded.
    pub fn more(&self) -> bool {
        !self.reached.load(Ordering::Relaxed)
    }

    fn compare(&self, worlds: usize) {
        if self.worlds != 0 && worlds >= self.worlds {
            self.reached.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was reached; a path is told by expanding again, so the bound is lifted.
    fn lift(&self) -> bool {
        self.reached.swap(false, Ordering::Relaxed)
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Distinct worlds.
    pub worlds: usize,
    /// Worlds generated, repeats included.
    pub generated: usize,
    /// Worlds on the way to the deepest one that was found.
    pub depth: usize,
    /// Whether everything reachable was visited.
    pub complete: bool,
    /// The property that broke, with the actions that led there.
    pub broken: Option<(&'static str, Vec<String>)>,
    /// Possibilities that were seen.
    pub seen: Vec<&'static str>,
    /// Possibilities that were not.
    pub unseen: Vec<&'static str>,
}

/// Searches breadth first until `property` fails, or any where none is named. From a counterexample nothing can be left
/// out; with one thread it is the same each time.
pub fn search<M>(model: M, property: Option<&'static str>, bound: &Bound, threads: usize) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: Debug + Clone + PartialEq,
{
    let properties: Vec<_> =
        model.properties().iter().map(|property| (property.name, property.expectation.discovery_is_failure())).collect();
    let end = property.map_or(HasDiscoveries::AnyFailures, |name| HasDiscoveries::AnyOf([name].into()));
    let mut checker = model.checker().threads(threads).finish_when(end).spawn_bfs();
    let workers = checker.handles();
    while workers.iter().any(|worker| !worker.is_finished()) {
        bound.compare(checker.unique_state_count());
        std::thread::sleep(LOOK);
    }
    let ended_badly = workers.into_iter().any(|worker| worker.join().is_err());
    assert!(!ended_badly, "the model has no action that fails");
    let done = checker.join();
    let reached = bound.lift();
    let mut found = done.discoveries();
    let is_found = |name: &str| found.contains_key(name);
    let possible = || properties.iter().filter(|(_, fails)| !fails).map(|(name, _)| *name);
    let (seen, unseen) = possible().partition(|name| is_found(name));
    let failed = properties.iter().filter(|(name, fails)| *fails && is_found(name)).map(|(name, _)| *name);
    let broken = failed.clone().find(|name| Some(*name) == property).or(failed.clone().next());
    let broken = broken.and_then(|name| {
        let path = found.remove(name)?;
        let begin = path.clone().into_states().into_iter().next()?;
        Some((name, told(&shorten(done.model(), name, &begin, path.into_actions()))))
    });
    Outcome {
        worlds: done.unique_state_count(),
        generated: done.state_count(),
        depth: done.max_depth(),
        complete: !reached && broken.is_none(),
        broken,
        seen,
        unseen,
    }
}

/// Leaves out whatever can be left out. The checker judges worlds in blocks and keeps the last failure of one.
fn shorten<M>(model: &M, property: &'static str, begin: &M::State, mut actions: Vec<M::Action>) -> Vec<M::Action>
where
    M: Model,
    M::State: Clone,
    M::Action: Clone + PartialEq,
{
    let mut at = actions.len();
    while at > 0 {
        at -= 1;
        let mut fewer = actions.clone();
        fewer.remove(at);
        if fails(model, property, begin, &fewer) {
            actions = fewer;
            at = actions.len();
        }
    }
    actions
}

/// Whether these actions are possible one after the other, and the property fails at their end.
fn fails<M>(model: &M, property: &'static str, begin: &M::State, actions: &[M::Action]) -> bool
where
    M: Model,
    M::State: Clone,
    M::Action: Clone + PartialEq,
{
    let mut world = begin.clone();
    for action in actions {
        let mut offered = Vec::new();
        model.actions(&world, &mut offered);
        let Some(next) = offered.contains(action).then(|| model.next_state(&world, action.clone())).flatten() else { return false };
        world = next;
    }
    !(model.property(property).condition)(model, &world)
}

fn told<A: Debug>(actions: &[A]) -> Vec<String> {
    actions.iter().map(|action| format!("{action:?}")).collect()
}
