//! Bodies of many megabytes pass whole, both ways, where they are allowed.

use edgelatch_tests::{App, Origin, Reply};

#[tokio::test]
async fn ten_megabytes_go_to_the_origin_and_come_back() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(10 << 20));
    let origin = Origin::start(Reply::json(&long)).await;
    let app = App::builder().origin(&origin).patient();
    let app = app.var("max_body_bytes", "16777216").start().await;
    let answer = app.perform("user_id=1").json(&long).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text() == format!("{{\"status\":\"success\",\"result\":{long}}}"));
    let seen = origin.seen().remove(0);
    assert!(seen.body == long.as_bytes());
    assert_eq!(
        seen.header("content-length"),
        Some(&*long.len().to_string())
    );
    assert_eq!(seen.header("transfer-encoding"), None);
}
