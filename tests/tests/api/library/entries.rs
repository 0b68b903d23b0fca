//! A cache entry as a type.

use edgelatch_tests::App;

use super::{start, told};

const ENTRY: &str = "{user:42:lock}:cache:number";

async fn library() -> App {
    start("tests/library").await
}

#[tokio::test]
async fn a_value_is_stored_and_read_as_its_type() {
    let app = library().await;
    for (call, answer) in [
        ("get", "None"),
        ("set/7", "true"),
        ("get", "Some(7)"),
        ("set/8", "false"),
        ("get", "Some(8)"),
        ("delete", "true"),
        ("delete", "false"),
        ("get", "None"),
    ] {
        assert_eq!(
            told(&app, &format!("/entry/{call}")).await,
            answer,
            "{call}"
        );
    }
}

#[tokio::test]
async fn a_write_tells_the_tag_that_the_next_one_may_expect() {
    let app = library().await;
    // The second write that expects the tag of the first finds that of the one before.
    assert_eq!(told(&app, "/entry/set-twice/7/8/9").await, "[true, false]");
    assert_eq!(told(&app, "/entry/get").await, "Some(8)");
}

#[tokio::test]
async fn a_value_is_deleted_only_if_it_is_the_expected_one() {
    let app = library().await;
    told(&app, "/entry/set/7").await;
    assert_eq!(told(&app, "/entry/delete-if/8").await, "another number");
    assert_eq!(told(&app, "/entry/delete-if/7").await, "true");
    assert_eq!(told(&app, "/entry/get").await, "None");
}

#[tokio::test]
async fn an_entry_tells_how_long_it_has_left() {
    let app = library().await;
    assert_eq!(told(&app, "/entry/left").await, "nothing");
    told(&app, "/entry/set/7").await;
    app.redis.run::<i64>(&["PEXPIRE", ENTRY, "3600900"]).await;
    assert_eq!(told(&app, "/entry/left").await, "Some(3600)");
    app.redis.run::<i64>(&["PERSIST", ENTRY]).await;
    assert_eq!(told(&app, "/entry/left").await, "None");
}

#[tokio::test]
async fn a_value_of_another_type_counts_as_absent() {
    let app = library().await;
    for stored in [r#""seven""#, "-7", "not JSON"] {
        app.redis.run::<String>(&["SET", ENTRY, stored]).await;
        assert_eq!(told(&app, "/entry/get").await, "None", "{stored}");
    }
}

#[tokio::test]
async fn a_value_is_replaced_only_if_it_is_the_expected_one() {
    let app = library().await;
    let call = async |expected: &str, number: &str| {
        told(&app, &format!("/entry/compare-and-set/{expected}/{number}")).await
    };
    assert_eq!(call("none", "7").await, "true");
    assert_eq!(call("none", "8").await, "another number");
    assert_eq!(call("7", "8").await, "true");
    assert_eq!(told(&app, "/entry/get").await, "Some(8)");
    // What is no JSON has no tag to expect, and is no reason to believe that nothing is there.
    app.redis.run::<String>(&["SET", ENTRY, "not JSON"]).await;
    assert_eq!(call("none", "9").await, "false");
}
