//! A lease that was lost makes stale what was read since, once its holder learns of that.

use edgelatch_tests::{App, Call, Origin, Reply, until};

use super::USER;

const LOCK: &str = "/api/v1/users/42/lock";
const TOKEN: &str = "the-token-of-the-holder";
const API: &str = "the-token-of-everybody";
const ADMIN: &str = "the-token-of-the-administrator";

/// Reads, and an origin that answers them.
struct Readers {
    app: App,
    origin: Origin,
}

impl Readers {
    async fn start(origin_timeout: &str) -> Self {
        let origin = Origin::start(Reply::json("1")).await;
        let app = App::builder().origin(&origin);
        let app = app.var("origin_timeout", origin_timeout);
        let app = app.var("max_hold", "0.5").var("api_token", API);
        let app = app.var("admin_token", ADMIN).start().await;
        Self { app, origin }
    }

    fn call(&self, method: &str, path: &str, token: &str) -> Call {
        let call = self.app.call(method, path).header("lock-token", token);
        call.header("authorization", &format!("Bearer {API}"))
    }

    async fn take(&self) {
        let lease = self.call("POST", &format!("{LOCK}?expire=60"), TOKEN).await;
        assert_eq!(lease.status, 201);
    }

    async fn lose(&self) {
        let removed: i64 = self.app.redis.run(&["DEL", "user:42:lock"]).await;
        assert_eq!(removed, 1);
    }

    /// Whether it was answered from the cache, and fresh.
    async fn hits(&self, body: &str) -> bool {
        let answer = self.call("GET", USER, TOKEN).await;
        answer.assert_body(200, body);
        let status = answer.header("cache-status").unwrap();
        status.starts_with("edgelatch; hit; ttl=3")
    }

    async fn until_fresh(&self) {
        until("what the holders have begun is over", async || {
            self.hits("1").await
        })
        .await;
    }

    async fn is_refused(&self, method: &str, token: &str) {
        let refused = self.call(method, LOCK, token).await;
        refused.assert_problem(409, "not-lock-owner");
    }

    /// What was read is stale from the holder's first 409 on, and what is read then is not.
    async fn assert_made_stale(&self, method: &str) {
        for stranger in ["PUT", "DELETE"] {
            self.is_refused(stranger, "the-token-of-a-stranger").await;
            assert!(self.hits("1").await, "{stranger}");
        }
        self.origin.reply_with(Reply::json("2"));
        self.is_refused(method, TOKEN).await;
        assert!(!self.hits("2").await);
        for again in ["PUT", "DELETE"] {
            self.is_refused(again, TOKEN).await;
            assert!(self.hits("2").await, "{method} {again}");
        }
    }
}

#[tokio::test]
async fn also_one_that_was_broken() {
    for method in ["PUT", "DELETE"] {
        let readers = Readers::start("0.5").await;
        readers.take().await;
        let admin = readers.app.delete(&format!("{LOCK}?force=true"));
        let admin = admin.header("authorization", &format!("Bearer {ADMIN}"));
        admin.await.assert_body(204, "");
        readers.until_fresh().await;
        readers.assert_made_stale(method).await;
    }
}

#[tokio::test]
async fn also_where_an_earlier_holder_has_learnt_of_its_own_loss_in_between() {
    for method in ["PUT", "DELETE"] {
        let readers = Readers::start("3").await;
        readers.origin.reply_with(Reply::json("{}").gated());
        let action = "/api/v1/users/perform-action?user_id=42&expire=60";
        let action = readers
            .call("POST", action, "the-token-of-the-action")
            .spawn();
        readers.origin.until_seen(1).await;
        readers.origin.reply_with(Reply::json("1"));
        readers.lose().await;
        readers.take().await;
        readers.lose().await;
        readers.origin.release_one();
        action.await.unwrap().assert_problem(409, "lock-lost");
        readers.until_fresh().await;
        readers.assert_made_stale(method).await;
    }
}
