//! The distance to a Redis: a TCP proxy that passes everything on half a round trip later.
//!
//! It only adds time. What comes in while something is on its way does not wait for that, so there
//! is no limit for what passes in a second. Each connection has four threads of its own, since the
//! timers of an async runtime are too coarse for half a millisecond.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// A proxy on 127.0.0.1. Its threads end with their connections; the one that listens ends with the
/// process.
pub(crate) struct DelayProxy {
    port: u16,
}

impl DelayProxy {
    /// A proxy in front of `upstream`, a port on 127.0.0.1, with this round trip in between.
    ///
    /// # Errors
    /// If there is no free port.
    pub(crate) fn start(upstream: u16, round_trip: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that can't be served is closed.
                let _ = relay(&client, upstream, round_trip);
            }
        });
        Ok(Self { port })
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// A port where this Redis is that many milliseconds away, and the proxy that makes it so.
///
/// # Errors
/// If there is no free port.
pub(crate) fn at_distance(
    redis_port: u16,
    round_trip_ms: u64,
) -> io::Result<(Option<DelayProxy>, u16)> {
    if round_trip_ms == 0 {
        return Ok((None, redis_port));
    }
    let proxy = DelayProxy::start(redis_port, Duration::from_millis(round_trip_ms))?;
    let port = proxy.port();
    Ok((Some(proxy), port))
}

fn relay(client: &TcpStream, upstream: u16, round_trip: Duration) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", upstream))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // Far away, the client would learn of its connection one round trip later.
    let connected = Instant::now() + round_trip;
    let half = round_trip / 2;
    pass(client.try_clone()?, server.try_clone()?, half, connected);
    pass(server, client.try_clone()?, half, connected);
    Ok(())
}

/// A piece, and when it arrives on the other side.
type Piece = (Instant, Vec<u8>);

/// Passes one direction on in the background.
fn pass(from: TcpStream, to: TcpStream, late: Duration, connected: Instant) {
    let (sender, receiver) = channel();
    thread::spawn(move || take_in(from, late, connected, &sender));
    thread::spawn(move || deliver(&receiver, to));
}

fn take_in(mut from: TcpStream, late: Duration, connected: Instant, sender: &Sender<Piece>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let due = Instant::now().max(connected) + late;
        let bytes = buffer.get(..read).unwrap_or_default().to_vec();
        if sender.send((due, bytes)).is_err() {
            return;
        }
    }
}

/// Writes until the other side has closed, then closes this one.
fn deliver(receiver: &Receiver<Piece>, mut to: TcpStream) {
    for (due, bytes) in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // It may be closed already.
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// A server that sends everything back.
    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        port
    }

    #[test]
    fn each_way_takes_half_a_round_trip() {
        let proxy = DelayProxy::start(echo(), Duration::from_millis(40)).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        let mut answer = [0; 4];
        let mut ask = || {
            let began = Instant::now();
            stream.write_all(b"ping").unwrap();
            stream.read_exact(&mut answer).unwrap();
            began.elapsed()
        };
        // The first one waits for the connection, too.
        assert!(ask() >= Duration::from_millis(75));
        let later = ask();
        assert!(later >= Duration::from_millis(40), "{later:?}");
        assert!(later < Duration::from_millis(75), "{later:?}");
    }

    #[test]
    fn what_is_under_way_holds_nothing_up() {
        let proxy = DelayProxy::start(echo(), Duration::from_millis(40)).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        let began = Instant::now();
        let mut writing = stream.try_clone().unwrap();
        thread::spawn(move || {
            for _ in 0..200 {
                writing.write_all(&[0; PIECE]).unwrap();
            }
        });
        stream.read_exact(&mut vec![0; 200 * PIECE]).unwrap();
        // One after the other, the pieces would take eight seconds.
        assert!(began.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn a_close_is_passed_on() {
        let proxy = DelayProxy::start(echo(), Duration::ZERO).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }
}
