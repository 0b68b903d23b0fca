//! `/docs/live` in a browser: two clients contend for a lock, a cache, and two who compute an entry.

use edgelatch_tests::{App, Browser};
use fantoccini::Locator;

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
    let (api, admin) = ("the-token-of-everybody", "the-token-of-the-administrator");
    let app = App::builder().patient().var("api_token", api);
    let app = app.var("admin_token", admin).start().await;
    let browser = open(&app).await;
    set(&browser, "token", api).await;
    set(&browser, "expire", "60").await;
    set(&browser, "timeout", "60").await;
    shows(&browser, "#lock", "The lock is free.").await;
    press(&browser, ADA, "take").await;
    shows(&browser, "#lock", "held by “Ada, at /docs/live”").await;
    shows(&browser, "#lock", "; 0 wait.").await;
    press(&browser, BO, "wait").await;
    shows(&browser, "#lock", "; 1 waits.").await;
    break_lock(&browser, "This needs the header").await;
    set(&browser, "token", admin).await;
    break_lock(&browser, "The lock was broken.").await;
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
    let script = format!(
        "return document.querySelector('#lock .answer').textContent.includes('{words}') || null"
    );
    browser.until(&format!("it says {words:?}"), &script).await;
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
