//! How the host ends: requests under way are finished first. That is this host's own; Spin ends at once.
//!
//! Runs the project's component, which must have been built (`cargo xtask build`); no request here gets as far as Redis.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A host that serves; killed on drop.
struct Host {
    process: Child,
    address: String,
}

impl Host {
    fn start() -> Self {
        // As cargo says now: what was compiled in another clone that shares the target folder counts as fresh.
        let member = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let root = Path::new(&member).parent().unwrap();
        let host = std::env::var_os("CARGO_BIN_EXE_edgelatch-host")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_edgelatch-host").into());
        let mut process = Command::new(host)
            .args(["up", "--listen", "127.0.0.1:0", "--from"])
            .arg(root.join("spin.toml"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Serving http://");
        Self {
            address: address.unwrap().to_owned(),
            process,
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_it_refuses_connections(&self) {
        let began = Instant::now();
        while TcpStream::connect(&self.address).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a request but for the last byte of its body, and waits until the component has it.
    fn begin_request(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = "POST /api/v1/users/perform-action?user_id=7 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // It is asked for the body once the component reads it.
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"{").unwrap();
        stream
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_signal_ends_it_cleanly_once_requests_under_way_are_finished() {
    for signal in ["INT", "TERM"] {
        let mut host = Host::start();
        let mut request = host.begin_request();
        host.signal(signal);
        host.until_it_refuses_connections();
        request.write_all(b"x").unwrap();
        let mut answer = String::new();
        request.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("malformed-json"), "{answer}");
        assert!(host.wait().success(), "{signal}");
    }
}

#[test]
fn a_request_that_never_ends_is_not_waited_for() {
    let mut host = Host::start();
    let _request = host.begin_request();
    let began = Instant::now();
    host.signal("TERM");
    assert!(host.wait().success());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut host = Host::start();
    let _request = host.begin_request();
    host.signal("TERM");
    host.until_it_refuses_connections();
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(143));
}

#[test]
fn a_host_that_nobody_asks_ends_at_once() {
    for signal in ["INT", "TERM"] {
        let mut host = Host::start();
        host.signal(signal);
        assert!(host.wait().success(), "{signal}");
    }
}
