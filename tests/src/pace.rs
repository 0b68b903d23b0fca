//! How fast this machine is at the moment: the yardstick for time limits.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Call;
use crate::service::Service;

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks the service for a lock's state again and again, which costs one round trip to Redis.
///
/// The service promises to be ready "within 150 ms", but on a busy machine every answer takes
/// longer, this one too. A test of a time limit adds the time of the slowest of these answers.
pub struct Pace {
    task: JoinHandle<Duration>,
    stop_sender: oneshot::Sender<()>,
}

impl Pace {
    /// Starts to measure.
    pub fn watch(service: &Service) -> Self {
        let address = service.address().to_owned();
        let (stop_sender, mut stop) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            loop {
                let answer = Call::new(&address, "GET", "/api/v1/users/0/lock").await;
                slowest = slowest.max(answer.took);
                if tokio::time::timeout(PAUSE, &mut stop).await.is_ok() {
                    return slowest;
                }
            }
        });
        Self { task, stop_sender }
    }

    /// The time of the slowest answer.
    pub async fn slowest(self) -> Duration {
        let _ = self.stop_sender.send(());
        self.task.await.unwrap()
    }
}
