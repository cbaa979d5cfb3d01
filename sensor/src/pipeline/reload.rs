//! The rules thread: files that changed → a compiled set, or why there is none. It runs beside the events and knows
//! nothing of them; whoever evaluates them takes the finished set when it suits.

mod wait;
mod watch;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

pub use self::wait::Waker;
use self::{
    wait::{Why, wait},
    watch::Watch,
};
use super::stats::Origin;
use crate::rule::{Content, Diagnostic, Files, Options, RuleSet, Severity};

/// What to load and what to watch, as the configuration says it now.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Where the rules are.
    pub files: Files,
    /// How they are loaded.
    pub options: Options,
    /// Whether changes of files are a reason to look; otherwise only [`Waker::ask`] is.
    pub watch: bool,
    /// Other files from which the plan comes.
    pub beside: Vec<PathBuf>,
}

/// Makes the plan anew; the error is one sentence.
pub type Planner = Box<dyn FnMut() -> Result<Plan, String> + Send>;

/// What became of an attempt.
#[derive(Debug)]
pub enum Reloaded {
    /// A set that is ready.
    Rules {
        /// The set.
        set: Arc<RuleSet>,
        /// What it was made of.
        origin: Origin,
    },
    /// The files have errors.
    Failed {
        /// The first error, in one line.
        error: String,
        /// Number of errors.
        errors: usize,
        /// Whether these errors were not there at the attempt before.
        new: bool,
    },
}

/// Stack of the rules thread in bytes: what the system gives the main one. Only what is used takes memory.
const STACK: usize = 8 << 20;
/// Lines of a failure that are logged; a hostile file must not fill the log.
const MOST_LINES: usize = 20;

/// Starts the thread. `plan` and `content`: what the set at work was made of. Every change of it is sent; the thread ends
/// when nobody receives any more.
///
/// # Errors
/// Where the system gives no thread.
pub fn start(planner: Planner, plan: Plan, content: Content, waker: Waker) -> io::Result<Receiver<Reloaded>> {
    let (results, receiver) = channel();
    let mut reloader = Reloader { planner, plan, tried: Ok(content), failing: None, watch: None, results };
    // The parser goes down into conditions, and must get as far here as on the main thread.
    let thread = thread::Builder::new().name("rules".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        reloader.follow();
        // Whatever changed between the first reading and the watch.
        let mut why = Why::Changed;
        while reloader.look(why) {
            why = wait(&waker, reloader.watch.as_mut());
        }
    })?;
    Ok(receiver)
}

struct Reloader {
    planner: Planner,
    /// The last one that could be made.
    plan: Plan,
    /// What was last read, or why it could not be.
    tried: Result<Content, Vec<String>>,
    /// What is wrong with it, one line for each error.
    failing: Option<Vec<String>>,
    watch: Option<Watch>,
    results: Sender<Reloaded>,
}

impl Reloader {
    /// Reads, and compiles where something changed. Whether anybody still wants to know.
    fn look(&mut self, why: Why) -> bool {
        let asked = why == Why::Asked;
        let planned = (self.planner)();
        if let Ok(plan) = &planned {
            self.plan = plan.clone();
        }
        // First watched, then read: what changes in between is seen once more.
        self.follow();
        let read = planned.map_err(|error| vec![error]).and_then(|plan| {
            let sources = plan.files.read_settled().map_err(|error| vec![error.to_string()])?;
            Ok(Content { sources, options: plan.options })
        });
        if read == self.tried && !(asked && self.failing.is_some()) {
            if asked {
                tracing::info!("the rules have not changed");
            }
            return true;
        }
        self.tried = read;
        let reloaded = match &self.tried {
            Ok(content) => match compile(content) {
                Ok(set) => {
                    self.failing = None;
                    Reloaded::Rules { set: Arc::new(set), origin: Origin::of(content) }
                }
                Err(lines) => self.fail(lines, asked),
            },
            Err(lines) => {
                let lines = lines.clone();
                self.fail(lines, asked)
            }
        };
        // Compiling takes much memory for a moment.
        super::live::give_back();
        self.results.send(reloaded).is_ok()
    }

    /// Says what is wrong, once.
    fn fail(&mut self, lines: Vec<String>, asked: bool) -> Reloaded {
        let new = self.failing.as_ref() != Some(&lines);
        if new || asked {
            for line in lines.iter().take(MOST_LINES) {
                tracing::error!("{line}");
            }
            if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
                tracing::error!("and {more} more errors");
            }
            tracing::error!("the rules on disk cannot be loaded: those loaded before stay at work");
        }
        let error = lines.first().cloned().unwrap_or_default();
        let errors = lines.len();
        self.failing = Some(lines);
        Reloaded::Failed { error, errors, new }
    }

    /// Watches what the plan depends on.
    fn follow(&mut self) {
        if !self.plan.watch {
            self.watch = None;
            return;
        }
        let paths: Vec<PathBuf> =
            self.plan.files.paths().map(PathBuf::from).chain(self.plan.beside.iter().cloned()).collect();
        self.watch.get_or_insert_default().follow(paths);
    }
}

/// The set, or the errors in one line each. Warnings are logged.
fn compile(content: &Content) -> Result<RuleSet, Vec<String>> {
    let (set, found) = content.compile();
    let lines = |severity| found.iter().filter(move |found: &&Diagnostic| found.severity == severity);
    let Some(set) = set else {
        return Err(lines(Severity::Error).map(ToString::to_string).collect());
    };
    for warning in lines(Severity::Warning).take(MOST_LINES) {
        tracing::warn!("{warning}");
    }
    for idle in set.idle_toggles() {
        tracing::warn!("{idle}");
    }
    Ok(set.without_tests())
}

#[cfg(test)]
mod tests;
