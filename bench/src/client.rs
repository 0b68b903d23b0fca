//! An HTTP/1.1 client that records when each part of an answer arrives, which load generators don't
//! report. It has one connection and sends one request at a time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The most headers that an answer may have.
const MOST_HEADERS: usize = 32;

/// A connection that stays open between requests.
pub(crate) struct Client {
    stream: TcpStream,
    host: String,
    received: Vec<u8>,
}

/// An answer, and when it arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// When the request was sent.
    pub(crate) sent: Instant,
    /// When its head was complete.
    pub(crate) head: Instant,
    /// When its body was complete.
    pub(crate) end: Instant,
    /// Whether the body, or a part of it, arrived after the head.
    pub(crate) split: bool,
}

impl Answer {
    /// The time from the request to the last byte.
    pub(crate) fn took(&self) -> Duration {
        self.end - self.sent
    }

    /// The time from the head to the end of the body.
    pub(crate) fn trail(&self) -> Duration {
        self.end - self.head
    }
}

impl Client {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// If nothing listens there.
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: address.to_owned(),
            received: Vec::new(),
        })
    }

    /// Sends a request without a body and reads the answer.
    ///
    /// # Errors
    /// If the connection is closed, or the answer does not announce its length.
    pub(crate) async fn call(&mut self, method: &str, path: &str) -> anyhow::Result<Answer> {
        self.call_with(method, path, "").await
    }

    /// The same with a JSON body.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub(crate) async fn call_with(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        self.call_headed(method, path, "", body).await
    }

    /// The same with more headers: lines that each end with CR and LF.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub(crate) async fn call_headed(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            self.host,
            body.len()
        );
        self.received.clear();
        let sent = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        self.answer(sent).await
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        let head = Head::parse(&self.received).ok().flatten();
        let begins = head.map_or(0, |head| head.length);
        self.received.get(begins..).unwrap_or_default()
    }

    async fn answer(&mut self, sent: Instant) -> anyhow::Result<Answer> {
        let mut head = None;
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the connection was closed before the answer was complete");
            }
            let now = Instant::now();
            let Some(announced) = Head::parse(&self.received)? else {
                continue;
            };
            let head_arrived_at = *head.get_or_insert(now);
            if self.received.len() >= announced.length + announced.body {
                return Ok(Answer {
                    status: announced.status,
                    sent,
                    head: head_arrived_at,
                    end: now,
                    split: head_arrived_at != now,
                });
            }
        }
    }
}

/// The parts of an answer's head that we need.
#[derive(Debug, PartialEq)]
struct Head {
    status: u16,
    /// Its own length, in bytes.
    length: usize,
    /// The length of the body.
    body: usize,
}

impl Head {
    /// Parses it. `None` while it is incomplete.
    fn parse(received: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(received)? else {
            return Ok(None);
        };
        let status = response.code.context("no status")?;
        let announced = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let body = match announced {
            Some(header) => std::str::from_utf8(header.value)?.trim().parse()?,
            None if status == 204 => 0,
            None => bail!("the length of the answer is not announced"),
        };
        Ok(Some(Self {
            status,
            length,
            body,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::net::TcpListener;

    use super::*;

    /// A server that writes these pieces, 30 ms apart, to its first client.
    async fn serving(pieces: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_late_body_is_noticed() {
        let address = serving(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", "{}"]).await;
        let mut client = Client::connect(&address).await.unwrap();
        let answer = client.call("GET", "/").await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.split);
        assert!(answer.trail() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn an_answer_in_one_piece_is_not_split() {
        let address = serving(&["HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"]).await;
        let mut client = Client::connect(&address).await.unwrap();
        let answer = client.call("GET", "/").await.unwrap();
        assert_eq!((answer.status, answer.split), (201, false));
        assert_eq!(client.body(), b"{}");
        assert_eq!(answer.trail(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_truncated_answer_is_an_error() {
        let address = serving(&["HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}"]).await;
        let mut client = Client::connect(&address).await.unwrap();
        assert!(client.call("GET", "/").await.is_err());
    }

    #[test]
    fn the_length_must_be_announced() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        let empty = Head::parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(empty.unwrap().body, 0);
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n").unwrap().is_none());
    }
}
