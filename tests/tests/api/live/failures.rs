//! What becomes of requests that are refused, have no answer, or can't be sent.

use edgelatch_tests::{App, Origin, Reply, until};

use super::{ADA, API, guarded, open, press, set, shows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_409_says_that_the_lock_is_lost() {
    let mut app = guarded().start().await;
    let browser = open(&app).await;
    set(&browser, "token", API).await;
    set(&browser, "expire", "60").await;
    press(&browser, ADA, "take").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    set(&browser, "expire", "ten").await;
    press(&browser, ADA, "renew").await;
    shows(&browser, ADA, "; not renewed: 422; ").await;
    set(&browser, "expire", "60").await;
    set(&browser, "token", "another-token-altogether").await;
    press(&browser, ADA, "release").await;
    shows(&browser, ADA, "; not released: 401; ").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    set(&browser, "token", API).await;
    press(&browser, ADA, "renew").await;
    let renewed = "const state = document.querySelector('[data-name=Ada] .state').textContent; \
        return state.includes('holds the lock') && !state.includes('not') || null";
    browser.until("it is renewed", renewed).await;
    press(&browser, ADA, "release").await;
    shows(&browser, ADA, "released the lock").await;
    assert!(!app.redis.exists("user:42:lock").await);
    press(&browser, ADA, "take").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    app.redis.kill();
    press(&browser, ADA, "renew").await;
    shows(&browser, ADA, "; perhaps renewed: 503; ").await;
    press(&browser, ADA, "release").await;
    shows(&browser, ADA, "; perhaps released: 503; ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stays_with_its_user() {
    let cyd = "[data-name=Cyd]";
    let app = App::patient().await;
    let browser = open(&app).await;
    set(&browser, "expire", "60").await;
    press(&browser, ADA, "take").await;
    press(&browser, cyd, "read").await;
    press(&browser, "#cache", "put").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    shows(&browser, cyd, "computes the value; ").await;
    shows(&browser, "#cache", "stored, ").await;
    set(&browser, "user", "43").await;
    shows(&browser, ADA, "holds the lock of user 42, ").await;
    shows(&browser, cyd, "computes the value of user 42; ").await;
    shows(&browser, "#cache", "nothing read yet").await;
    press(&browser, "#cache", "read").await;
    shows(&browser, "#cache", "miss").await;
    app.redis
        .run::<i64>(&["PEXPIRE", "user:42:lock", "30000"])
        .await;
    press(&browser, ADA, "renew").await;
    until("it is renewed", async || {
        app.redis.ms_left("user:42:lock").await > 30_000
    })
    .await;
    press(&browser, cyd, "store").await;
    shows(&browser, cyd, "stored the value").await;
    press(&browser, ADA, "release").await;
    shows(&browser, ADA, "released the lock").await;
    assert!(!app.redis.exists("user:42:lock").await);
    let stored = |user| format!("{{user:{user}:lock}}:cache:report");
    assert!(app.redis.exists(&stored(42)).await);
    assert!(!app.redis.exists(&stored(43)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_an_answer_can_be_tried_again() {
    let cyd = "[data-name=Cyd]";
    let app = App::patient().await;
    let browser = open(&app).await;
    set(&browser, "expire", "60").await;
    let refuse = "window.real = window.fetch; \
        window.fetch = async () => { throw new TypeError('cut'); }; return true";
    browser.until("requests are cut", refuse).await;
    let sections = [
        (ADA, ["take", "wait"].as_slice()),
        (cyd, ["read", "drop"].as_slice()),
        ("#cache", ["put", "read", "drop"].as_slice()),
    ];
    for (section, buttons) in sections {
        for button in buttons {
            press(&browser, section, button).await;
            shows(&browser, section, "The service does not answer.").await;
        }
    }
    // The lock is taken, and nobody learns of it.
    let lose = "window.fetch = async (path, options) => { \
        const answer = await window.real.call(window, path, options); \
        if (options.method !== 'POST') return answer; \
        window.fetch = window.real; window.lost = true; throw new TypeError('cut'); }; \
        return true";
    browser.until("an answer will be lost", lose).await;
    press(&browser, ADA, "take").await;
    browser
        .until("it is lost", "return window.lost || null")
        .await;
    shows(&browser, ADA, "The service does not answer.").await;
    press(&browser, ADA, "take").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    press(&browser, ADA, "release").await;
    shows(&browser, ADA, "released the lock").await;
    press(&browser, cyd, "read").await;
    shows(&browser, cyd, "computes the value; ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_sent_is_told() {
    let app = guarded().start().await;
    let browser = open(&app).await;
    for token in ["schl\u{fc}ssel-der-welt", "ключ-от-всего-мира"] {
        set(&browser, "token", token).await;
        let told = "The API token has a character that no header can have.";
        shows(&browser, "#lock", told).await;
        press(&browser, ADA, "take").await;
        shows(&browser, ADA, told).await;
        press(&browser, "#cache", "read").await;
        shows(&browser, "#cache", told).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_resource_is_asked_for_than_that_of_the_user() {
    let origin = Origin::start(Reply::json(r#"{"name":"somebody"}"#)).await;
    let app = App::builder().patient().origin(&origin);
    let app = app.var("user_ids", "name").start().await;
    let browser = open(&app).await;
    for user in [".", ".."] {
        set(&browser, "user", user).await;
        let told = format!("“{user}” is no user");
        shows(&browser, "#lock", &told).await;
        press(&browser, ADA, "take").await;
        shows(&browser, ADA, &told).await;
        set(&browser, "user", "ada").await;
        shows(&browser, "#lock", "The lock is free.").await;
    }
    for address in browser.fetched().await {
        let asked = ["/users/lock", "/v1/lock"];
        assert!(
            !asked.iter().any(|path| address.contains(path)),
            "{address}"
        );
    }
}
