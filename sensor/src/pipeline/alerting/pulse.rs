//! Who wants to know that events are still read. It knows nothing of what is done with that.

use super::Alerting;

impl Alerting {
    /// The same, calling this whenever the accounts are drawn up, which is once a second: whoever is called knows that the reader
    /// of events works.
    #[must_use]
    pub fn with_pulse(mut self, pulse: Box<dyn FnMut() + Send>) -> Self {
        self.pulse = pulse;
        self
    }
}
