//! `/docs/live` in a browser: two clients contend for a lock, a cache, and two who compute an
//! entry.

mod failures;

use std::time::{Duration, Instant};

use edgelatch_tests::{App, AppBuilder, Browser, Call};
use fantoccini::Locator;

const API: &str = "the-token-of-everybody";
const ADMIN: &str = "the-token-of-the-administrator";

fn guarded() -> AppBuilder {
    let app = App::builder().patient();
    app.var("api_token", API).var("admin_token", ADMIN)
}

/// Waits until a part of the page says this.
async fn shows(browser: &Browser, section: &str, words: &str) {
    let script = format!(
        "return document.querySelector('{section} .state').textContent.includes('{words}') || null"
    );
    browser
        .until(&format!("{section} shows {words:?}"), &script)
        .await;
}

async fn press(browser: &Browser, section: &str, button: &str) {
    let selector = format!("{section} button[data-do={button}]:enabled");
    let wait = browser.client.wait();
    let button = wait.for_element(Locator::Css(&selector)).await.unwrap();
    button.click().await.unwrap();
}

async fn set(browser: &Browser, id: &str, value: &str) {
    let selector = format!("#{id}");
    let wait = browser.client.wait();
    let field = wait.for_element(Locator::Css(&selector)).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(value).await.unwrap();
}

async fn open(app: &App) -> Browser {
    let browser = Browser::start().await;
    let page = format!("http://{}/docs/live", app.address());
    browser.client.goto(&page).await.unwrap();
    browser
}

const ADA: &str = "[data-name=Ada]";
const BO: &str = "[data-name=Bo]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_contend_for_a_lock() {
    let app = App::patient().await;
    let browser = open(&app).await;
    set(&browser, "expire", "60").await;
    set(&browser, "timeout", "60").await;
    press(&browser, ADA, "take").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    let held = app.get("/api/v1/users/42/lock").await.json();
    let number = format!("fencing token {}", held["fencing_token"]);
    shows(&browser, ADA, &number).await;
    let left = "return document.querySelector('[data-name=Ada] progress').value";
    let began = browser.until("time is left", left).await.as_f64().unwrap();
    let less = format!(
        "const left = {left_now}; return left < {began} && left > 0 || null",
        left_now = &left[7..]
    );
    browser.until("it counts down", &less).await;
    press(&browser, BO, "take").await;
    shows(&browser, BO, "did not get the lock; retry in").await;
    press(&browser, BO, "wait").await;
    shows(&browser, BO, "waits for the lock").await;
    press(&browser, ADA, "renew").await;
    shows(&browser, ADA, &number).await;
    press(&browser, ADA, "release").await;
    shows(&browser, ADA, "released the lock").await;
    shows(&browser, BO, "holds the lock, fencing token").await;
    let next = app.get("/api/v1/users/42/lock").await.json();
    assert!(next["fencing_token"].as_i64() > held["fencing_token"].as_i64());
    app.redis.run::<()>(&["DEL", "user:42:lock"]).await;
    press(&browser, BO, "renew").await;
    shows(&browser, BO, "lost the lock").await;
    set(&browser, "expire", "0.5").await;
    press(&browser, BO, "take").await;
    shows(&browser, BO, "the lock expired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_and_the_waiters_are_shown_and_the_lock_can_be_broken() {
    let app = guarded().start().await;
    let browser = open(&app).await;
    set(&browser, "token", API).await;
    set(&browser, "expire", "60").await;
    set(&browser, "timeout", "60").await;
    shows(&browser, "#lock", "The lock is free.").await;
    press(&browser, ADA, "take").await;
    shows(&browser, "#lock", "held by “Ada, at /docs/live”").await;
    shows(&browser, "#lock", "; nobody waits.").await;
    press(&browser, BO, "wait").await;
    shows(&browser, "#lock", "; 1 waits.").await;
    break_lock(&browser, "This needs the header").await;
    set(&browser, "token", ADMIN).await;
    break_lock(&browser, "The lock of “Ada, at /docs/live” was broken.").await;
    shows(&browser, "#lock", "held by “Bo, at /docs/live”").await;
    shows(&browser, BO, "holds the lock, fencing token").await;
    press(&browser, ADA, "renew").await;
    shows(&browser, ADA, "lost the lock").await;
}

/// Presses Break, and waits until the page says this.
async fn break_lock(browser: &Browser, words: &str) {
    let wait = browser.client.wait();
    let button = wait.for_element(Locator::Css("#break:enabled"));
    button.await.unwrap().click().await.unwrap();
    says(browser, words).await;
}

/// Waits until the page says this of a break.
async fn says(browser: &Browser, words: &str) {
    let script = format!(
        "return document.querySelector('#lock .answer').textContent.includes('{words}') || null"
    );
    browser.until(&format!("it says {words:?}"), &script).await;
}

/// Takes the user's lock, or waits for it.
fn take(app: &App, user: u32, owner: &str) -> Call {
    let lock = app.post(&format!("/api/v1/users/{user}/lock?timeout=60&expire=60"));
    let lock = lock.header("authorization", &format!("Bearer {API}"));
    lock.header("lock-owner", owner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_presses_break_one_holder() {
    let app = guarded().start().await;
    take(&app, 42, "the first").await.assert_success();
    let waiters = [
        take(&app, 42, "next").spawn(),
        take(&app, 42, "next").spawn(),
    ];
    let browser = open(&app).await;
    set(&browser, "token", ADMIN).await;
    shows(&browser, "#lock", "; 2 wait.").await;
    let wait = browser.client.wait();
    let button = wait.for_element(Locator::Css("#break:enabled"));
    button.await.unwrap();
    let twice = "const button = document.getElementById('break'); button.click(); button.click(); \
        setTimeout(() => button.click(), 150); setTimeout(() => { window.pressed = true; }, 200); \
        return true";
    browser.until("it is pressed", twice).await;
    browser
        .until("it was pressed", "return window.pressed || null")
        .await;
    says(&browser, "The lock of “the first” was broken.").await;
    shows(&browser, "#lock", "held by “next”").await;
    shows(&browser, "#lock", "; 1 waits.").await;
    // The next holder is shown for a while before its lock can be broken.
    browser
        .until(
            "it can be broken",
            "return !document.getElementById('break').disabled || null",
        )
        .await;
    shows(&browser, "#lock", "; 1 waits.").await;
    assert_eq!(
        waiters.iter().filter(|waiter| waiter.is_finished()).count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_break_is_not_said_of_another_lock() {
    let app = guarded().start().await;
    take(&app, 42, "the first").await.assert_success();
    let browser = open(&app).await;
    set(&browser, "token", ADMIN).await;
    break_lock(&browser, "The lock of “the first” was broken.").await;
    set(&browser, "user", "43").await;
    shows(&browser, "#lock", "The lock is free.").await;
    let silent = "return document.querySelector('#lock .answer').textContent === '' || null";
    browser.until("nothing is said", silent).await;
    set(&browser, "user", "42").await;
    take(&app, 42, "the next").await.assert_success();
    break_lock(&browser, "The lock of “the next” was broken.").await;
    browser.until("it is said for a while", silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_refused_asks_no_more_until_the_token_changes() {
    let app = guarded().start().await;
    let browser = open(&app).await;
    shows(&browser, "#lock", "Authorization").await;
    let asked = "return performance.getEntriesByType('resource') \
        .filter((entry) => entry.name.endsWith('/lock')).length";
    let looks = async || {
        browser
            .until("it is counted", asked)
            .await
            .as_u64()
            .unwrap()
    };
    let (before, began) = (looks().await, Instant::now());
    assert!(before <= 2, "{before}");
    // Six looks would fit into this.
    tokio::time::sleep_until((began + Duration::from_secs(3)).into()).await;
    assert_eq!(looks().await, before);
    set(&browser, "token", API).await;
    shows(&browser, "#lock", "The lock is free.").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_all_the_time_is_not_read_out() {
    let app = App::patient().await;
    let browser = open(&app).await;
    set(&browser, "expire", "60").await;
    press(&browser, ADA, "take").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    shows(&browser, "#lock", "held by “Ada, at /docs/live”").await;
    let observe = "window.read = []; window.shown = 0; \
        const observe = (part, seen) => new MutationObserver(seen).observe(part, \
            { childList: true, characterData: true, subtree: true }); \
        for (const part of document.querySelectorAll('[role=status]')) \
            observe(part, () => window.read.push(part.textContent)); \
        observe(document.querySelector('#lock .state'), () => { window.shown += 1; }); \
        return true";
    browser.until("it is observed", observe).await;
    browser
        .until("the time changes", "return window.shown > 4 || null")
        .await;
    let read = browser.until("it is known", "return window.read").await;
    assert_eq!(read, serde_json::json!([]));
    press(&browser, ADA, "release").await;
    let told = "return window.read.includes('The lock is free.') || null";
    browser.until("the holder's change is read out", told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_owner_fits_into_a_narrow_page() {
    let app = guarded().start().await;
    let owner = "w".repeat(128);
    take(&app, 42, &owner).await.assert_success();
    let browser = open(&app).await;
    set(&browser, "token", API).await;
    shows(&browser, "#lock", &owner).await;
    let right = "document.body.style.width = '380px'; \
        return document.querySelector('#lock .state').getBoundingClientRect().right";
    let right = browser.until("it is laid out", right).await;
    assert!(right.as_f64().unwrap() <= 380.0, "{right}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_and_ages_of_the_cache_are_shown() {
    let app = App::patient().await;
    let browser = open(&app).await;
    set(&browser, "expire", "60").await;
    press(&browser, "#cache", "read").await;
    shows(&browser, "#cache", "miss").await;
    press(&browser, "#cache", "put").await;
    shows(&browser, "#cache", "stored, ").await;
    press(&browser, "#cache", "read").await;
    shows(&browser, "#cache", "hit, unchanged, ").await;
    shows(&browser, "#cache", " s old; ").await;
    shows(&browser, "#cache", " s left").await;
    let stored = "{user:42:lock}:cache:live";
    let json = app.redis.get(stored).await;
    assert!(json.is_some_and(|json| json.contains(r#"{"name": "Ada"}"#)));
    press(&browser, "#cache", "drop").await;
    shows(&browser, "#cache", "deleted").await;
    assert!(!app.redis.exists(stored).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_computes_an_entry_while_the_other_waits() {
    let (cyd, dee) = ("[data-name=Cyd]", "[data-name=Dee]");
    let app = App::patient().await;
    let browser = open(&app).await;
    set(&browser, "expire", "60").await;
    set(&browser, "timeout", "60").await;
    press(&browser, cyd, "read").await;
    shows(&browser, cyd, "computes the value; ").await;
    press(&browser, dee, "read").await;
    shows(&browser, dee, "waits for the value").await;
    press(&browser, cyd, "giveUp").await;
    shows(&browser, cyd, "gave up").await;
    shows(&browser, dee, "computes the value; ").await;
    press(&browser, cyd, "read").await;
    shows(&browser, cyd, "waits for the value").await;
    press(&browser, dee, "store").await;
    shows(&browser, dee, "stored the value").await;
    shows(&browser, cyd, r#"found {"by":"Dee"}"#).await;
    press(&browser, cyd, "drop").await;
    shows(&browser, cyd, "deleted").await;
    set(&browser, "expire", "0.5").await;
    press(&browser, cyd, "read").await;
    shows(&browser, cyd, "the time to compute is up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_sends_the_token_and_asks_nobody_else() {
    let app = App::builder()
        .patient()
        .var("api_token", "a-s3cret-of-the-test")
        .start()
        .await;
    let browser = open(&app).await;
    press(&browser, ADA, "take").await;
    shows(&browser, ADA, "did not get the lock").await;
    set(&browser, "token", "a-s3cret-of-the-test").await;
    press(&browser, ADA, "take").await;
    shows(&browser, ADA, "holds the lock, fencing token").await;
    let origin = format!("http://{}/", app.address());
    for address in browser.fetched().await {
        assert!(address.starts_with(&origin), "{address}");
    }
    // What failed for want of the token is all that a browser has to say.
    let complaints = browser.console().await;
    assert!(
        complaints.iter().all(|line| line.contains("401")),
        "{complaints:?}"
    );
}
