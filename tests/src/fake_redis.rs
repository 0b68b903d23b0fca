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
}

/// A TCP server of a test's own on 127.0.0.1. What it does can be changed at any time: connections that are open then break.
pub struct FakeRedis {
    port: u16,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    behaviour: watch::Sender<Behaviour>,
    /// The next command that holds these bytes loses its answer.
    trap: Mutex<Option<(Vec<u8>, Loss)>>,
}

impl FakeRedis {
    /// Starts one.
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            behaviour: watch::Sender::new(behaviour),
            trap: Mutex::default(),
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
        *self.state.trap.lock().unwrap() = Some((marker.as_bytes().to_vec(), loss));
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
        Behaviour::Forward(port) => return forward(stream, port, state).await,
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

async fn forward(client: TcpStream, port: u16, state: &State) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (loss, lost) = watch::channel(None);
    tokio::select! {
        () = commands(from_client, to_server, state, &loss) => {}
        () = answers(from_server, to_client, lost) => {}
    }
}

/// Passes commands on, and springs the trap at the one that it waits for.
async fn commands(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    state: &State,
    loss: &watch::Sender<Option<Loss>>,
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = client.read(&mut piece).await {
        let sprung = spring(state, &piece[..read]);
        if sprung.is_some() {
            loss.send_replace(sprung);
        }
        if server.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

fn spring(state: &State, command: &[u8]) -> Option<Loss> {
    let mut trap = state.trap.lock().unwrap();
    let (marker, loss) = trap.as_ref()?;
    let found = command
        .windows(marker.len())
        .any(|window| window == marker)
        .then_some(*loss);
    if found.is_some() {
        *trap = None;
    }
    found
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
            None => {}
            Some(Loss::Cut) => return,
            Some(Loss::Swallow) => continue,
        }
        if client.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
