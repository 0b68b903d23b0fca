//! Requests byte by byte, for those that no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;

/// How long an answer may take. A request that hangs fails the test.
const LIMIT: Duration = Duration::from_secs(10);

/// The answer to bytes that were sent as they are.
#[derive(Debug)]
pub struct RawAnswer {
    /// The status. `None` if the connection was closed without an answer.
    pub status: Option<u16>,
    head: String,
    /// The body, as received.
    pub body: String,
}

impl RawAnswer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether the connection ended within the body.
    pub fn is_cut(&self) -> bool {
        let length = self.header("content-length");
        length.is_some_and(|length| length.parse().is_ok_and(|all: usize| self.body.len() < all))
    }

    /// The slug of a problem.
    pub fn slug(&self) -> Option<&str> {
        let (_, rest) = self.body.split_once("\"type\":\"urn:edgelatch:")?;
        rest.split('"').next()
    }
}

/// Sends these bytes and reads the answer, or to the end if there is none.
///
/// # Panics
/// If the other side neither answers nor closes.
pub async fn raw(address: &str, bytes: &[u8]) -> RawAnswer {
    talk(address, bytes, LIMIT).await
}

/// As [`raw`], for an incomplete request: the other side waits for the rest, and we hang up after
/// `patience`.
///
/// # Panics
/// If the other side does not close then.
pub async fn raw_then_hang_up(address: &str, bytes: &[u8], patience: Duration) -> RawAnswer {
    talk(address, bytes, patience).await
}

async fn talk(address: &str, bytes: &[u8], patience: Duration) -> RawAnswer {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    // The other side may answer and close before it has received everything.
    let _ = writer.write_all(bytes).await;
    let mut received = Vec::new();
    // A time-out leaves in `received` what has arrived.
    let mut ended = timeout(patience, receive(&mut reader, &mut received)).await;
    if ended.is_err() && patience < LIMIT {
        let _ = writer.shutdown().await;
        ended = timeout(LIMIT, receive(&mut reader, &mut received)).await;
    }
    assert!(
        ended.is_ok(),
        "neither an answer nor an end to {:?}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
    );
    parse(&received)
}

/// Reads until a final answer is complete, or to the end.
async fn receive(stream: &mut OwnedReadHalf, received: &mut Vec<u8>) {
    // Large, since each piece is followed by a look at all of them.
    let mut piece = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        received.extend_from_slice(&piece[..read]);
        let answer = parse(received);
        let length = answer.header("content-length").map(str::parse);
        if length.is_some_and(|length| length == Ok(answer.body.len())) {
            return;
        }
    }
}

fn parse(received: &[u8]) -> RawAnswer {
    let text = String::from_utf8_lossy(received);
    let mut rest = text.as_ref();
    loop {
        let (head, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        if status.is_none_or(|status: u16| status >= 200) {
            return RawAnswer {
                status,
                head: head.to_owned(),
                body: body.to_owned(),
            };
        }
        rest = body;
    }
}
