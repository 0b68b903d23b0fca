//! Requests of any bytes, sent with and without a token. Without one they change nothing, and cost
//! no more than a bounded multiple of `/healthz`.

use std::time::Duration;

use edgelatch_tests::{App, RawAnswer, raw};

const TOKEN: &str = "a-token-of-the-fuzzer";

/// How many requests are made up.
const REQUESTS: u64 = 300;

/// The most that a request without a token may cost, in requests for `/healthz`. Most of it is what
/// it takes to send and read 60 KB.
const MULTIPLE: u32 = 100;

/// Pseudo-random numbers, the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// One of these pieces again and again, up to a length that is long now and then.
    fn repeated(&mut self, pieces: &[&str]) -> String {
        let most = [4, 40, 400, 4_000, 60_000][self.below(5)];
        let piece = self.pick(pieces);
        let mixed = self.below(2) == 0;
        let mut text = String::new();
        while text.len() < most {
            text.push_str(if mixed { self.pick(pieces) } else { piece });
            text.push_str(&self.below(1000).to_string());
        }
        text
    }
}

/// A request line and headers, without `Authorization`.
fn request(random: &mut Random) -> (String, String) {
    let method = random.pick(&[
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "X",
    ]);
    let mut path = random
        .pick(&[
            "/healthz",
            "/readyz",
            "/docs",
            "/openapi.json",
            "/api",
            "/api/v1/users/perform-action",
            "/api/v1/users/7/lock",
            "/%61pi/v1/users/7/%6Cock",
            "/api/v1/users/7/locks/",
            "/api/v1/users/7/cache/k",
            "/",
        ])
        .to_owned();
    if random.below(4) == 0 {
        path += &random.repeated(&["a", "%61", "%", "/", "%2f", ".", "%ff", "\"", "{"]);
    }
    if random.below(2) == 0 {
        let query = random.repeated(&["a&", "a=1&", "timeout=", "%", "%61&", "&", "=", "+", "é"]);
        path += &format!("?{query}");
    }
    let mut headers = String::new();
    for _ in 0..random.below(6) {
        let name = random.pick(&[
            "If-Match",
            "If-None-Match",
            "Accept-Encoding",
            "Cache-Control",
            "Forwarded",
            "traceparent",
            "tracestate",
            "Lock-Token",
            "Idempotency-Key",
            "X-Request-Id",
            "Sec-Fetch-Site",
            "Origin",
            "Content-Type",
            "Cookie",
        ]);
        let pieces = [
            "\"a\",", "W/\"", ",", ";q=0,", " ", "gzip,", "a=b,", "00-", "\t", "é",
        ];
        headers += &format!("{name}: {}\r\n", random.repeated(&pieces));
    }
    path.truncate(60_000);
    (format!("{method} {path} HTTP/1.1\r\n"), headers)
}

async fn send(app: &App, (line, headers): &(String, String), token: Option<&str>) -> RawAnswer {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let authorization = authorization.unwrap_or_default();
    let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    let request = format!("{line}Host: x\r\n{authorization}{headers}{end}");
    raw(app.address(), request.as_bytes()).await
}

/// The processor time of a request, the least of several times: the others were disturbed.
async fn cost(app: &App, request: &(String, String)) -> Option<Duration> {
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let before = app.processor_time()?;
        send(app, request, None).await;
        least = least.min(app.processor_time()?.saturating_sub(before));
    }
    Some(least)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_request_without_a_token_changes_nothing_and_is_cheap() {
    let app = App::builder().var("api_token", TOKEN).start().await;
    let alive = ("GET /healthz HTTP/1.1\r\n".to_owned(), String::new());
    let mut random = Random(17);
    for number in 0..REQUESTS {
        let made_up = request(&mut random);
        app.redis.run::<()>(&["FLUSHALL"]).await;
        let without = send(&app, &made_up, None).await;
        let guarded = made_up.0.contains(" /api") || made_up.0.contains(" /%61pi");
        let shown = &made_up.0.get(..80).unwrap_or(&made_up.0);
        assert_ne!(without.status, Some(500), "{number}: {shown}");
        let probed = made_up.0.contains(" /readyz");
        if !probed {
            let keys = app.redis.run::<i64>(&["DBSIZE"]).await;
            assert_eq!(keys, 0, "{number}: {shown}");
        }
        let bare = cost(&app, &alive).await.unwrap_or_default();
        let cost = cost(&app, &made_up).await.unwrap_or_default();
        assert!(
            cost <= bare * MULTIPLE,
            "{number}: {cost:?} and not {bare:?} for {shown}"
        );
        let with = send(&app, &made_up, Some(TOKEN)).await;
        assert_ne!(with.status, Some(500), "{number}: {shown}");
        if guarded && without.status.is_some_and(|status| status != 400) {
            assert!(
                matches!(without.status, Some(401 | 404 | 414 | 431)),
                "{number}: {without:?}"
            );
            assert_ne!(with.status, Some(401), "{number}: {shown}");
        } else if !probed {
            assert_eq!(without.status, with.status, "{number}: {shown}");
        }
    }
}
