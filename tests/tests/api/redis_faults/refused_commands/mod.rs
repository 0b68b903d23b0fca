//! An ACL that lacks one command: what is written is what is answered, for each command of the
//! service and each call that changes something.

mod cases;

use std::collections::{BTreeMap, BTreeSet};

use edgelatch_tests::{Answer, App, Call, Origin, Reply, root, until};
use futures::future::join_all;
use redis::aio::MultiplexedConnection;

use cases::{Case, Request, computed_entries, entries, leases, under_an_origin};

/// A time to live that differs by more than this was written anew, in milliseconds. Those of the
/// cases differ by far more, or not at all.
const ANOTHER_TTL: i64 = 60_000;

const API_TOKEN: &str = "a-token-of-the-api";
const ADMIN_TOKEN: &str = "a-token-of-an-admin";

/// Without these no script runs, or none knows whose the lock is: it stays until it expires.
const NEEDED_TO_FREE: [&str; 2] = ["evalsha", "mget"];

/// Without it the place in the queue stays, but as one of the dead: it has no last look.
const NEEDED_TO_LEAVE: &str = "zrem";

/// Values and times to live of one user's keys.
type State = BTreeMap<String, (Vec<u8>, i64)>;

#[tokio::test]
async fn leases_are_answered_as_they_were_written() {
    Sweep::start(None).await.check(&leases()).await;
}

#[tokio::test]
async fn entries_are_answered_as_they_were_written() {
    Sweep::start(None).await.check(&entries()).await;
}

#[tokio::test]
async fn computed_entries_are_answered_as_they_were_written() {
    Sweep::start(None).await.check(&computed_entries()).await;
}

/// The command is refused from when the origin was asked: to what ends an action, or a reading.
#[tokio::test]
async fn actions_and_readings_are_answered_as_they_were_written() {
    let origin = Origin::start(Reply::json("{}")).await;
    Sweep::start(Some(origin))
        .await
        .check(&under_an_origin())
        .await;
}

/// A service whose user of Redis may do what docs/variables.md says, and no more.
struct Sweep {
    app: App,
    origin: Option<Origin>,
    /// Of another user, who may do anything.
    redis: MultiplexedConnection,
    commands: Vec<String>,
}

/// A case and its user, who is in the state that the case begins with.
struct Prepared<'a> {
    case: &'a Case,
    user: usize,
    state: State,
    /// The last `ETag` and the last `Compute-Token` that the user was told.
    told: [String; 2],
}

impl Sweep {
    async fn start(origin: Option<Origin>) -> Self {
        let app = App::builder()
            .patient()
            .var("redis_user", "anna")
            .var("api_token", API_TOKEN)
            .var("admin_token", ADMIN_TOKEN);
        let app = match &origin {
            Some(origin) => app.origin(origin).start().await,
            None => app.start().await,
        };
        let redis = app.redis.connection().await;
        let commands = documented_commands();
        let sweep = Self {
            app,
            origin,
            redis,
            commands,
        };
        let mut rules: Vec<_> = ["on", "nopass", "~user:*", "~{user:*", "-@all"]
            .map(str::to_owned)
            .into();
        rules.extend(sweep.commands.iter().map(|name| format!("+{name}")));
        sweep.set_user(&rules).await;
        sweep
    }

    async fn set_user(&self, rules: &[String]) {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("anna").arg(rules);
        let mut redis = self.redis.clone();
        command.query_async::<()>(&mut redis).await.unwrap();
    }

    /// Sends the calls, first with all commands, then without each.
    async fn check(&self, cases: &[Case]) {
        let mut faults = self.faults(cases, 0, None).await;
        assert!(faults.is_empty(), "{faults:#?}");
        for (round, command) in (1..).zip(&self.commands) {
            faults.extend(self.faults(cases, round, Some(command)).await);
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }

    /// Sends the calls at once, without one command, and says what is wrong with the answers.
    async fn faults(&self, cases: &[Case], round: usize, refused: Option<&str>) -> Vec<String> {
        let users = round * cases.len() + 1..;
        let prepared = cases
            .iter()
            .zip(users)
            .map(|(case, user)| self.prepare(case, user));
        let prepared = join_all(prepared).await;
        let start = || {
            let calls = prepared
                .iter()
                .map(|it| self.call(&it.case.call, it).spawn());
            calls.collect::<Vec<_>>()
        };
        let mut calls = Vec::new();
        if let Some(origin) = &self.origin {
            let seen = origin.seen().len();
            origin.reply_with(Reply::json("{}").gated());
            calls = start();
            origin.until_seen(seen + cases.len()).await;
        }
        let waiters = join_all(prepared.iter().map(|it| self.wait(it))).await;
        if let Some(command) = refused {
            self.set_user(&[format!("-{command}")]).await;
        }
        if let Some(origin) = &self.origin {
            cases.iter().for_each(|_| origin.release_one());
            origin.reply_with(Reply::json("{}"));
        } else {
            calls = start();
        }
        let answers = join_all(calls).await;
        let faults = prepared.iter().zip(answers).map(|(it, answer)| {
            let answer = answer.unwrap();
            async move { self.fault(it, refused, &answer).await }
        });
        let faults = join_all(faults).await;
        for waiter in waiters.into_iter().flatten() {
            waiter.abort();
        }
        if let Some(command) = refused {
            self.set_user(&[format!("+{command}")]).await;
        }
        self.app.redis.run::<()>(&["FLUSHALL"]).await;
        faults.into_iter().flatten().collect()
    }

    async fn prepare<'a>(&self, case: &'a Case, user: usize) -> Prepared<'a> {
        let mut prepared = Prepared {
            case,
            user,
            state: State::new(),
            told: Default::default(),
        };
        for request in &case.before {
            let answer = self.call(request, &prepared).await;
            for (name, told) in ["etag", "compute-token"].iter().zip(&mut prepared.told) {
                if let Some(value) = answer.header(name) {
                    value.clone_into(told);
                }
            }
            assert!(
                is_done(request, &answer),
                "{}: {}",
                case.name,
                answer.text()
            );
        }
        if case.is_fence_gone {
            let fence = format!("{{user:{user}:lock}}:fence");
            let evicted = self.app.redis.run::<i64>(&["DEL", &fence]).await;
            assert_eq!(evicted, 1, "{}", case.name);
        }
        prepared.state = self.state(user).await;
        prepared
    }

    /// Lets somebody wait, where somebody does.
    async fn wait(&self, prepared: &Prepared<'_>) -> Option<tokio::task::JoinHandle<Answer>> {
        let waiter = self.call(prepared.case.waiter.as_ref()?, prepared).spawn();
        until("somebody waits", || async {
            let state = self.state(prepared.user).await;
            state.keys().any(|key| key.ends_with(":queue"))
        })
        .await;
        Some(waiter)
    }

    fn call(&self, request: &Request, prepared: &Prepared<'_>) -> Call {
        let user = prepared.user.to_string();
        let [etag, task] = &prepared.told;
        let path = format!("/api/v1/users{}", request.path.replace("{user}", &user));
        let call = self.app.call(request.method, &path);
        let call = call.header("authorization", &format!("Bearer {ADMIN_TOKEN}"));
        let call = request.headers.iter().fold(call, |call, (name, value)| {
            call.header(name, &value.replace("{etag}", etag).replace("{task}", task))
        });
        match &request.body {
            Some(body) => call.body(body.clone()),
            None => call,
        }
    }

    async fn state(&self, user: usize) -> State {
        let script = "local all = {}
            for _, key in ipairs(redis.call('KEYS', '*user:' .. ARGV[1] .. ':*')) do
                local is_text = redis.call('TYPE', key).ok == 'string'
                local value = is_text and redis.call('GET', key) or ''
                all[#all + 1] = {key, value, redis.call('PTTL', key)}
            end
            return all";
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(0).arg(user);
        let mut redis = self.redis.clone();
        let all: Vec<(String, Vec<u8>, i64)> = command.query_async(&mut redis).await.unwrap();
        let all = all.into_iter().map(|(key, value, ttl)| (key, (value, ttl)));
        all.collect()
    }

    /// What is wrong with an answer, if anything is.
    async fn fault(
        &self,
        prepared: &Prepared<'_>,
        refused: Option<&str>,
        answer: &Answer,
    ) -> Option<String> {
        let Prepared {
            case, user, state, ..
        } = prepared;
        let name = case.name;
        let stays_locked = refused.is_some_and(|command| NEEDED_TO_FREE.contains(&command));
        let is_done = is_done(&case.call, answer);
        if !is_done && !stays_locked && case.waiter.is_none() {
            // What was taken or queued is given back behind the answer.
            let leaves = refused != Some(NEEDED_TO_LEAVE);
            let taken = |key: &String| is_lock(key) || leaves && key.ends_with(":queue");
            let what = format!("nothing is left of {name} without {refused:?}");
            until(&what, || async {
                let now = self.state(*user).await;
                now.keys().all(|key| !taken(key) || state.contains_key(key))
            })
            .await;
        }
        let now = self.state(*user).await;
        let keys: BTreeSet<_> = state.keys().chain(now.keys()).collect();
        let mut changed: Vec<_> = keys.into_iter().map(String::as_str).collect();
        changed.retain(|key| is_data(key) || case.names(key));
        changed.retain(|key| is_another(state.get(*key), now.get(*key)));
        if case.waiter.is_some() || stays_locked {
            // The lock is another's now, or stays.
            changed.retain(|key| case.names(key) || !is_lock(key) || state.contains_key(*key));
        }
        let stays = now
            .iter()
            .find(|(key, (_, ttl))| *ttl == -1 || key.contains(":staged:") && *ttl > ANOTHER_TTL);
        let wrong = if let Some((key, _)) = stays {
            changed = vec![key];
            "something stays for long"
        } else if is_done && !case.is_complete(&changed) {
            "it was not written"
        } else if is_done && !changed.iter().all(|key| case.names(key)) {
            "more was written"
        } else if !is_done && !changed.is_empty() {
            "it was written"
        } else if !is_done && refused.is_none() && !case.changes.is_empty() {
            "it was refused"
        } else {
            return None;
        };
        let status = answer.status;
        Some(format!(
            "{name} without {refused:?}: {status}, but {wrong}: {changed:?}"
        ))
    }
}

/// The commands that a user with an ACL needs.
fn documented_commands() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/variables.md")).unwrap();
    let (_, listed) = page.split_once("```text\n+").unwrap();
    let (listed, _) = listed.split_once("\n```").unwrap();
    let names = listed.split_whitespace();
    names
        .map(|name| name.trim_start_matches('+').to_owned())
        .collect()
}

/// Whether an answer says that it was done.
fn is_done(request: &Request, answer: &Answer) -> bool {
    match answer.header("cache-status") {
        Some(told) if request.path == "/{user}" => told.contains("; stored"),
        _ => answer.status < 400 || answer.header("compute-token").is_some(),
    }
}

fn is_lock(key: &str) -> bool {
    key.ends_with(":lock") || key.contains(":compute:") && !key.contains('/')
}

/// Whether callers learn of this key.
fn is_data(key: &str) -> bool {
    is_lock(key) || key.ends_with(":origin") || key.contains(":cache:") || key.contains(":idem:")
}

fn is_another(before: Option<&(Vec<u8>, i64)>, now: Option<&(Vec<u8>, i64)>) -> bool {
    match (before, now) {
        (Some((value, ttl)), Some((new_value, new_ttl))) => {
            value != new_value || ttl.abs_diff(*new_ttl) > ANOTHER_TTL.unsigned_abs()
        }
        (None, None) => false,
        _ => true,
    }
}
