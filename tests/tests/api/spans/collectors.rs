//! Collectors that are not well, and components that ask for what they do not get.

use std::time::Duration;

use edgelatch_tests::{App, AppBuilder, Collector, manifest_with_spans, on_spin, refusal, within};
use tokio::net::TcpListener;

use super::{in_trace, of_component, trace, traced};

/// Twenty actions take no longer than they may.
async fn assert_serves(app: &App) {
    let (_, took) = within(Duration::from_secs(5), async {
        for number in 0..20 {
            let call = in_trace(app.perform("user_id=7"), &trace(number));
            assert_eq!(call.await.status, 200);
        }
    })
    .await;
    assert!(took > Duration::ZERO);
}

fn exporting_to(port: u16) -> AppBuilder {
    let url = format!("http://127.0.0.1:{port}");
    App::builder().patient().with_spans().exporting_to(&url)
}

#[tokio::test]
async fn a_collector_that_is_away_delays_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let app = exporting_to(port).start().await;
    assert_serves(&app).await;
    if !on_spin() {
        let told = || app.logs().matches("Spans cannot be sent").count();
        edgelatch_tests::until("it is told", || async { told() > 0 }).await;
        assert_serves(&app).await;
        assert_eq!(told(), 1);
    }
}

#[tokio::test]
async fn a_collector_that_does_not_answer_delays_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = exporting_to(port).start().await;
    assert_serves(&app).await;
    let (asked, _) = within(Duration::from_secs(20), listener.accept()).await;
    assert_serves(&app).await;
    drop(asked);
}

#[tokio::test]
async fn the_service_works_without_a_collector() {
    let app = App::builder().patient().with_spans().start().await;
    assert_serves(&app).await;
}

#[tokio::test]
async fn the_endpoint_for_traces_alone_is_taken_as_it_is() {
    let collector = Collector::start().await;
    let endpoint = format!("{}/v1/traces", collector.url());
    let app = App::builder()
        .patient()
        .with_spans()
        .environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint)
        .environment("OTEL_BSP_SCHEDULE_DELAY", "20")
        .start()
        .await;
    in_trace(app.perform("user_id=7"), &trace(1)).await;
    of_component(&collector, &trace(1)).await;
}

#[tokio::test]
async fn what_is_left_is_sent_at_the_end() {
    let collector = Collector::start().await;
    let app = traced(&collector)
        .environment("OTEL_BSP_SCHEDULE_DELAY", "60000")
        .start()
        .await;
    in_trace(app.perform("user_id=7"), &trace(1)).await;
    assert!(collector.spans().is_empty());
    drop(app);
    if !on_spin() {
        of_component(&collector, &trace(1)).await;
    }
}

/// What is said to the component with spans, with these arguments.
fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("spin.toml");
    std::fs::write(&manifest, manifest_with_spans()).unwrap();
    refusal(&[&["--from", manifest.to_str().unwrap()], arguments].concat())
}

#[test]
fn a_component_with_spans_is_refused_without_the_flag() {
    let said = refused(&[]);
    assert!(said.contains("wasi:otel/tracing@0.2.0-rc.2"), "{said}");
    if !on_spin() {
        assert!(said.contains("--experimental-wasi-otel"), "{said}");
    }
}
