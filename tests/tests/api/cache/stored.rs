//! How an entry is stored, and what is read of values that are not stored so.

use edgelatch_tests::App;

use super::{ENTRY, KEY, merge, store, tag_of};

const LAST_ACTION: &str = "/api/v1/users/42/cache/last-action";
const LAST_ACTION_KEY: &str = "{user:42:lock}:cache:last-action";

#[tokio::test]
async fn an_entry_is_a_line_with_its_tag_and_the_json_as_it_came() {
    let app = App::patient().await;
    let json = " {\"a\" : 1.10}\n";
    let tag = store(&app, json).await;
    let tag = tag.trim_matches('"');
    assert_eq!(tag.len(), 32);
    let stored = app.redis.get(KEY).await;
    assert_eq!(stored, Some(format!("edgelatch1 {tag} 0003600000\n{json}")));
    app.get(ENTRY).await.assert_body(200, json);
    // What is read is neither checked nor hashed.
    let line = "edgelatch1 000102030405060708090a0b0c0d0e0f 0000000001";
    let forged = format!("{line}\nanything");
    app.redis.run::<String>(&["SET", KEY, &forged]).await;
    let answer = app.get(ENTRY).await;
    answer.assert_body(200, "anything");
    assert_eq!(tag_of(&answer), "\"000102030405060708090a0b0c0d0e0f\"");
    // What is merged is.
    let merged = merge(&app, ENTRY, r#"{"a":1}"#).await;
    merged.assert_problem(404, "not-found");
    assert_eq!(app.redis.get(KEY).await, Some(forged));
}

#[tokio::test]
async fn last_action_is_read_byte_for_byte() {
    let app = App::patient().await;
    app.perform("user_id=42").await;
    let answer = app.get(LAST_ACTION).await;
    let stored = app.redis.get(LAST_ACTION_KEY).await.unwrap();
    let tag = tag_of(&answer);
    let line = format!("edgelatch1 {} 0003600000\n", tag.trim_matches('"'));
    assert_eq!(stored.strip_prefix(&line), Some(answer.text().as_str()));
    app.get(LAST_ACTION)
        .header("if-none-match", &tag)
        .await
        .assert_body(304, "");
}

#[tokio::test]
async fn a_value_without_the_line_has_one_tag_for_readers_and_writers() {
    let app = App::patient().await;
    let json = r#"{"a":1}"#;
    for round in 0..3 {
        app.redis.run::<String>(&["SET", KEY, json]).await;
        let read = app.get(ENTRY).await;
        read.assert_body(200, json);
        let tag = tag_of(&read);
        assert_eq!(tag.len(), 42, "{tag}");
        app.get(ENTRY)
            .header("if-none-match", &tag)
            .await
            .assert_body(304, "");
        let same = app.put(ENTRY).header("if-none-match", &tag).json("2").await;
        same.assert_problem(412, "precondition-failed");
        let written = match round {
            0 => app.put(ENTRY).header("if-match", &tag).json("2").await,
            1 => {
                merge(&app, ENTRY, r#"{"b":2}"#)
                    .header("if-match", &tag)
                    .await
            }
            _ => app.delete(ENTRY).header("if-match", &tag).await,
        };
        written.assert_success();
        if round < 2 {
            assert_eq!(tag_of(&written).len(), 34);
        }
    }
}

#[tokio::test]
async fn a_value_that_looks_nearly_like_an_entry_is_a_strangers() {
    let app = App::patient().await;
    let digits = "0123456789abcdef0123456789abcdef";
    for value in [
        "edgelatch1 ".to_owned(),
        format!("edgelatch1 {digits}"),
        format!("edgelatch1 {digits}\n1"),
        format!("edgelatch1 {digits} 1\n"),
        format!("edgelatch1 {digits} 0003600000"),
        format!("edgelatch1 {} 0003600000\n1", &digits[1..]),
        format!("edgelatch1 {digits}0 0003600000\n1"),
        format!("edgelatch1 {}g 0003600000\n1", &digits[1..]),
        format!("edgelatch1 {digits} 003600000\n1"),
        format!("edgelatch1 {digits} 000360000g\n1"),
        format!("edgelatch2 {digits} 0003600000\n1"),
        format!(" edgelatch1 {digits} 0003600000\n1"),
    ] {
        app.redis.run::<String>(&["SET", KEY, &value]).await;
        app.get(ENTRY).await.assert_problem(404, "not-found");
        merge(&app, ENTRY, "{}")
            .await
            .assert_problem(404, "not-found");
        app.put(ENTRY)
            .header("if-match", &format!("\"{digits}\""))
            .json("1")
            .await
            .assert_problem(412, "precondition-failed");
        app.put(ENTRY).json("1").await.assert_body(200, "");
        app.get(ENTRY).await.assert_body(200, "1");
    }
}

#[tokio::test]
async fn a_patch_keeps_an_expiry_that_redis_cannot_add_to_its_clock() {
    let app = App::patient().await;
    store(&app, r#"{"a":1}"#).await;
    let latest = i64::MAX.to_string();
    app.redis.run::<i64>(&["PEXPIREAT", KEY, &latest]).await;
    let years = |ms: i64| ms / (365 * 24 * 3_600_000);
    assert!(years(app.redis.ms_left(KEY).await) > 1_000_000);
    merge(&app, ENTRY, r#"{"b":2}"#)
        .await
        .assert_body(200, r#"{"a":1,"b":2}"#);
    assert!(years(app.redis.ms_left(KEY).await) > 100_000);
}

#[tokio::test]
async fn a_long_entry_is_as_a_short_one() {
    let app = App::patient().await;
    let json = |letter: &str, length: usize| format!("\"{}\"", letter.repeat(length - 2));
    for length in [16_300, 16_340, 16_384, 16_385, 200_000] {
        let (first, second) = (json("a", length), json("b", length));
        app.delete(ENTRY).await.assert_body(204, "");
        let created = app.put(&format!("{ENTRY}?expire=50")).json(&first).await;
        created.assert_body(201, "");
        let tag = tag_of(&created);
        let read = app.get(ENTRY).await;
        read.assert_body(200, &first);
        assert_eq!(tag_of(&read), tag);
        let left = app.redis.ms_left(KEY).await;
        assert!(left > 30_000 && left <= 50_000, "{left}");
        let unmet = app.put(ENTRY).header("if-none-match", "*").json(&second);
        unmet.await.assert_problem(412, "precondition-failed");
        let replaced = app.put(ENTRY).header("if-match", &tag).json(&second).await;
        replaced.assert_body(200, "");
        assert!(app.redis.ms_left(KEY).await > 3_000_000);
        app.get(ENTRY).await.assert_body(200, &second);
        // A stranger's has the tag of forty digits.
        app.redis.run::<String>(&["SET", KEY, &first]).await;
        let strange = app.get(ENTRY).await;
        strange.assert_body(200, &first);
        assert_eq!(tag_of(&strange).len(), 42);
    }
    let staged: Vec<String> = app.redis.run(&["KEYS", "*staged*"]).await;
    assert_eq!(staged, Vec::<String>::new());
}

#[tokio::test]
async fn a_long_entry_that_changes_is_read_whole() {
    let app = App::patient().await;
    let json = |writer: usize| format!("\"{}\"", ["a", "b", "c"][writer].repeat(50_000));
    app.put(ENTRY).json(&json(0)).await.assert_body(201, "");
    let writes = (0..60).map(|round| app.put(ENTRY).json(&json(round % 3)).spawn());
    let reads = (0..60).map(|_| app.get(ENTRY).spawn());
    let (writes, reads) = futures::join!(
        futures::future::join_all(writes),
        futures::future::join_all(reads)
    );
    for write in writes {
        write.unwrap().assert_body(200, "");
    }
    for read in reads {
        let read = read.unwrap();
        let whole = (0..3).any(|writer| read.text() == json(writer));
        assert!(read.status == 200 && whole, "{}", read.status);
    }
}
