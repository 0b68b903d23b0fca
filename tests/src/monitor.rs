//! The commands that a Redis receives (`MONITOR`).

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::redis::RedisServer;

static NEXT_MARKER: AtomicU64 = AtomicU64::new(0);

/// The commands that clients send from now on.
pub struct Monitor<'a> {
    redis: &'a RedisServer,
    lines: BufReader<TcpStream>,
}

impl RedisServer {
    /// Starts to record the commands that clients send.
    pub async fn monitor(&self) -> Monitor<'_> {
        let stream = TcpStream::connect(("127.0.0.1", self.port()))
            .await
            .unwrap();
        let mut monitor = Monitor {
            redis: self,
            lines: BufReader::new(stream),
        };
        monitor.lines.write_all(b"MONITOR\r\n").await.unwrap();
        assert_eq!(monitor.line().await, "+OK");
        monitor
    }
}

impl Monitor<'_> {
    /// The commands since the last call, one for each round trip. Commands that a script calls are
    /// left out, and so are the tests' own: the service asks neither for `INFO` nor for `CLIENT`.
    pub async fn commands(&mut self) -> Vec<String> {
        let marker = format!("marker-{}", NEXT_MARKER.fetch_add(1, Ordering::Relaxed));
        self.redis.run::<String>(&["ECHO", &marker]).await;
        let mut seen = Vec::new();
        loop {
            // +1700000000.123456 [0 127.0.0.1:40000] "GET" "key"
            let line = self.line().await;
            let (_, rest) = line.split_once('[').unwrap();
            let (client, command) = rest.split_once("] ").unwrap();
            if command.contains(&marker) {
                seen.retain(|(by, _)| by != client);
                return seen.into_iter().map(|(_, command)| command).collect();
            }
            let is_a_tests = |name| command.starts_with(name);
            if client != "0 lua" && !["\"INFO\"", "\"CLIENT\""].into_iter().any(is_a_tests) {
                seen.push((client.to_owned(), command.to_owned()));
            }
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).await.unwrap();
        assert!(line.ends_with('\n'), "Redis closed the connection");
        line.trim_end().to_owned()
    }
}
