//! A TCP proxy in front of a Redis that cuts, delays, swallows and splits what passes: the network between the two.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// How all that passes fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Nothing passes. What was sent meanwhile passes afterwards.
    pub blackhole: bool,
    /// Each piece is passed on so much later; what comes over one connection stays in its order.
    pub delay: Duration,
    /// Each piece is passed on in two halves.
    pub halves: bool,
}

/// What happens once, to the next piece that it fits.
enum Trick {
    /// Half of a command passes, then the connection is cut on both sides.
    CutCommand,
    /// A command passes, and half of its reply; then the connection is cut on both sides.
    CutReply,
    /// The client's side is cut as soon as a command that contains these bytes has come; the command passes when it is told to.
    Hold(Vec<u8>, oneshot::Receiver<()>),
}

/// A proxy on 127.0.0.1 in front of another port.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    weather: watch::Sender<Weather>,
    tricks: Mutex<Vec<Trick>>,
    cut: watch::Sender<u64>,
}

/// A command that is held back. Dropped, it is let go too.
pub struct Held(
    #[expect(dead_code, reason = "the other end sees that it is dropped")] oneshot::Sender<()>,
);

impl Held {
    /// Lets it pass.
    pub fn deliver(self) {}
}

impl Proxy {
    /// A proxy in front of `upstream`, a port on 127.0.0.1.
    pub async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            weather: watch::Sender::new(Weather::default()),
            tricks: Mutex::default(),
            cut: watch::Sender::new(0),
        });
        let server = tokio::spawn(serve(listener, upstream, Arc::clone(&shared)));
        Self {
            port,
            shared,
            server,
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Cuts all connections.
    pub fn cut_all(&self) {
        self.shared.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts the next connection over which a command comes, in the middle of it.
    pub fn cut_next_command(&self) {
        self.arm(Trick::CutCommand);
    }

    /// Cuts the next connection over which a reply comes, in the middle of it.
    pub fn cut_next_reply(&self) {
        self.arm(Trick::CutReply);
    }

    /// Cuts the client's side of the next connection over which a command with `containing` in it comes, and holds that command
    /// back: to the client it is lost, and still it will arrive.
    pub fn hold_next_command(&self, containing: &str) -> Held {
        let (held, released) = oneshot::channel();
        self.arm(Trick::Hold(containing.as_bytes().to_vec(), released));
        Held(held)
    }

    /// Whether everything that was to happen once has happened.
    pub fn is_spent(&self) -> bool {
        self.shared.tricks.lock().unwrap().is_empty()
    }

    /// Takes back what was to happen once and has not. Returns how much of it there was.
    pub fn disarm(&self) -> usize {
        self.shared.tricks.lock().unwrap().drain(..).count()
    }

    fn arm(&self, trick: Trick) {
        self.shared.tricks.lock().unwrap().push(trick);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, upstream: u16, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(pass(client, upstream, Arc::clone(&shared)));
    }
}

/// How a connection ended.
enum End {
    Closed,
    Held(Vec<u8>, oneshot::Receiver<()>),
}

async fn pass(client: TcpStream, upstream: u16, shared: Arc<Shared>) -> io::Result<()> {
    // Where there is nobody, the client's connection is closed at once.
    let server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut cut = shared.cut.subscribe();
    let end = tokio::select! {
        end = commands(&shared, &mut from_client, &mut to_server) => end?,
        end = replies(&shared, &mut from_server, &mut to_client) => end?,
        _ = cut.changed() => End::Closed,
    };
    let End::Held(piece, released) = end else {
        return Ok(());
    };
    drop((from_client, to_client));
    // An error means that it was let go, too.
    let _ = released.await;
    to_server.write_all(&piece).await?;
    // Its reply goes nowhere; closing before it comes could take the command along.
    from_server.read_u8().await.map(drop)
}

async fn commands(
    shared: &Shared,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<End> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(End::Closed);
        }
        let piece = &buffer[..read];
        match shared.take(|trick| match trick {
            Trick::CutCommand => true,
            Trick::CutReply => false,
            Trick::Hold(containing, _) => contains(piece, containing),
        }) {
            Some(Trick::Hold(_, released)) => return Ok(End::Held(piece.to_vec(), released)),
            Some(_) => {
                to.write_all(&piece[..read / 2]).await?;
                return Ok(End::Closed);
            }
            None => shared.write(to, piece).await?,
        }
    }
}

async fn replies(
    shared: &Shared,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<End> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(End::Closed);
        }
        if shared
            .take(|trick| matches!(trick, Trick::CutReply))
            .is_some()
        {
            to.write_all(&buffer[..read / 2]).await?;
            return Ok(End::Closed);
        }
        shared.write(to, &buffer[..read]).await?;
    }
}

impl Shared {
    fn take(&self, fits: impl Fn(&Trick) -> bool) -> Option<Trick> {
        let mut tricks = self.tricks.lock().unwrap();
        let index = tricks.iter().position(fits)?;
        Some(tricks.remove(index))
    }

    async fn write(&self, to: &mut OwnedWriteHalf, piece: &[u8]) -> io::Result<()> {
        let mut changes = self.weather.subscribe();
        let delay = changes.borrow_and_update().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let weather = changes.wait_for(|weather| !weather.blackhole).await;
        let halves = weather.is_ok_and(|weather| weather.halves);
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
