//! `DELETE`.

use edgelatch_tests::App;

use super::{ENTRY, KEY, store};

#[tokio::test]
async fn delete_is_204_whether_or_not_it_existed() {
    let app = App::patient().await;
    for path in [ENTRY.to_owned(), format!("{ENTRY}/")] {
        app.delete(&path).await.assert_body(204, "");
        store(&app, "1").await;
        app.delete(&path).await.assert_body(204, "");
        assert!(!app.redis.exists(KEY).await);
        app.get(ENTRY).await.assert_problem(404, "not-found");
        app.delete(&path).await.assert_body(204, "");
    }
}

#[tokio::test]
async fn if_match_is_respected_and_412_if_absent() {
    let app = App::patient().await;
    for condition in ["*", "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\""] {
        app.delete(ENTRY)
            .header("if-match", condition)
            .await
            .assert_problem(412, "precondition-failed");
    }
    let tag = store(&app, "1").await;
    for condition in [
        "\"other\"".to_owned(),
        format!("W/{tag}"),
        "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"".to_owned(),
    ] {
        app.delete(ENTRY)
            .header("if-match", &condition)
            .await
            .assert_problem(412, "precondition-failed");
    }
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("1"));
    app.delete(ENTRY)
        .header("if-match", &format!("\"other\", {tag}"))
        .await
        .assert_body(204, "");
    assert!(!app.redis.exists(KEY).await);
    store(&app, "2").await;
    app.delete(ENTRY)
        .header("if-match", "*")
        .await
        .assert_body(204, "");
    assert!(!app.redis.exists(KEY).await);
}
