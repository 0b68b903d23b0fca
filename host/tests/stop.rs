//! How the host stops: it waits a short time for running requests. Spin does not wait.
//!
//! The tests run the project's component, which `cargo xtask build` must have built. No request
//! here gets as far as Redis.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running host. It is killed on drop.
struct Host {
    process: Child,
    address: String,
}

impl Host {
    fn start() -> Self {
        // Read at run time: at compile time it may have been the folder of another clone with the
        // same target folder.
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
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_until_connections_are_refused(&self) {
        let start = Instant::now();
        while TcpStream::connect(&self.address).is_ok() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "it still accepts"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a request except for the last byte of its body, and waits until the component has it.
    fn begin_request(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = "POST /api/v1/users/perform-action?user_id=7 HTTP/1.1\r\n\
                    Host: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // The host sends this once the component reads the body.
        let mut continues = [0; 25];
        stream.read_exact(&mut continues).unwrap();
        assert_eq!(&continues, b"HTTP/1.1 100 Continue\r\n\r\n");
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
fn a_signal_stops_the_host_once_running_requests_are_finished() {
    for signal in ["INT", "TERM"] {
        let mut host = Host::start();
        let mut request = host.begin_request();
        host.signal(signal);
        host.wait_until_connections_are_refused();
        request.write_all(b"x").unwrap();
        let mut response = String::new();
        request.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        assert!(response.contains("malformed-json"), "{response}");
        assert!(host.wait().success(), "{signal}");
    }
}

#[test]
fn the_host_does_not_wait_for_a_request_that_never_ends() {
    let mut host = Host::start();
    let _request = host.begin_request();
    let start = Instant::now();
    host.signal("TERM");
    assert!(host.wait().success());
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_second_signal_stops_the_host_at_once() {
    let mut host = Host::start();
    let _request = host.begin_request();
    host.signal("TERM");
    host.wait_until_connections_are_refused();
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(143));
}

#[test]
fn a_signal_stops_an_idle_host_at_once() {
    for signal in ["INT", "TERM"] {
        let mut host = Host::start();
        host.signal(signal);
        assert!(host.wait().success(), "{signal}");
    }
}
