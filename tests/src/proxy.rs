//! A TCP proxy in front of a Redis: the network between the two, which cuts connections, loses,
//! holds back, delays and splits what passes.

use std::io;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::server::LocalServer;

/// What happens to everything that passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Nothing passes. What is sent meanwhile passes afterwards.
    pub blackhole: bool,
    /// Each piece is late by this much. Each connection keeps its order.
    pub delay: Duration,
    /// Each piece passes in two halves.
    pub halves: bool,
    /// Commands pass one by one, each so much later than the one before over its connection.
    pub apart: Duration,
    /// A connection over which a reply comes becomes a black hole: neither that reply nor anything
    /// else passes any more. It stays open.
    pub swallow: bool,
}

/// How a reply is lost or late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection is cut once Redis has replied.
    Cut,
    /// The reply and all later ones never arrive. The connection stays open.
    Swallow,
    /// The same, and later commands over the connection never arrive either.
    BlackHole,
    /// The command and all that follows it over its connection wait until [`Proxy::let_go`]. The
    /// connection stays open.
    Hold,
}

/// Something that happens once, to the first piece that it fits.
enum OneShot {
    /// Half of a command passes, then the connection is cut on both sides.
    CutCommand,
    /// A command passes, and half of its reply. Then the connection is cut on both sides.
    CutReply,
    /// A command that contains these bytes is sent, and its reply is lost. As many such commands
    /// pass before.
    LoseReply(Vec<u8>, Loss, usize),
    /// The client's side is cut as soon as a command that contains these bytes arrives. The
    /// command passes when the sender says so.
    Hold(Vec<u8>, oneshot::Receiver<()>),
}

impl OneShot {
    /// Whether it happens to this piece of what clients send.
    fn fits(&mut self, piece: &[u8]) -> bool {
        match self {
            Self::CutCommand => true,
            Self::CutReply => false,
            Self::Hold(bytes, _) => contains(piece, bytes),
            Self::LoseReply(bytes, _, passes) => {
                let fits = contains(piece, bytes);
                let passes_on = fits && *passes > 0;
                *passes -= usize::from(passes_on);
                fits && !passes_on
            }
        }
    }
}

/// A proxy on 127.0.0.1 in front of another port.
pub struct Proxy {
    server: LocalServer,
    shared: Arc<Shared>,
}

/// Is told of each piece that clients send, and the number of its connection.
type Observer = dyn Fn(u64, &[u8]) + Send + Sync;

struct Shared {
    upstream: AtomicU16,
    /// How many connections there were so far.
    accepted: AtomicU64,
    observer: Option<Box<Observer>>,
    network: watch::Sender<Network>,
    armed: Mutex<Vec<OneShot>>,
    cut: watch::Sender<u64>,
    let_go: watch::Sender<u64>,
}

/// A command that the proxy holds back. It is delivered on drop.
pub struct HeldCommand(
    #[expect(dead_code, reason = "the receiver notices the drop")] oneshot::Sender<()>,
);

impl HeldCommand {
    /// Delivers it.
    pub fn deliver(self) {}
}

impl Proxy {
    /// A proxy in front of `upstream`, a port on 127.0.0.1.
    pub async fn start(upstream: u16) -> Self {
        Self::start_with(upstream, None).await
    }

    /// The same. `observer` is told of each piece that clients send.
    pub async fn start_watched(
        upstream: u16,
        observer: impl Fn(u64, &[u8]) + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(upstream, Some(Box::new(observer))).await
    }

    async fn start_with(upstream: u16, observer: Option<Box<Observer>>) -> Self {
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream),
            accepted: AtomicU64::new(0),
            observer,
            network: watch::Sender::new(Network::default()),
            armed: Mutex::default(),
            cut: watch::Sender::new(0),
            let_go: watch::Sender::new(0),
        });
        let serve = |listener| serve(listener, Arc::clone(&shared));
        let server = LocalServer::start(serve).await;
        Self { server, shared }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Stands in front of another port from now on. Connections that are open stay where they are.
    pub fn set_upstream(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::Relaxed);
    }

    /// How many connections there were so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Changes the network from now on.
    pub fn set_network(&self, network: Network) {
        self.shared.network.send_replace(network);
    }

    /// Cuts all connections.
    pub fn cut_all(&self) {
        self.shared.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts the next connection that carries a command, in the middle of the command.
    pub fn cut_next_command(&self) {
        self.arm(OneShot::CutCommand);
    }

    /// Cuts the next connection that carries a reply, in the middle of the reply.
    pub fn cut_next_reply(&self) {
        self.arm(OneShot::CutReply);
    }

    /// Loses the reply to the next command that contains this text.
    pub fn lose_answer_to(&self, containing: &str, loss: Loss) {
        self.lose_answer_after(0, containing, loss);
    }

    /// The same, after this many other commands that contain this text.
    pub fn lose_answer_after(&self, passes: usize, containing: &str, loss: Loss) {
        let containing = containing.as_bytes().to_vec();
        self.arm(OneShot::LoseReply(containing, loss, passes));
    }

    /// Lets the commands pass that [`Loss::Hold`] holds back.
    pub fn let_go(&self) {
        self.shared.let_go.send_modify(|times| *times += 1);
    }

    /// Holds back the next command that contains this text, and cuts the client's side of its
    /// connection: the client takes the command for lost, and it arrives later.
    pub fn hold_next_command(&self, containing: &str) -> HeldCommand {
        let (held, released) = oneshot::channel();
        self.arm(OneShot::Hold(containing.as_bytes().to_vec(), released));
        HeldCommand(held)
    }

    /// Whether everything that was to happen once has happened.
    pub fn is_spent(&self) -> bool {
        self.shared.armed.lock().unwrap().is_empty()
    }

    /// Cancels what was to happen once and has not.
    pub fn disarm(&self) {
        self.shared.armed.lock().unwrap().clear();
    }

    fn arm(&self, one_shot: OneShot) {
        self.shared.armed.lock().unwrap().push(one_shot);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        connections.spawn(relay(client, number, Arc::clone(&shared)));
    }
}

/// How a connection ended.
enum End {
    Closed,
    Held(Vec<u8>, oneshot::Receiver<()>),
}

async fn relay(client: TcpStream, number: u64, shared: Arc<Shared>) -> io::Result<()> {
    let upstream = shared.upstream.load(Ordering::Relaxed);
    // If nothing listens upstream, the client's connection is closed at once.
    let server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut cut = shared.cut.subscribe();
    let loss = watch::Sender::new(None);
    let end = tokio::select! {
        end = commands(&shared, number, &mut from_client, &mut to_server, &loss) => end?,
        end = replies(&shared, &mut from_server, &mut to_client, &loss) => end?,
        _ = cut.changed() => End::Closed,
    };
    let End::Held(piece, released) = end else {
        return Ok(());
    };
    drop((from_client, to_client));
    // An error means that the sender was dropped, which delivers the command, too.
    let _ = released.await;
    to_server.write_all(&piece).await?;
    // The reply goes nowhere. If we closed before it arrives, the command could be lost, too.
    from_server.read_u8().await.map(drop)
}

/// Passes commands on. `loss` says what happens to the replies of this connection.
async fn commands(
    shared: &Shared,
    number: u64,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    loss: &watch::Sender<Option<Loss>>,
) -> io::Result<End> {
    let mut buffer = vec![0; 64 * 1024];
    let mut let_go = shared.let_go.subscribe();
    let mut last = Instant::now();
    while let read @ 1.. = from.read(&mut buffer).await? {
        if let Some(observer) = &shared.observer {
            observer(number, &buffer[..read]);
        }
        if *loss.borrow() == Some(Loss::BlackHole) {
            continue;
        }
        let apart = shared.network.borrow().apart;
        let pieces = if apart.is_zero() {
            vec![&buffer[..read]]
        } else {
            one_by_one(&buffer[..read])
        };
        for piece in pieces {
            tokio::time::sleep_until(last + apart).await;
            let_go.mark_unchanged();
            match shared.take(|one_shot| one_shot.fits(piece)) {
                Some(OneShot::Hold(_, released)) => {
                    return Ok(End::Held(piece.to_vec(), released));
                }
                Some(OneShot::LoseReply(_, Loss::Hold, _)) => {
                    // An error means that the proxy was dropped.
                    let _ = let_go.changed().await;
                }
                Some(OneShot::LoseReply(_, how, _)) => {
                    loss.send_replace(Some(how));
                }
                Some(_) => {
                    to.write_all(&piece[..piece.len() / 2]).await?;
                    return Ok(End::Closed);
                }
                None => {}
            }
            shared.write(to, piece).await?;
            last = Instant::now();
        }
    }
    Ok(End::Closed)
}

/// The commands in a piece. None of their arguments may have a line that begins with `*`.
fn one_by_one(piece: &[u8]) -> Vec<&[u8]> {
    let mut commands = Vec::new();
    let mut rest = piece;
    while let Some(end) = rest.windows(3).position(|bytes| bytes == b"\r\n*") {
        let (command, others) = rest.split_at(end + 2);
        commands.push(command);
        rest = others;
    }
    commands.push(rest);
    commands
}

async fn replies(
    shared: &Shared,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    loss: &watch::Sender<Option<Loss>>,
) -> io::Result<End> {
    let mut buffer = vec![0; 64 * 1024];
    while let read @ 1.. = from.read(&mut buffer).await? {
        if shared.network.borrow().swallow {
            loss.send_replace(Some(Loss::BlackHole));
        }
        match *loss.borrow() {
            None | Some(Loss::Hold) => {}
            Some(Loss::Cut) => return Ok(End::Closed),
            Some(Loss::Swallow | Loss::BlackHole) => continue,
        }
        let cut = shared.take(|one_shot| matches!(one_shot, OneShot::CutReply));
        if cut.is_some() {
            to.write_all(&buffer[..read / 2]).await?;
            return Ok(End::Closed);
        }
        shared.write(to, &buffer[..read]).await?;
    }
    Ok(End::Closed)
}

impl Shared {
    fn take(&self, fits: impl FnMut(&mut OneShot) -> bool) -> Option<OneShot> {
        let mut armed = self.armed.lock().unwrap();
        let index = armed.iter_mut().position(fits)?;
        Some(armed.remove(index))
    }

    async fn write(&self, to: &mut OwnedWriteHalf, piece: &[u8]) -> io::Result<()> {
        let mut changes = self.network.subscribe();
        let delay = changes.borrow_and_update().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let network = changes.wait_for(|network| !network.blackhole).await;
        let halves = network.is_ok_and(|network| network.halves);
        let (first, second) = piece.split_at(if halves { piece.len() / 2 } else { 0 });
        if !first.is_empty() {
            to.write_all(first).await?;
            // Long enough for the other side to have read it.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        to.write_all(second).await
    }
}

fn contains(piece: &[u8], bytes: &[u8]) -> bool {
    piece.windows(bytes.len()).any(|window| window == bytes)
}
