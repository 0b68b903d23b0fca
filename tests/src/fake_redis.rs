//! A server in the place of Redis that speaks nonsense or nothing.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::server::LocalServer;

/// What [`FakeRedis`] does with its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Connects them to the real server at this port.
    Forward(u16),
    /// The same, but the server refuses time limits with decimals, as Redis 5 does.
    ForwardAsRedis5(u16),
    /// Reads, and never answers.
    Silent,
    /// Closes every connection at once.
    Close,
    /// Answers each command with these bytes.
    Answer(Vec<u8>),
    /// Answers the first command with these bytes and closes.
    AnswerAndClose(Vec<u8>),
}

/// A TCP server of a test's own on 127.0.0.1. A change of behaviour closes its open connections.
pub struct FakeRedis {
    behaviour: watch::Sender<Behaviour>,
    server: LocalServer,
}

impl FakeRedis {
    /// Starts one.
    pub async fn start(behaviour: Behaviour) -> Self {
        let behaviour = watch::Sender::new(behaviour);
        let server = LocalServer::start(|listener| serve(listener, behaviour.clone())).await;
        Self { behaviour, server }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Behaves like this from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }
}

/// Accepts connections. They end with the test's runtime.
async fn serve(listener: TcpListener, behaviour: watch::Sender<Behaviour>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut changes = behaviour.subscribe();
        tokio::spawn(async move {
            let behaviour = changes.borrow_and_update().clone();
            tokio::select! {
                () = act(stream, behaviour) => {}
                _ = changes.changed() => {}
            }
        });
    }
}

async fn act(mut stream: TcpStream, behaviour: Behaviour) {
    let (bytes, close) = match behaviour {
        Behaviour::Close => return,
        Behaviour::Forward(port) => {
            if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            }
            return;
        }
        Behaviour::ForwardAsRedis5(port) => {
            if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                forward_as_redis_5(stream, server).await;
            }
            return;
        }
        Behaviour::Silent => (Vec::new(), false),
        Behaviour::Answer(bytes) => (bytes, false),
        Behaviour::AnswerAndClose(bytes) => (bytes, true),
    };
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        // Each command is an array of strings. Those of one pipeline arrive together.
        let lines = piece[..read].split(|byte| *byte == b'\n');
        let commands = lines.filter(|line| line.starts_with(b"*")).count();
        if stream.write_all(&bytes.repeat(commands)).await.is_err() || close {
            return;
        }
    }
}

async fn forward_as_redis_5(client: TcpStream, server: TcpStream) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pieces(from_client, to_server, without_decimals) => {}
        () = pieces(from_server, to_client, as_redis_5_says) => {}
    }
}

/// Passes on what arrives, with each piece changed. Each command and answer is small enough to
/// arrive in one piece.
async fn pieces(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    change: impl Fn(&[u8]) -> Vec<u8>,
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if to.write_all(&change(&piece[..read])).await.is_err() {
            return;
        }
    }
}

/// Spoils the time limit of a `BLPOP` that has decimals, so that the server refuses it.
fn without_decimals(command: &[u8]) -> Vec<u8> {
    let mut changed = command.to_vec();
    let text = String::from_utf8_lossy(command);
    let text = text.trim_end();
    let last = text.rsplit("\r\n").next().unwrap_or_default();
    if text.contains("BLPOP") && last.contains('.') {
        changed[text.len() - last.len()..text.len()].fill(b'x');
    }
    changed
}

/// The refusal in the words of Redis 5.
fn as_redis_5_says(answer: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    if text.starts_with("-ERR timeout is not a float") {
        return text.replace("a float", "an integer").into_bytes();
    }
    answer.to_vec()
}
