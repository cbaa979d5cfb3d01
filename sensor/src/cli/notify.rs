//! What a service manager is told (`sd_notify(3)`): that the sensor watches, that it still does, and that it ends. It goes to the
//! socket that the environment names; where there is none, nobody asked.

use std::{
    env,
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Where to say it.
#[derive(Debug)]
pub(super) struct Notify {
    target: Option<(UnixDatagram, SocketAddr)>,
}

impl Notify {
    /// As the environment says.
    ///
    /// # Errors
    /// Where that is no address.
    pub(super) fn of_environment() -> io::Result<Self> {
        Self::to(env::var_os("NOTIFY_SOCKET"))
    }

    fn to(address: Option<OsString>) -> io::Result<Self> {
        let Some(address) = address else { return Ok(Self { target: None }) };
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&address)?,
        };
        Ok(Self { target: Some((UnixDatagram::unbound()?, address)) })
    }

    /// Watching begins.
    pub(super) fn ready(&self) {
        self.say("READY=1\nSTATUS=watching");
    }

    /// Watching goes on. It is the reader of events who says so: where it hangs, the manager starts the sensor anew.
    pub(super) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// Watching ends.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, state: &str) {
        let Some((socket, address)) = &self.target else { return };
        // The manager that does not hear it does what it does of one that hangs; nobody else has to know.
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            tracing::debug!(state, %error, "the service manager does not listen");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram, notify: &Notify) -> Vec<String> {
        notify.ready();
        notify.alive();
        notify.stopping();
        (0..3)
            .map(|_| {
                let mut bytes = [0; 64];
                let length = socket.recv(&mut bytes).unwrap();
                String::from_utf8(bytes[..length].to_vec()).unwrap()
            })
            .collect()
    }

    #[test]
    fn the_manager_hears_it_at_a_path_and_at_an_abstract_name() {
        let wanted = ["READY=1\nSTATUS=watching", "WATCHDOG=1", "STOPPING=1"];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        assert_eq!(heard(&socket, &Notify::to(Some(path.into())).unwrap()), wanted);
        let name = format!("vedette-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        assert_eq!(heard(&socket, &Notify::to(Some(format!("@{name}").into())).unwrap()), wanted);
    }

    #[test]
    fn nobody_asked_is_no_error() {
        Notify::to(None).unwrap().ready();
    }
}
