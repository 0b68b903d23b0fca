//! A command of the caller's own.

use super::{start, told};

#[tokio::test]
async fn a_command_returns_its_reply_or_says_why_there_is_none() {
    let mut app = start("tests/library").await;
    assert_eq!(told(&app, "/command/GET/text").await, "nil");
    app.redis.run::<String>(&["SET", "text", "hello"]).await;
    assert_eq!(told(&app, "/command/GET/text").await, "hello");
    assert_eq!(told(&app, "/command/LLEN/text").await, "another type");
    assert_eq!(told(&app, "/command/NONSENSE/text").await, "refused");
    assert_eq!(told(&app, "/command/DEL/text").await, "1");
    app.redis.kill();
    assert_eq!(told(&app, "/command/GET/text").await, "unreachable");
}
