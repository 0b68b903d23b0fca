//! How fast this machine is just now: the yardstick for limits of time.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Call;
use crate::service::Service;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks the service over and over for its readiness, which is one round trip to Redis and no more.
///
/// What the contract promises "within 150 ms" is promised by the service, not by a machine that has no processor left: on such a
/// one, every answer takes longer, this one too. A test of a limit adds what the slowest of these answers took.
pub struct Pace {
    task: JoinHandle<Duration>,
    stop_sender: oneshot::Sender<()>,
}

impl Pace {
    /// Begins to look.
    pub fn watch(service: &Service) -> Self {
        let address = service.address().to_owned();
        let (stop_sender, mut stop) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            loop {
                let answer = Call::new(&address, "GET", "/readyz").await;
                slowest = slowest.max(answer.took);
                if tokio::time::timeout(PAUSE, &mut stop).await.is_ok() {
                    return slowest;
                }
            }
        });
        Self { task, stop_sender }
    }

    /// How long the slowest answer took.
    pub async fn slowest(self) -> Duration {
        let _ = self.stop_sender.send(());
        self.task.await.unwrap()
    }
}
