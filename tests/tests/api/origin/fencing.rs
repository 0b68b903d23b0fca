//! The SQL of docs/backend.md, in SQLite: a store that compares fencing tokens refuses a request that comes too late.

use edgelatch_tests::{App, Origin, Reply, root};
use sqlite::{Connection, State};

/// The statements in the page's block of SQL.
fn statements() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/backend.md")).unwrap();
    let (_, rest) = page.split_once("```sql\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let lines = block.lines().filter(|line| !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split(';')
        .map(|it| it.trim().to_owned())
        .filter(|it| !it.is_empty())
        .collect()
}

/// What a backend does for a request with this fencing token: adds to the user's balance, if the
/// token is not too old. Returns whether it did.
fn add(store: &Connection, user: i64, amount: i64, fencing_token: i64) -> bool {
    let [_, ensure, update] = statements().try_into().unwrap();
    let run = |sql: &str| {
        let mut statement = store.prepare(sql).unwrap();
        for (name, value) in [
            (":user_id", user),
            (":amount", amount),
            (":fencing_token", fencing_token),
        ] {
            if let Ok(Some(index)) = statement.parameter_index(name) {
                statement.bind((index, value)).unwrap();
            }
        }
        while statement.next().unwrap() == State::Row {}
    };
    run(&ensure);
    run(&update);
    store.change_count() == 1
}

fn balance(store: &Connection, user: i64) -> i64 {
    let mut statement = store
        .prepare("SELECT balance FROM accounts WHERE user_id = ?")
        .unwrap();
    statement.bind((1, user)).unwrap();
    statement.next().unwrap();
    statement.read(0).unwrap()
}

#[tokio::test]
async fn a_fenced_store_refuses_a_late_request() {
    let store = sqlite::open(":memory:").unwrap();
    store.execute(&statements()[0]).unwrap();

    // Two actions of one user, whose requests the origin has seen in this order; the first one's
    // work is late.
    let origin = Origin::start(Reply::json("{}").gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let first = app.perform("user_id=42").spawn();
    origin.until_seen(1).await;
    let _: i64 = app.redis.run(&["DEL", "user:42:lock"]).await;
    let second = app.perform("user_id=42").spawn();
    let seen = origin.until_seen(2).await;
    let (late, current) = (seen[0].fencing_token(), seen[1].fencing_token());
    assert!(late < current);

    assert!(add(&store, 42, 5, current));
    assert!(!add(&store, 42, 100, late));
    assert_eq!(balance(&store, 42), 5);
    // The same request again is not late, nor is another user's.
    assert!(add(&store, 42, 5, current));
    assert!(add(&store, 43, 7, late));
    assert_eq!((balance(&store, 42), balance(&store, 43)), (10, 7));

    origin.release_one();
    origin.release_one();
    first.await.unwrap().assert_problem(409, "lock-lost");
    second.await.unwrap().assert_success();
}
