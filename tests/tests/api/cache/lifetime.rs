//! How long an entry has left, as a read tells it, while others write and change expiries.

use std::time::Duration;

use edgelatch_tests::{Answer, App, Loss, Network, Proxy, RedisServer, Service, until};

use super::{ENTRY, KEY, merge, tag_of};

const SHORT: &str = "1";

/// A long value, which is read by two commands, that begins with this number.
fn long(number: &str) -> String {
    format!("[{number},\"{}\"]", "x".repeat(20_000))
}

/// The number that a long value begins with.
#[track_caller]
fn number_in(answer: &Answer) -> i64 {
    let json = answer.json();
    json[0].as_i64().unwrap()
}

/// The seconds in `Cache-Control`; `None` without any.
#[track_caller]
fn max_age(answer: &Answer) -> Option<i64> {
    let value = answer.header("cache-control").unwrap();
    let seconds = value.strip_prefix("private, max-age=")?;
    Some(seconds.parse().unwrap())
}

/// How many commands with this name Redis has carried out so far.
async fn calls(redis: &RedisServer, name: &str) -> u64 {
    let info: String = redis.run(&["INFO", "commandstats"]).await;
    let prefix = format!("cmdstat_{name}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// A service that reads over a slow link, on which commands pass one by one, and one that writes.
struct Readers {
    reader: App,
    writer: Service,
    link: Proxy,
}

impl Readers {
    async fn start() -> Self {
        let redis = RedisServer::start().await;
        let link = Proxy::start(redis.port()).await;
        let reader = App::builder()
            .redis(redis)
            .patient()
            .var("redis_port", &link.port().to_string())
            .start()
            .await;
        let writer = App::builder().patient().beside(&reader.redis);
        Self {
            reader,
            writer,
            link,
        }
    }

    fn set_apart(&self, apart: Duration) {
        self.link.set_network(Network {
            apart,
            ..Network::default()
        });
    }

    /// Stores a long entry that has this long to live, and lets the reader know that it is long.
    async fn store(&self, expire: &str) {
        self.put(expire, &long(expire)).await;
        self.reader.get(ENTRY).await.assert_success();
    }

    /// Reads the entry, and changes it between the two commands of the read.
    async fn read_around(&self, change: impl AsyncFnOnce()) -> Answer {
        self.set_apart(Duration::from_millis(1));
        let looks = calls(&self.reader.redis, "pttl").await;
        self.link.lose_answer_to("\r\nGET\r\n", Loss::Hold);
        let read = self.reader.get(ENTRY).spawn();
        until("half of the read is done", || async {
            self.link.is_spent() && calls(&self.reader.redis, "pttl").await > looks
        })
        .await;
        change().await;
        self.link.let_go();
        let answer = read.await.unwrap();
        self.set_apart(Duration::ZERO);
        answer
    }

    async fn put(&self, expire: &str, json: &str) {
        let path = format!("{ENTRY}?expire={expire}");
        self.writer.put(&path).json(json).await.assert_success();
    }

    async fn run(&self, words: &[&str]) {
        self.reader.redis.run::<redis::Value>(words).await;
    }
}

#[tokio::test]
async fn it_follows_expire_and_persist_at_once() {
    let app = App::patient().await;
    for json in [SHORT, &long("1")] {
        app.put(&format!("{ENTRY}?expire=100")).json(json).await;
        let changes: [(&[&str], Option<i64>); 4] = [
            (&["EXPIRE", KEY, "50"], Some(50)),
            (&["EXPIRE", KEY, "5000"], Some(5000)),
            (&["PERSIST", KEY], None),
            (&["PEXPIRE", KEY, "70500"], Some(70)),
        ];
        for (words, longest) in changes {
            app.redis.run::<i64>(words).await;
            let answer = app.get(ENTRY).await;
            answer.assert_body(200, json);
            let left = max_age(&answer);
            assert_eq!(left.is_some(), longest.is_some(), "{words:?}");
            let in_time = left.zip(longest);
            assert!(
                in_time.is_none_or(|(left, longest)| { left <= longest && left >= longest - 20 })
            );
            let tag = tag_of(&answer);
            let same = app.get(ENTRY).header("if-none-match", &tag).await;
            same.assert_body(304, "");
            assert_eq!(max_age(&same).is_some(), longest.is_some(), "{words:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_tells_more_than_the_value_was_given() {
    let readers = Readers::start().await;
    readers.store("3000").await;
    readers.set_apart(Duration::from_millis(3));
    let reads = async {
        for _ in 0..200 {
            let answer = readers.reader.get(ENTRY).await;
            answer.assert_success();
            let (left, given) = (max_age(&answer).unwrap(), number_in(&answer));
            assert!(left <= given, "{left} of {given}");
        }
    };
    let writes = async {
        loop {
            for expire in ["30", "3000", "300"] {
                readers.put(expire, &long(expire)).await;
            }
        }
    };
    tokio::select! {
        () = reads => {}
        () = writes => {}
    }
}

#[tokio::test]
async fn a_value_written_during_a_read_has_its_own_time() {
    let readers = Readers::start().await;
    // It lives shorter than the one before, longer, and as long.
    for (expire, json, least, most) in [
        ("20", long("20"), 0, 20),
        ("20", SHORT.to_owned(), 0, 20),
        ("5000", long("5000"), 80, 5000),
        ("100", "4".to_owned(), 80, 100),
    ] {
        readers.store("100").await;
        let answer = readers.read_around(async || readers.put(expire, &json).await);
        let answer = answer.await;
        answer.assert_body(200, &json);
        let left = max_age(&answer).unwrap();
        assert!((least..=most).contains(&left), "{left} of {expire}");
    }
}

#[tokio::test]
async fn a_read_tells_a_state_that_was_there() {
    let readers = Readers::start().await;
    readers.store("100").await;
    let deleted = readers.read_around(async || readers.run(&["DEL", KEY]).await);
    deleted.await.assert_problem(404, "not-found");

    readers.store("100").await;
    readers.run(&["DEL", KEY]).await;
    let written = readers.read_around(async || readers.put("50", "3").await);
    let written = written.await;
    written.assert_body(200, "3");
    let left = max_age(&written).unwrap();
    assert!((30..=50).contains(&left), "{left}");

    readers.store("100").await;
    let kept = readers.read_around(async || readers.run(&["PERSIST", KEY]).await);
    let left = max_age(&kept.await).unwrap();
    assert!(left <= 100, "{left}");

    readers.store("100").await;
    let strange = readers.read_around(async || {
        readers.run(&["DEL", KEY]).await;
        readers.run(&["RPUSH", KEY, "x"]).await;
    });
    strange.await.assert_problem(404, "not-found");

    // A stranger's value does not say what it was given.
    readers.run(&["DEL", KEY]).await;
    readers.store("100").await;
    for json in ["[4]".to_owned(), long("4")] {
        let strange = readers.read_around(async || {
            readers.run(&["SET", KEY, &json, "EX", "10"]).await;
        });
        let strange = strange.await;
        strange.assert_body(200, &json);
        assert!(max_age(&strange).unwrap() <= 10);
        readers.store("100").await;
    }
}

#[tokio::test]
async fn a_patch_notes_the_time_that_it_keeps() {
    let app = App::patient().await;
    let long = format!("{{\"b\":{}}}", long("1"));
    for json in [r#"{"b":1}"#, &long] {
        app.put(&format!("{ENTRY}?expire=100")).json(json).await;
        for (ms, noted) in [
            ("50000", 49_000..=50_000),
            ("3600000000", 3_590_000_000..=3_600_000_000),
            // More than the line can say.
            ("36000000000", 0..=0),
        ] {
            app.redis.run::<i64>(&["PEXPIRE", KEY, ms]).await;
            merge(&app, ENTRY, r#"{"a":1}"#).await.assert_success();
            let stored = app.redis.get(KEY).await.unwrap();
            let line = stored.lines().next().unwrap();
            let given: i64 = line.split(' ').nth(2).unwrap().parse().unwrap();
            assert!(noted.contains(&given), "{line}");
            let answer = app.get(ENTRY).await;
            assert!(stored.ends_with(&answer.text()));
            let left = max_age(&answer).unwrap() * 1000;
            assert!(left <= ms.parse().unwrap() && left > 40_000, "{left}");
        }
    }
}

#[tokio::test]
async fn a_long_entry_is_read_without_a_script() {
    let app = App::patient().await;
    let scripts = async || {
        let redis = &app.redis;
        calls(redis, "evalsha").await + calls(redis, "eval").await
    };
    let json = long("1");
    let tag = tag_of(&app.put(ENTRY).json(&json).await);
    app.get(ENTRY).await.assert_body(200, &json);
    let before = scripts().await;
    app.get(ENTRY).await.assert_body(200, &json);
    let same = app.get(ENTRY).header("if-none-match", &tag);
    same.await.assert_body(304, "");
    assert_eq!(scripts().await, before);
}
