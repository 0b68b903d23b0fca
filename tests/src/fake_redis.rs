//! What stands where Redis should: a server that speaks nonsense or nothing, or a link to a real Redis that loses answers.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What [`FakeRedis`] does with its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Passes everything on to the real server at this port, and its answers back.
    Forward(u16),
    /// The same, and seconds have no decimals, as in Redis 5.
    ForwardAsRedis5(u16),
    /// Accepts and reads, and never answers.
    Silent,
    /// Closes every connection at once.
    Close,
    /// Answers each command with these bytes.
    Answer(Vec<u8>),
    /// Answers whatever comes with these bytes and closes.
    AnswerAndClose(Vec<u8>),
}

/// Which answer of the real server gets lost, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection breaks once the server has answered.
    Cut,
    /// The answer never arrives; the connection stays.
    Swallow,
    /// The answer never arrives, and neither does anything else, in either direction; the connection stays.
    BlackHole,
    /// The command itself and all that follows over its connection wait until [`FakeRedis::let_go`]; the connection stays.
    Hold,
}

/// Which command loses its answer.
struct Trap {
    marker: Vec<u8>,
    /// How many such commands pass before.
    passes: usize,
    loss: Loss,
}

/// A TCP server of a test's own on 127.0.0.1. What it does can be changed at any time: connections that are open then break.
pub struct FakeRedis {
    port: u16,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    behaviour: watch::Sender<Behaviour>,
    trap: Mutex<Option<Trap>>,
    /// How often commands that are held were let go.
    let_go: watch::Sender<u64>,
}

impl FakeRedis {
    /// Starts one.
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            behaviour: watch::Sender::new(behaviour),
            trap: Mutex::default(),
            let_go: watch::Sender::new(0),
        });
        let served = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self {
            port,
            state,
            server,
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Does something else from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.behaviour.send_replace(behaviour);
    }

    /// Of the next command that holds `marker`, the real server's answer gets lost.
    pub fn lose_answer_to(&self, marker: &str, loss: Loss) {
        self.lose_answer_after(0, marker, loss);
    }

    /// The same, of the command after so many others that hold `marker`.
    pub fn lose_answer_after(&self, passes: usize, marker: &str, loss: Loss) {
        let marker = marker.as_bytes().to_vec();
        *self.state.trap.lock().unwrap() = Some(Trap {
            marker,
            passes,
            loss,
        });
    }

    /// Lets the commands pass that are held.
    pub fn let_go(&self) {
        self.state.let_go.send_modify(|times| *times += 1);
    }

    /// Whether there was such a command.
    pub fn has_lost(&self) -> bool {
        self.state.trap.lock().unwrap().is_none()
    }
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        // The connections end with the test's runtime.
        self.server.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut changes = state.behaviour.subscribe();
    let behaviour = changes.borrow_and_update().clone();
    tokio::select! {
        () = act(stream, behaviour, &state) => {}
        _ = changes.changed() => {}
    }
}

async fn act(mut stream: TcpStream, behaviour: Behaviour, state: &State) {
    let (bytes, close) = match behaviour {
        Behaviour::Close => return,
        Behaviour::Forward(port) => return forward(stream, port, state, false).await,
        Behaviour::ForwardAsRedis5(port) => return forward(stream, port, state, true).await,
        Behaviour::Silent => (Vec::new(), false),
        Behaviour::Answer(bytes) => (bytes, false),
        Behaviour::AnswerAndClose(bytes) => (bytes, true),
    };
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        // Each command is an array of strings; those of one pipeline come together.
        let lines = piece[..read].split(|byte| *byte == b'\n');
        let commands = lines.filter(|line| line.starts_with(b"*")).count();
        if stream.write_all(&bytes.repeat(commands)).await.is_err() || close {
            return;
        }
    }
}

async fn forward(client: TcpStream, port: u16, state: &State, as_redis_5: bool) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (loss, lost) = watch::channel(None);
    tokio::select! {
        () = commands(from_client, to_server, state, &loss, as_redis_5) => {}
        () = answers(from_server, to_client, lost) => {}
    }
}

/// Passes commands on, and springs the trap at the one that it waits for.
async fn commands(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    state: &State,
    loss: &watch::Sender<Option<Loss>>,
    as_redis_5: bool,
) {
    let mut piece = vec![0; 64 * 1024];
    let mut let_go = state.let_go.subscribe();
    while let Ok(read @ 1..) = client.read(&mut piece).await {
        if as_redis_5 {
            without_decimals(&mut piece[..read]);
        }
        if *loss.borrow() == Some(Loss::BlackHole) {
            continue;
        }
        let sprung = spring(state, &piece[..read]);
        if sprung.is_some() {
            loss.send_replace(sprung);
        }
        if sprung == Some(Loss::Hold) {
            let_go.mark_unchanged();
            let _ = let_go.changed().await;
        }
        if server.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

fn spring(state: &State, command: &[u8]) -> Option<Loss> {
    let mut slot = state.trap.lock().unwrap();
    let trap = slot.as_mut()?;
    let marker = trap.marker.as_slice();
    if !command.windows(marker.len()).any(|window| window == marker) {
        return None;
    }
    if trap.passes > 0 {
        trap.passes -= 1;
        return None;
    }
    slot.take().map(|trap| trap.loss)
}

/// Spoils the time limit of a `BLPOP` that has decimals, so that the server refuses it.
fn without_decimals(command: &mut [u8]) {
    let text = String::from_utf8_lossy(command).into_owned();
    let Some(last) = text.trim_end().rsplit("\r\n").next() else {
        return;
    };
    if text.contains("BLPOP") && last.contains('.') {
        let end = text.trim_end().len();
        command[end - last.len()..end].fill(b'x');
    }
}

/// Passes answers back until one gets lost. Each is small enough to come in one piece.
async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    lost: watch::Receiver<Option<Loss>>,
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = server.read(&mut piece).await {
        match *lost.borrow() {
            None | Some(Loss::Hold) => {}
            Some(Loss::Cut) => return,
            Some(Loss::Swallow | Loss::BlackHole) => continue,
        }
        // What Redis 5 says.
        let answer = String::from_utf8_lossy(&piece[..read]);
        if answer.starts_with("-ERR timeout is not a float") {
            let answer = answer.replace("a float", "an integer");
            if client.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        if client.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
