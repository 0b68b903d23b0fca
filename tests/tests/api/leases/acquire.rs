//! `POST`: acquiring, waiting, fencing tokens.

use std::time::Duration;

use edgelatch_tests::{App, until};

use super::{Lease, PLACES, TOKEN};

#[tokio::test]
async fn acquiring_is_201() {
    let app = App::patient().await;
    for place in PLACES {
        let answer = app.post(place.path).await;
        let lease = Lease::of(&answer, 201);
        let (token, number) = (&lease.token, lease.fencing_token);
        let body = format!(r#"{{"token":"{token}","fencing_token":{number},"expires_in":10.0}}"#);
        answer.assert_body(201, &body);
        // It holds a secret.
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(number > 0);
        assert!((16..=128).contains(&token.len()), "{token}");
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{token}");
        assert_eq!(app.redis.get(place.key).await.as_ref(), Some(token));
        let left = app.redis.ms_left(place.key).await;
        assert!((1..=10_000).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn each_acquisition_has_a_token_of_its_own() {
    let app = App::patient().await;
    let mut tokens = Vec::new();
    for place in PLACES {
        for slash in ["", "/"] {
            let answer = app.post(&format!("{}{slash}", place.path)).await;
            let lease = Lease::of(&answer, 201);
            app.delete(place.path)
                .header("lock-token", &lease.token)
                .await
                .assert_body(204, "");
            assert!(!tokens.contains(&lease.token));
            tokens.push(lease.token);
        }
    }
}

#[tokio::test]
async fn expires_in_reads_as_whole_milliseconds() {
    let app = App::patient().await;
    for place in PLACES {
        for expire in ["1.997", "2.554", "66.651", "0.001", "2591999.999"] {
            let query = format!("{}?expire={expire}", place.path);
            let told = format!(r#""expires_in":{expire}}}"#);
            let call = || app.post(&query).header("lock-token", TOKEN);
            for answer in [call().await, call().await] {
                assert!(answer.text().ends_with(&told), "{}", answer.text());
            }
        }
        let renewal = app.put(&format!("{}?expire=2.554", place.path));
        let renewed = renewal.header("lock-token", TOKEN).await;
        assert!(renewed.text().ends_with(r#""expires_in":2.554}"#));
    }
}

#[tokio::test]
async fn expires_in_is_expire_or_lock_expire() {
    let app = App::builder()
        .patient()
        .var("lock_expire", "21.5")
        .start()
        .await;
    for place in PLACES {
        for (query, seconds) in [
            ("", 21.5),
            ("?expire=2592000", 2_592_000.0),
            ("?expire=0.001", 0.001),
            ("?expire=30.25", 30.25),
        ] {
            app.redis.run::<i64>(&["DEL", place.key]).await;
            let answer = app.post(&format!("{}{query}", place.path)).await;
            let expires_in = Lease::of(&answer, 201).expires_in;
            assert!((expires_in - seconds).abs() < 1e-9, "{query}: {expires_in}");
            let left = app.redis.ms_left(place.key).await as f64;
            assert!(left <= seconds * 1000.0, "{query}: {left}");
            assert!(left >= (seconds - 20.0) * 1000.0, "{query}: {left}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_the_holders_remaining_time() {
    let app = App::patient().await;
    for place in PLACES {
        let holder = place.acquire(&app).await;
        let before = app.redis.ms_left(place.key).await;
        let answer = app.post(&format!("{}?expire=5", place.path)).await;
        let after = app.redis.ms_left(place.key).await;
        answer.assert_problem(423, "lock-held");
        assert_eq!(answer.json()["detail"], "Could not acquire lock");
        let retry_after = answer.number("retry-after") * 1000;
        assert!(
            retry_after >= after && retry_after < before + 1000,
            "{after} {retry_after} {before}"
        );
        // The holder is as it was.
        assert_eq!(app.redis.get(place.key).await, Some(holder.token));
    }
}

#[tokio::test]
async fn a_held_lock_is_423_only_when_timeout_has_passed() {
    let app = App::patient().await;
    for place in PLACES {
        place.acquire(&app).await;
        let answer = app.post(&format!("{}?timeout=0.3", place.path)).await;
        answer.assert_problem(423, "lock-held");
        assert!(
            answer.took >= Duration::from_millis(300),
            "{:?}",
            answer.took
        );
        assert!(answer.timing("wait") >= 300.0);
        // Without a timeout there is one try.
        let tries = app.redis.calls("evalsha").await;
        app.post(place.path).await.assert_problem(423, "lock-held");
        assert_eq!(app.redis.calls("evalsha").await, tries + 1);
    }
}

#[tokio::test]
async fn a_waiter_gets_the_lock_when_it_is_given_back() {
    let app = App::patient().await;
    for place in PLACES {
        let holder = place.acquire(&app).await;
        let tries = app.redis.calls("evalsha").await;
        let waiter = app.post(&format!("{}?timeout=30", place.path)).spawn();
        until("it has tried twice", || async {
            app.redis.calls("evalsha").await >= tries + 2
        })
        .await;
        assert!(!waiter.is_finished());
        app.delete(place.path)
            .header("lock-token", &holder.token)
            .await
            .assert_body(204, "");
        let lease = Lease::of(&waiter.await.unwrap(), 201);
        assert!(lease.fencing_token > holder.fencing_token);
        assert_ne!(lease.token, holder.token);
        assert_eq!(app.redis.get(place.key).await, Some(lease.token));
    }
}

#[tokio::test]
async fn a_waiter_gets_the_lock_when_it_expires() {
    let app = App::patient().await;
    for place in PLACES {
        let holder = app.post(&format!("{}?expire=0.4", place.path)).await;
        let holder = Lease::of(&holder, 201);
        let waiter = app.post(&format!("{}?timeout=30", place.path)).await;
        let waiter = Lease::of(&waiter, 201);
        assert!(waiter.fencing_token > holder.fencing_token);
    }
}

#[tokio::test]
async fn fencing_tokens_increase_after_release_expiry_and_lost_fence() {
    let app = App::patient().await;
    for place in PLACES {
        let first = place.acquire(&app).await;
        app.delete(place.path)
            .header("lock-token", &first.token)
            .await
            .assert_body(204, "");
        let second = app.post(&format!("{}?expire=0.05", place.path)).await;
        let second = Lease::of(&second, 201);
        assert!(second.fencing_token > first.fencing_token);
        until("the lease has expired", || async {
            !app.redis.exists(place.key).await
        })
        .await;
        let third = place.acquire(&app).await;
        assert!(third.fencing_token > second.fencing_token);
        let removed: i64 = app.redis.run(&["DEL", place.key, place.fence]).await;
        assert_eq!(removed, 2);
        let fourth = place.acquire(&app).await;
        assert!(fourth.fencing_token > third.fencing_token);
    }
}

#[tokio::test]
async fn a_fencing_token_is_greater_than_one_from_a_clock_ahead() {
    let app = App::patient().await;
    for place in PLACES {
        let first = place.acquire(&app).await;
        // An hour ahead, as if the server's clock had been set back since.
        let ahead = first.fencing_token + 3_600_000_000;
        let fence = format!("{ahead} call {}", first.token);
        app.redis.run::<String>(&["SET", place.fence, &fence]).await;
        app.delete(place.path)
            .header("lock-token", &first.token)
            .await
            .assert_body(204, "");
        let second = place.acquire(&app).await;
        assert_eq!(second.fencing_token, ahead + 1);
    }
}

#[tokio::test]
async fn every_fault_of_an_acquisition_is_listed() {
    let app = App::patient().await;
    let query = "timeout=61&expire=0&expire=1&color=red";
    let listed = ["query.timeout", "query.expire", "path.user_id"];
    let answer = app.post(&format!("/api/v1/users/x/lock?{query}")).await;
    assert_eq!(
        answer.faults(),
        [listed.as_slice(), &["query.color"]].concat()
    );
    let path = format!("/api/v1/users/x/locks/a%20b?{query}");
    let answer = app.post(&path).await;
    let with_name = [listed.as_slice(), &["path.name", "query.color"]].concat();
    assert_eq!(answer.faults(), with_name);
    // Giving back and looking have no parameters, renewing has no timeout.
    for place in PLACES {
        for (method, name) in [
            ("GET", "expire"),
            ("DELETE", "expire"),
            ("GET", "timeout"),
            ("PUT", "timeout"),
        ] {
            let path = format!("{}?{name}=1", place.path);
            let answer = app.call(method, &path).await;
            assert_eq!(answer.faults(), [format!("query.{name}")], "{method}");
        }
    }
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn a_lease_leaves_no_key_without_expiry() {
    let app = App::patient().await;
    for place in PLACES {
        let lease = place.acquire(&app).await;
        assert!(app.redis.keys_without_expiry().await.is_empty());
        let renewed = app
            .put(&format!("{}?expire=50", place.path))
            .header("lock-token", &lease.token)
            .await;
        Lease::of(&renewed, 200);
        assert!(app.redis.keys_without_expiry().await.is_empty());
        app.delete(place.path)
            .header("lock-token", &lease.token)
            .await
            .assert_body(204, "");
        assert!(app.redis.keys_without_expiry().await.is_empty());
    }
    // A lease longer than a fence is kept by itself takes its fence along.
    for place in PLACES {
        let longest = app.post(&format!("{}?expire=2592000", place.path)).await;
        Lease::of(&longest, 201);
        let lock = app.redis.ms_left(place.key).await;
        assert!(app.redis.ms_left(place.fence).await > lock);
    }
}
