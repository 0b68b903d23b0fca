//! What the document says of reading users.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply};

use super::document::Judge;
use super::requests::{Good, builder, try_what_fails, try_what_is_refused};

const GET: Good = Good {
    id: "get_user",
    method: "GET",
    path: "/api/v1/users/42",
    query: "",
    headers: &[],
    body: "",
};

#[tokio::test]
async fn every_documented_answer_of_users_occurs() {
    let origin = Origin::start(Reply::json(r#"{"name":"Ada"}"#)).await;
    let mut app = builder().origin(&origin).start().await;
    let mut judge = Judge::of("users");
    try_a_user(&mut judge, &app).await;
    try_the_origins_failures(&mut judge, &app, &origin).await;
    let without = builder().beside(&app.redis);
    let answer = without
        .get(GET.path)
        .header("authorization", "Bearer a-token-of-the-test");
    judge.see(GET.id, 404, "no-origin", &answer.await);
    try_what_is_refused(&mut judge, &app, &[GET]).await;
    try_what_fails(&mut judge, &mut app, &[GET]).await;
    judge.assert_has_seen_everything();
}

async fn try_a_user(judge: &mut Judge, app: &App) {
    let read = GET.call(app).await;
    judge.see(GET.id, 200, "", &read);
    let tag = read.header("etag").unwrap();
    let same = GET.call(app).header("if-none-match", tag);
    judge.see(GET.id, 304, "", &same.await);
    let other = GET.call(app).header("if-match", "\"another\"");
    judge.see(GET.id, 412, "precondition-failed", &other.await);
}

async fn try_the_origins_failures(judge: &mut Judge, app: &App, origin: &Origin) {
    let anew = || GET.call(app).header("cache-control", "no-cache");
    origin.reply_with(Reply::status(404, r#"{"error":"no such user"}"#));
    judge.see(GET.id, 502, "origin-failed", &anew().await);
    origin.reply_with(Reply::json("{}").after(Duration::from_secs(20)));
    judge.see(GET.id, 504, "origin-timeout", &anew().await);
}
