//! Which span is below which.

use edgelatch_tests::{Collector, Origin, Reply, Span, on_spin, until};

use super::{
    CALLER, PERFORM, in_trace, is_request, named, names, of_component, trace, traced, with_id,
};

/// Asserts that the request's span is below the host's, and that below the caller's.
fn assert_below_caller(all: &[Span], request: &Span) {
    if on_spin() {
        assert_eq!(request.parent, CALLER);
        return;
    }
    let host = with_id(all, &request.parent);
    assert!(host.is_server, "{host:?}");
    assert_eq!(host.name, "POST /...");
    assert_eq!(host.attributes["http.response.status_code"], 200);
    assert_eq!(host.parent, CALLER);
}

/// All spans of a trace, once the caller's request has ended on both sides.
async fn whole(collector: &Collector, trace_id: &str) -> Vec<Span> {
    let ended = |spans: &[Span]| {
        let server = spans.iter().any(|span| span.is_server);
        server && spans.iter().any(is_request)
    };
    collector.trace(trace_id, ended).await
}

#[tokio::test]
async fn waiting_action_and_commit_are_below_the_request() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}")).await;
    let app = traced(&collector).origin(&origin).start().await;
    let call = in_trace(app.perform("user_id=7"), &trace(1));
    assert_eq!(call.header("tracestate", "a=1").await.status, 200);
    let all = whole(&collector, &trace(1)).await;
    let spans = of_component(&collector, &trace(1)).await;
    assert_eq!(names(&spans), [PERFORM, "action", "commit", "lock wait"]);
    let request = named(&spans, PERFORM);
    assert_below_caller(&all, request);
    for span in &spans {
        if span.id != request.id {
            assert_eq!(span.parent, request.id, "{span:?}");
        }
        assert!(span.took <= request.took, "{span:?}");
        assert!(!span.is_server, "{span:?}");
        assert_eq!(span.state, "a=1", "{span:?}");
    }
}

/// The span that the origin was asked by, and the span below which it is.
fn asker<'a>(all: &'a [Span], origin: &Origin) -> (&'a str, String) {
    let seen = origin.seen().remove(0);
    let traceparent = seen.header("traceparent").unwrap();
    let parts: Vec<_> = traceparent.split('-').collect();
    let span = with_id(all, parts[2]);
    assert_eq!([parts[0], parts[1], parts[3]], ["00", &span.trace_id, "01"]);
    (&span.id, span.parent.clone())
}

#[tokio::test]
async fn the_origin_is_told_of_the_action_s_span() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}")).await;
    let app = traced(&collector).origin(&origin).start().await;
    let call = in_trace(app.perform("user_id=7"), &trace(2));
    assert_eq!(call.header("tracestate", "a=1").await.status, 200);
    let all = whole(&collector, &trace(2)).await;
    let action = named(&all, "action");
    let (asker, its_parent) = asker(&all, &origin);
    // Spin puts a span of its own between them.
    assert!(asker == action.id || on_spin() && its_parent == action.id);
    assert_eq!(origin.seen()[0].header("tracestate"), Some("a=1"));
}

#[tokio::test]
async fn the_fetch_span_is_the_requests_child() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}")).await;
    let app = traced(&collector).origin(&origin).start().await;
    let call = in_trace(app.get("/api/v1/users/7"), &trace(3));
    assert_eq!(call.await.status, 200);
    let all = whole(&collector, &trace(3)).await;
    let spans = of_component(&collector, &trace(3)).await;
    let request = named(&spans, "GET /api/v1/users/{user_id}");
    let fetch = named(&spans, "fetch");
    assert_eq!(fetch.parent, request.id);
    assert_eq!(fetch.error, None);
    let (asker, its_parent) = asker(&all, &origin);
    assert!(asker == fetch.id || on_spin() && its_parent == fetch.id);
}

#[tokio::test]
async fn without_a_caller_s_trace_there_is_one_of_its_own() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}")).await;
    let app = traced(&collector).origin(&origin).start().await;
    // Its state belongs to a trace that is not there.
    let call = app.perform("user_id=7").header("tracestate", "a=1");
    assert_eq!(call.await.status, 200);
    until("the request's span was sent", || async {
        collector.spans().iter().any(is_request)
    })
    .await;
    let requests = collector.spans();
    let request = named(&requests, PERFORM);
    let spans = of_component(&collector, &request.trace_id).await;
    assert_eq!(names(&spans), [PERFORM, "action", "commit", "lock wait"]);
    // Spin says that it is empty.
    let state = origin.seen()[0].header("tracestate").map(str::to_owned);
    assert_eq!(state.unwrap_or_default(), "");
    if on_spin() {
        assert_eq!(request.parent, "");
    } else {
        let all = whole(&collector, &request.trace_id).await;
        let host = all.iter().find(|span| span.is_server).unwrap();
        assert_eq!([&request.parent, &host.parent], [&host.id, &String::new()]);
    }
}

#[tokio::test]
async fn an_unsampled_trace_stays_unsampled() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}")).await;
    let app = traced(&collector).origin(&origin).start().await;
    let unrecorded = format!("00-{}-{CALLER}-00", trace(4));
    let call = app.perform("user_id=7");
    let answer = call.header("traceparent", &unrecorded).await;
    assert_eq!(answer.status, 200);
    let told = origin.seen().remove(0);
    let told = told.header("traceparent").unwrap().to_owned();
    assert!(told.starts_with(&format!("00-{}-", trace(4))), "{told}");
    assert!(told.ends_with("-00") && told != unrecorded, "{told}");
    // Spans are sent in the order in which they end.
    in_trace(app.perform("user_id=7"), &trace(5)).await;
    whole(&collector, &trace(5)).await;
    let recorded = collector.spans();
    assert!(recorded.iter().all(|span| span.trace_id != trace(4)));
}

#[tokio::test]
async fn requests_at_once_in_one_instance_do_not_mix() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}").gated()).await;
    let app = traced(&collector).origin(&origin).start().await;
    let calls: Vec<_> = (10..20)
        .map(|number| in_trace(app.perform(&format!("user_id={number}")), &trace(number)).spawn())
        .collect();
    origin.until_seen(calls.len()).await;
    for call in calls {
        origin.release_one();
        drop(call);
    }
    for number in 10..20 {
        let all = whole(&collector, &trace(number)).await;
        let spans = of_component(&collector, &trace(number)).await;
        assert_eq!(names(&spans), [PERFORM, "action", "commit", "lock wait"]);
        assert_below_caller(&all, named(&spans, PERFORM));
    }
}
