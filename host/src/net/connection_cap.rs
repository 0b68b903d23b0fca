//! The cap on connections of the whole host (`max_connections` in `runtime-config.toml`).

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The most connections that may be open at the same time, or no cap. Clones share the cap.
#[derive(Clone, Default)]
pub(crate) struct ConnectionCap(Option<Arc<Semaphore>>);

impl ConnectionCap {
    /// At most `max` connections; no cap without.
    pub(crate) fn new(max: Option<usize>) -> Self {
        Self(max.map(|max| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)))))
    }

    /// Waits until one more connection is allowed. The connection must keep the permit as long as
    /// it is open.
    pub(crate) async fn acquire(&self) -> Result<Option<OwnedSemaphorePermit>, AcquireError> {
        match &self.0 {
            Some(permits) => permits.clone().acquire_owned().await.map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn a_cap_holds_until_a_permit_is_dropped() {
        let cap = ConnectionCap::new(Some(1));
        let permit = cap.acquire().now_or_never().unwrap().unwrap();
        assert!(cap.clone().acquire().now_or_never().is_none());
        drop(permit);
        assert!(cap.acquire().now_or_never().is_some());
    }

    #[test]
    fn any_number_is_a_cap_and_none_is_not() {
        assert!(
            ConnectionCap::new(Some(usize::MAX))
                .acquire()
                .now_or_never()
                .is_some()
        );
        let none = ConnectionCap::new(None);
        assert!(none.acquire().now_or_never().unwrap().unwrap().is_none());
    }
}
