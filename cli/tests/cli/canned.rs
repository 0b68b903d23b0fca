//! A service that gives one answer and shows what it was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

pub(crate) struct Canned {
    address: String,
    asked: JoinHandle<String>,
}

impl Canned {
    /// What edgelatch answers where there is nothing to tell.
    pub(crate) fn nothing() -> Self {
        Self::start("204 No Content\r\nX-Request-Id: 7f3a\r\n\r\n")
    }

    /// `answer` begins with the status: `204 No Content\r\n\r\n`.
    pub(crate) fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = format!("HTTP/1.1 {answer}");
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head = lines.by_ref().map(Result::unwrap);
            let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
            stream.write_all(answer.as_bytes()).unwrap();
            head.join("\n").to_lowercase()
        });
        Self { address, asked }
    }

    /// An answer with this JSON.
    pub(crate) fn json(status: &str, body: &str) -> Self {
        let length = body.len();
        Self::start(&format!(
            "{status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The head of the request, in lower case.
    pub(crate) fn asked(self) -> String {
        self.asked.join().unwrap()
    }
}
