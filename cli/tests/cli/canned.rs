//! Services whose answers a test writes: they show what they were asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What edgelatch answers where there is nothing to tell: a release, for one.
pub(crate) const NOTHING: &str = "204 No Content\r\nX-Request-Id: 7f3a\r\n\r\n";

/// Gives one answer.
pub(crate) struct Canned {
    address: String,
    asked: JoinHandle<String>,
}

impl Canned {
    pub(crate) fn nothing() -> Self {
        Self::start(NOTHING)
    }

    /// `answer` begins with the status: `204 No Content\r\n\r\n`.
    pub(crate) fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = format!("HTTP/1.1 {answer}");
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let head = head(&stream);
            stream.write_all(answer.as_bytes()).unwrap();
            head
        });
        Self { address, asked }
    }

    /// An answer with this JSON.
    pub(crate) fn json(status: &str, body: &str) -> Self {
        Self::start(&json(status, body))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The head of the request, in lower case.
    pub(crate) fn asked(self) -> String {
        self.asked.join().unwrap()
    }
}

/// Gives an answer to each request, one after another. It is also a proxy in front of itself: one
/// that answers CONNECT with 200 gets the request that follows, too.
pub(crate) struct Scripted {
    address: String,
    /// The heads of the requests, in lower case.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// `answer` gets the method, and how many requests with that method came before. An answer is
    /// like that of [`Canned::start`].
    pub(crate) fn start(mut answer: impl FnMut(&str, usize) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heads = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut is_tunnel = true;
                while is_tunnel {
                    let head = head(&stream);
                    let (method, _) = head.split_once(' ').unwrap_or_default();
                    let before = count(&heads.lock().unwrap(), method);
                    let answer = answer(&method.to_uppercase(), before);
                    is_tunnel = method == "connect" && answer.starts_with("200");
                    heads.lock().unwrap().push(head);
                    // A client that has given up does not read.
                    let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
                }
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The head of the first request with this method.
    pub(crate) fn head(&self, method: &str) -> String {
        let heads = self.asked.lock().unwrap();
        let method = format!("{} ", method.to_lowercase());
        let head = heads.iter().find(|head| head.starts_with(&method));
        head.unwrap().clone()
    }

    /// How many requests with this method came.
    pub(crate) fn asked(&self, method: &str) -> usize {
        count(&self.asked.lock().unwrap(), &method.to_lowercase())
    }
}

fn count(heads: &[String], method: &str) -> usize {
    let is_of = |head: &&String| head.split(' ').next() == Some(method);
    heads.iter().filter(is_of).count()
}

/// An answer with this JSON.
pub(crate) fn json(status: &str, body: &str) -> String {
    let length = body.len();
    format!("{status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// The head of a request, in lower case.
fn head(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines();
    let head = lines.by_ref().map(Result::unwrap);
    let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
    head.join("\n").to_lowercase()
}
