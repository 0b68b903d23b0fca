//! `/docs` in a browser, and how it and `/openapi.json` are served.

use std::collections::BTreeSet;

use edgelatch_tests::{App, Browser, root};
use fantoccini::Locator;
use serde_json::Value;

/// `post /api/v1/users/perform-action` and so on.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let methods = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| format!("{method} {path}"))
    });
    methods.collect()
}

#[tokio::test]
async fn openapi_json_is_the_committed_document() {
    let app = App::start().await;
    let committed = std::fs::read_to_string(root().join("openapi.json")).unwrap();
    for path in ["/openapi.json", "/openapi.json/"] {
        let answer = app.get(path).await;
        answer.assert_body(200, &committed);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let document: Value = serde_json::from_str(&committed).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn pages_are_compressed_and_cacheable() {
    let app = App::start().await;
    for path in [
        "/docs",
        "/docs/",
        "/docs/swagger-ui.js",
        "/docs/docs.css",
        "/openapi.json",
    ] {
        let plain = app.get(path).await;
        assert_eq!(
            (plain.status, plain.header("content-encoding")),
            (200, None),
            "{path}"
        );
        assert_eq!(plain.header("vary"), Some("accept-encoding"), "{path}");
        let packed = app.get(path).header("accept-encoding", "gzip").await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        assert!(packed.body.len() < plain.body.len(), "{path}");
        let tag = plain.header("etag").unwrap();
        assert_eq!(packed.header("etag"), Some(tag), "{path}");
        let kept = app.get(path).header("if-none-match", tag).await;
        assert_eq!((kept.status, kept.body.len()), (304, 0), "{path}");
        assert_eq!(kept.header("etag"), Some(tag), "{path}");
        let other = app.get(path).header("if-none-match", "\"other\"").await;
        assert_eq!(other.body, plain.body, "{path}");
    }
}

#[tokio::test]
async fn pages_keep_the_conventions_of_all_routes() {
    let app = App::builder()
        .var("api_token", "a-s3cret-of-the-test")
        .start()
        .await;
    let page = app.get("/docs").await;
    let head = app.call("HEAD", "/docs").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in [
        "content-length",
        "content-type",
        "etag",
        "content-security-policy",
    ] {
        assert_eq!(head.header(name), page.header(name), "{name}");
    }
    let options = app.call("OPTIONS", "/openapi.json").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    let post = app.post("/docs").await;
    post.assert_problem(405, "method-not-allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD, OPTIONS"));
    app.get("/docs/nothing")
        .await
        .assert_problem(404, "not-found");
    for path in ["/docs?colour=red", "/openapi.json?colour=red"] {
        let answer = app.get(path).await;
        assert_eq!(answer.faults(), ["query.colour"], "{path}");
    }
    app.get("/docs")
        .header("if-none-match", "bad")
        .await
        .faults();
}

#[tokio::test]
async fn the_page_lets_nothing_in_from_elsewhere() {
    let app = App::start().await;
    let answer = app.get("/docs").await;
    let policy = answer.header("content-security-policy").unwrap();
    let script = policy
        .split("; ")
        .find(|part| part.starts_with("script-src"));
    assert_eq!(script, Some("script-src 'self'"));
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_docs_page_lists_and_performs_operations() {
    let app = App::start().await;
    let browser = Browser::start().await;
    browser
        .client
        .goto(&format!("http://{}/docs", app.address()))
        .await
        .unwrap();
    let document = app.get("/openapi.json").await.json();
    let expected = operations(&document);
    browser
        .until(
            "operations are shown",
            "return document.querySelector('.opblock') !== null",
        )
        .await;
    let shown = browser
        .client
        .execute(
            "return [...document.querySelectorAll('.opblock')].map(block => \
               block.querySelector('.opblock-summary-method').textContent.toLowerCase() + ' ' + \
               block.querySelector('.opblock-summary-path').dataset.path)",
            vec![],
        )
        .await
        .unwrap();
    let shown: Vec<String> = serde_json::from_value(shown).unwrap();
    assert_eq!(BTreeSet::from_iter(shown), expected);

    perform(&browser, "7").await;
    let body = browser.until("an answer is shown", SHOWN_BODY).await;
    assert_eq!(
        serde_json::from_str::<Value>(body.as_str().unwrap()).unwrap(),
        serde_json::json!({ "status": "success" })
    );
    assert!(app.redis.exists("{user:7:lock}:cache:last-action").await);

    let screenshot = browser.client.screenshot().await.unwrap();
    assert!(is_drawn(&screenshot), "the page is blank");
    let origin = format!("http://{}/", app.address());
    for address in browser.fetched().await {
        assert!(
            address.starts_with(&origin) || address.starts_with("data:"),
            "{address}"
        );
    }
    assert_eq!(browser.console().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_docs_page_has_a_field_for_the_token() {
    let app = App::builder()
        .var("api_token", "a-s3cret-of-the-test")
        .start()
        .await;
    let browser = Browser::start().await;
    let client = &browser.client;
    client
        .goto(&format!("http://{}/docs", app.address()))
        .await
        .unwrap();
    let click = async |selector: &str| {
        let wanted = client
            .wait()
            .for_element(Locator::Css(selector))
            .await
            .unwrap();
        wanted.click().await.unwrap();
    };
    click(".btn.authorize").await;
    let field = client
        .wait()
        .for_element(Locator::Css(".auth-container input"))
        .await
        .unwrap();
    field.send_keys("a-s3cret-of-the-test").await.unwrap();
    click(".auth-btn-wrapper .authorize").await;
    click(".auth-btn-wrapper .btn-done").await;
    perform(&browser, "8").await;
    browser.until("an answer is shown", SHOWN_BODY).await;
    assert!(app.redis.exists("{user:8:lock}:cache:last-action").await);
}

/// What is shown as the body of the live answer.
const SHOWN_BODY: &str = "const body = document.querySelector('.live-responses-table .highlight-code code'); \
    return body && body.textContent";

/// Fills in the form of `perform-action` and sends it.
async fn perform(browser: &Browser, user: &str) {
    let client = &browser.client;
    let block = "#operations-actions-perform_action";
    let find = async |selector: &str| {
        let selector = format!("{block} {selector}");
        client
            .wait()
            .for_element(Locator::Css(&selector))
            .await
            .unwrap()
    };
    find(".opblock-summary-control")
        .await
        .click()
        .await
        .unwrap();
    let field = find("tr[data-param-name=user_id] input").await;
    field.clear().await.unwrap();
    field.send_keys(user).await.unwrap();
    for optional in ["timeout", "expire", "Idempotency-Key"] {
        let field = find(&format!("tr[data-param-name={optional}] input")).await;
        field.clear().await.unwrap();
    }
    find(".execute").await.click().await.unwrap();
}

/// Whether a picture has much of more than one colour.
fn is_drawn(png: &[u8]) -> bool {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let size = frame.color_type.samples();
    let mut colours = std::collections::HashMap::new();
    for pixel in pixels[..frame.buffer_size()].chunks(size) {
        *colours.entry(pixel).or_insert(0_usize) += 1;
    }
    let most = colours.values().max().copied().unwrap_or(0);
    colours.len() > 50 && most < pixels.len() / size * 95 / 100
}
