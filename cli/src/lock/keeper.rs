//! Renews a lease in the background, and reports how that goes.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Event;
use super::lease::{Lease, LeaseClient, Renewal};

/// The longest pause between two tries while the service does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The shortest time for an answer to a renewal, as long as the lease lives.
const LEAST_LIMIT: Duration = Duration::from_secs(1);

/// What a keeper leaves behind.
pub(super) struct Kept {
    /// As it was renewed last.
    pub(super) held: Lease,
    /// Why the last renewal failed, if it did.
    pub(super) failed: Option<String>,
}

/// Renews one lease, until it is stopped or has lost the lease.
pub(super) struct Keeper {
    thread: JoinHandle<Kept>,
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
        let thread = std::thread::spawn(move || keep(&client, held, expire, &stop, &events));
        Self { thread, running }
    }

    /// Stops it, so that no renewal comes after the release. `None` if it has crashed.
    pub(super) fn stop(self) -> Option<Kept> {
        drop(self.running);
        self.thread.join().ok()
    }
}

fn keep(
    client: &LeaseClient,
    mut held: Lease,
    expire: Duration,
    stop: &Receiver<()>,
    events: &Sender<Event>,
) -> Kept {
    let lost = |held, why: String| {
        // The receiver has ended.
        let _ = events.send(Event::Lost(why.clone()));
        let failed = Some(why);
        Kept { held, failed }
    };
    // One try must not use up the lease: its connection may hang, and another would do.
    let limit = (expire / 3).max(LEAST_LIMIT);
    let mut pause = expire / 3;
    let mut failed = None;
    loop {
        if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return Kept { held, failed };
        }
        let left = held.good_until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Or this process was stopped.
            let why = failed.unwrap_or_else(|| "it was not renewed in time".to_owned());
            return lost(held, why);
        }
        match client.renew(left.min(limit)) {
            Renewal::Renewed(renewed) => {
                held = renewed;
                failed = None;
                // Without a receiver, it is stopped soon.
                let _ = events.send(Event::Renewed(held.clone()));
                pause = expire / 3;
            }
            Renewal::Lost(why) => return lost(held, why),
            // We hold it until it expires, so an unanswered renewal is tried again.
            Renewal::Unknown(why) if Instant::now() >= held.good_until => return lost(held, why),
            Renewal::Unknown(why) => {
                failed = Some(why);
                // It may have been carried out.
                held.gone_at = Instant::now() + expire;
                let left = held.good_until.saturating_duration_since(Instant::now());
                pause = (expire / 10).min(RETRY_PAUSE).min(left);
            }
        }
    }
}
