//! A container without a network: who can do that, and that some machines cannot. It knows no program and no map.

use std::io;

/// Cuts control groups off from the network.
pub trait Network {
    /// Cuts these groups off, for connections that there are, too. The first is the container's own.
    ///
    /// # Errors
    /// Where it is not possible.
    fn isolate(&mut self, groups: &[u64]) -> io::Result<()>;

    /// Lets them back.
    ///
    /// # Errors
    /// Where it is not possible.
    fn release(&mut self, groups: &[u64]) -> io::Result<()>;

    /// Those that are cut off.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn isolated(&self) -> io::Result<Vec<u64>>;

    /// Why it cannot be done here at all; `None`: it can.
    fn missing(&self) -> Option<&str> {
        None
    }
}
