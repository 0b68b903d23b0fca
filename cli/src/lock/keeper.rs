//! Renews a lease in the background, and reports how that goes.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Event;
use super::lease::{Lease, LeaseClient, Renewal};

/// The longest pause between two tries while the service does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Renews one lease, until it is stopped or has lost the lease.
pub(super) struct Keeper {
    thread: JoinHandle<()>,
    /// It stops when this is dropped.
    running: Sender<()>,
}

impl Keeper {
    /// Renews at a third of `expire`. A renewal becomes an event, and the loss of the lease, too.
    pub(super) fn start(
        client: LeaseClient,
        held: Lease,
        expire: Duration,
        events: Sender<Event>,
    ) -> Self {
        let (running, stop) = channel();
        let thread = std::thread::spawn(move || {
            if let Some(why) = keep(&client, held, expire, &stop, &events) {
                // The receiver has ended.
                let _ = events.send(Event::Lost(why));
            }
        });
        Self { thread, running }
    }

    /// Stops it, so that no renewal comes after the release.
    pub(super) fn stop(self) {
        drop(self.running);
        let _ = self.thread.join();
    }
}

/// Returns why the lease was lost. `None` if it was stopped first.
fn keep(
    client: &LeaseClient,
    mut held: Lease,
    expire: Duration,
    stop: &Receiver<()>,
    events: &Sender<Event>,
) -> Option<String> {
    let mut pause = expire / 3;
    loop {
        if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return None;
        }
        let left = held.good_until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // This process was stopped.
            return Some("it was not renewed in time".to_owned());
        }
        match client.renew(left) {
            Renewal::Renewed(renewed) => {
                held = renewed;
                // Without a receiver, it is stopped soon.
                let _ = events.send(Event::Renewed(held.clone()));
                pause = expire / 3;
            }
            Renewal::Lost(why) => return Some(why),
            // We hold it until it expires, so an unanswered renewal is tried again.
            Renewal::Unknown(why) if Instant::now() >= held.good_until => return Some(why),
            Renewal::Unknown(_) => {
                let left = held.good_until.saturating_duration_since(Instant::now());
                pause = (expire / 10).min(RETRY_PAUSE).min(left);
            }
        }
    }
}
