//! What the document says of the service itself.

use super::document::Judge;
use super::requests::{Good, builder, try_what_fails};

const READY: Good = Good {
    id: "readyz",
    method: "GET",
    path: "/readyz",
    query: "",
    headers: &[],
    body: "",
};

#[tokio::test]
async fn every_documented_answer_of_the_service_occurs() {
    let mut app = builder().start().await;
    let mut judge = Judge::of("service");
    for (id, path) in [("healthz", "/healthz"), ("readyz", "/readyz")] {
        judge.see(id, 200, "", &app.get(path).await);
        let extra = app.get(&format!("{path}?color=red"));
        judge.see(id, 422, "invalid-request", &extra.await);
    }
    for (id, path) in [("openapi", "/openapi.json"), ("docs", "/docs")] {
        let page = app.get(path).await;
        judge.see(id, 200, "", &page);
        let kept = app
            .get(path)
            .header("if-none-match", page.header("etag").unwrap());
        judge.see(id, 304, "", &kept.await);
        let untagged = app.get(path).header("if-none-match", "untagged");
        judge.see(id, 422, "invalid-request", &untagged.await);
    }
    try_what_fails(&mut judge, &mut app, &[READY]).await;
    judge.assert_has_seen_everything();
}
