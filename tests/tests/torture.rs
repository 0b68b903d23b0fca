//! A short torture. `cargo xtask torture` is the long one.

use std::time::Duration;

use edgelatch_tests::torture::{self, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_promise_holds_under_torture() {
    let report = torture::run(Options {
        seed: 1,
        actions: 4000,
        faults: 34,
        limit: Some(Duration::from_secs(30)),
    })
    .await;
    eprintln!("{report}");
    assert!(report.is_good(), "{report}");
    // A slow machine may not come to the end of it; it must have come somewhere.
    assert!(report.commits > 50 && report.faults > 3, "{report}");
}
