//! Requests that operations accept, and what becomes of any of them.

use std::time::{Duration, Instant};

use edgelatch_tests::{Answer, App, AppBuilder, Call};

use super::document::Judge;

const API_TOKEN: &str = "a-token-of-the-test";

/// A service that wants a token and does not wait for long.
pub(super) fn builder() -> AppBuilder {
    App::builder()
        .var("api_token", API_TOKEN)
        .var("redis_timeout", "0.3")
        .var("origin_timeout", "0.5")
}

/// A request that an operation accepts.
pub(super) struct Good {
    /// The operation.
    pub(super) id: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) query: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
}

impl Good {
    /// The request.
    pub(super) fn call(&self, app: &App) -> Call {
        self.with(app, self.query)
    }

    /// The same with another query.
    pub(super) fn with(&self, app: &App, query: &str) -> Call {
        self.complete(authorized(
            app,
            self.method,
            &format!("{}?{query}", self.path),
        ))
    }

    fn anonymous(&self, app: &App) -> Call {
        self.complete(app.call(self.method, &format!("{}?{}", self.path, self.query)))
    }

    /// For user 007, who is 7, and with an `expire` of nothing.
    fn invalid(&self, app: &App) -> Call {
        let path = self.path.replace("/42", "/007");
        let user = if path == self.path {
            "user_id=007&"
        } else {
            ""
        };
        self.complete(authorized(
            app,
            self.method,
            &format!("{path}?{user}expire=0"),
        ))
    }

    fn complete(&self, call: Call) -> Call {
        let call = self
            .headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value));
        if self.body.is_empty() {
            call
        } else {
            call.body(self.body)
        }
    }
}

/// A request with the right token.
pub(super) fn authorized(app: &App, method: &str, path: &str) -> Call {
    app.call(method, path)
        .header("authorization", &format!("Bearer {API_TOKEN}"))
}

/// Without the token, with faults, and, where there is no token, from another site.
pub(super) async fn try_what_is_refused(judge: &mut Judge, app: &App, all: &[Good]) {
    let open = App::start().await;
    for good in all {
        // Some that only read decide something with a parameter.
        let call = match good.id {
            "get_user" => Some(open.get("/api/v1/users/42?expire=60")),
            "get_cache" => Some(open.get("/api/v1/users/42/cache/profile?compute=1")),
            _ => (good.method != "GET").then(|| good.anonymous(&open)),
        };
        if let Some(call) = call {
            let answer = call.header("sec-fetch-site", "cross-site").await;
            judge.see(good.id, 403, "cross-site", &answer);
        }
        judge.see(good.id, 401, "unauthorized", &good.anonymous(app).await);
        judge.see(good.id, 422, "invalid-request", &good.invalid(app).await);
    }
}

/// With a setting that is wrong, with a Redis that does not answer, and with one that is gone, in
/// this order.
pub(super) async fn try_what_fails(judge: &mut Judge, app: &mut App, all: &[Good]) {
    let misconfigured = builder().var("lock_expire", "never").start().await;
    for good in all {
        judge.see(
            good.id,
            500,
            "misconfigured",
            &good.call(&misconfigured).await,
        );
    }
    app.redis.pause();
    for good in all {
        let answer = failing(app, good, "redis-timeout").await;
        judge.see(good.id, 503, "redis-timeout", &answer);
    }
    app.redis.kill();
    for good in all {
        let answer = failing(app, good, "redis-unavailable").await;
        judge.see(good.id, 503, "redis-unavailable", &answer);
    }
}

/// The answer, once what was known of Redis before is no longer shared: `/readyz` shares it for a
/// second.
async fn failing(app: &App, good: &Good, slug: &str) -> Answer {
    let began = Instant::now();
    loop {
        let answer = good.call(app).await;
        let told = answer.text().contains(slug) || good.id != "readyz";
        if told || began.elapsed() > Duration::from_secs(10) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
