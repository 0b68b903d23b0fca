//! A server in the place of Redis that speaks nonsense or nothing.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::server::LocalServer;

/// What [`FakeRedis`] does with its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Connects them to the real server at this port.
    Forward(u16),
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
