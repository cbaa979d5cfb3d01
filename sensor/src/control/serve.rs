//! The socket's thread: takes connections, a few at a time, reads one line of each with a limit and a deadline, and answers.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    runtime::Builder,
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{Answer, Known, LONGEST_ORDER, Order, peer::Allowed};
use crate::{
    config::ControlConfig,
    event::Container,
    respond::{Action, Asker, Orders, Request, audit::AskedBy},
};

/// Connections at the same time; others wait until one ends.
const CONNECTIONS: usize = 16;
/// How long somebody may take for his line, and for taking the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a container that was just started is waited for: the list of them is a second old at most.
const NEW: Duration = Duration::from_millis(1500);

/// What the socket's thread needs.
pub struct Options<T> {
    /// Where, and who may.
    pub config: ControlConfig,
    /// The responder.
    pub orders: Orders<T>,
    /// The containers that are there.
    pub known: Known,
    /// Has the rules loaded again.
    pub reload: Box<dyn Fn() + Send + Sync>,
}

struct Server<T> {
    orders: Orders<T>,
    known: Known,
    reload: Box<dyn Fn() + Send + Sync>,
    allowed: Allowed,
}

/// Makes the socket and starts its thread. It lives as long as the process.
///
/// # Errors
/// Where the socket cannot be made.
pub fn start<T: Send + 'static>(options: Options<T>) -> io::Result<()> {
    let Options { config, orders, known, reload } = options;
    let allowed = Allowed { group: config.group };
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _inside = runtime.enter();
        listen(&config.socket, &allowed)?
    };
    let server = Arc::new(Server { orders, known, reload, allowed });
    let work = move || runtime.block_on(serve(listener, server));
    thread::Builder::new().name("control".to_owned()).stack_size(512 << 10).spawn(work)?;
    Ok(())
}

/// Nobody can connect before the permissions are right: the socket gets its name last.
fn listen(path: &Path, allowed: &Allowed) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another sensor answers there"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let partial = path.with_file_name(name);
    let _ = fs::remove_file(&partial);
    let listener = UnixListener::bind(&partial)?;
    let mode = if allowed.group.is_empty() {
        0o600
    } else {
        let number = allowed.number();
        let number =
            number.ok_or_else(|| io::Error::other(format!("there is no group `{}`", allowed.group)))?;
        chown(&partial, None, Some(number))?;
        0o660
    };
    fs::set_permissions(&partial, fs::Permissions::from_mode(mode))?;
    fs::rename(&partial, path)?;
    Ok(listener)
}

async fn serve<T: Send + 'static>(listener: UnixListener, server: Arc<Server<T>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    server.answer(stream).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take an operator's connection");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

impl<T: Send + 'static> Server<T> {
    async fn answer(&self, mut stream: UnixStream) {
        let answer = match self.heard(&mut stream).await {
            Ok((order, operator)) => self.carry_out(order, operator).await,
            Err(error) => Answer::refusal(error),
        };
        let Ok(mut line) = serde_json::to_vec(&answer) else { return };
        line.push(b'\n');
        // Who does not take his answer does not get it.
        let _ = timeout(PATIENCE, stream.write_all(&line)).await;
    }

    async fn heard(&self, stream: &mut UnixStream) -> Result<(Order, (u32, u32)), String> {
        let peer = stream.peer_cred().map_err(|error| format!("it is not known who you are: {error}"))?;
        let pid = peer.pid().unwrap_or_default().cast_unsigned();
        if !self.allowed.admits(peer.uid(), peer.gid()) {
            tracing::warn!(
                uid = peer.uid(),
                pid,
                "an order was refused: only root and the configured group may"
            );
            return Err("only root and members of `control.group` may give orders".to_owned());
        }
        let mut line = Vec::new();
        let mut reader = BufReader::new(stream).take(LONGEST_ORDER as u64);
        match timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await {
            Ok(Ok(_)) if line.ends_with(b"\n") => {}
            Ok(Ok(length)) if length >= LONGEST_ORDER => {
                return Err(format!("an order has at most {LONGEST_ORDER} bytes"));
            }
            Ok(Ok(_)) => return Err("an order ends with a line break".to_owned()),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("no order in time".to_owned()),
        }
        let order = serde_json::from_slice(&line).map_err(|error| format!("this is no order: {error}"))?;
        Ok((order, (peer.uid(), pid)))
    }

    async fn carry_out(&self, order: Order, (uid, pid): (u32, u32)) -> Answer {
        let by = AskedBy::Operator { uid, pid };
        let done = match order {
            Order::Status => self.orders.status().await.map(|status| {
                let mut value = serde_json::to_value(status).unwrap_or_default();
                if let Some(map) = value.as_object_mut() {
                    map.insert("pid".to_owned(), std::process::id().into());
                    map.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
                    map.insert("containers".to_owned(), self.known.count().into());
                }
                Answer { ok: true, status: value, ..Answer::default() }
            }),
            Order::Reload => {
                self.orders.note("reload", by).await;
                (self.reload)();
                Some(Answer { ok: true, ..Answer::default() })
            }
            Order::Reset => self.orders.reset(by).await.map(|()| Answer { ok: true, ..Answer::default() }),
            Order::Pause { container } => self.operate(Action::Pause, &container, (uid, pid)).await,
            Order::Resume { container } => self.operate(Action::Resume, &container, (uid, pid)).await,
            Order::Isolate { container } => self.operate(Action::Isolate, &container, (uid, pid)).await,
            Order::Release { container } => self.operate(Action::Release, &container, (uid, pid)).await,
        };
        done.unwrap_or_else(|| Answer::refusal("the sensor is about to end"))
    }

    async fn operate(&self, action: Action, text: &str, (uid, pid): (u32, u32)) -> Option<Answer> {
        let container = match self.find(text).await {
            Ok(Some(container)) => container,
            Ok(None) => return Some(Answer::refusal(format!("there is no container `{text}`"))),
            Err(several) => return Some(Answer::refusal(several)),
        };
        let operator = Asker::Operator { uid, pid };
        let outcome = self.orders.operate(Request::of_operator(action, container, operator)).await?;
        Some(Answer::of(&outcome))
    }

    async fn find(&self, text: &str) -> Result<Option<Arc<Container>>, String> {
        match self.known.find(text) {
            Ok(None) => {
                sleep(NEW).await;
                self.known.find(text)
            }
            found => found,
        }
    }
}
