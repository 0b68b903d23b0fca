//! The calls that change something.

/// A `Lock-Token` that clients bring.
const TOKEN: &str = "a-token-of-my-own";

/// The token of one who waits.
const WAITERS: &str = "a-token-of-the-waiter";

/// A request for one user.
pub(super) struct Request {
    pub(super) method: &'static str,
    /// What follows `/api/v1/users`, with `{user}` for the user.
    pub(super) path: &'static str,
    /// Values may have `{etag}` and `{task}`, of which the user was told before.
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Option<String>,
}

/// A call, and what it changes where it succeeds.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// What was sent before.
    pub(super) before: Vec<Request>,
    /// Whether Redis has evicted the lock's fence since.
    pub(super) is_fence_gone: bool,
    /// Who waits meanwhile.
    pub(super) waiter: Option<Request>,
    pub(super) call: Request,
    /// How the keys end whose values or times to live are others then. With a colon at its end, it
    /// stands in the middle.
    pub(super) changes: &'static [&'static str],
}

impl Request {
    fn new(method: &'static str, path: &'static str) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            body: None,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl Case {
    fn new(name: &'static str, call: Request, changes: &'static [&'static str]) -> Self {
        Self {
            name,
            before: Vec::new(),
            is_fence_gone: false,
            waiter: None,
            call,
            changes,
        }
    }

    fn after<const N: usize>(mut self, before: [Request; N]) -> Self {
        self.before.extend(before);
        self
    }

    fn without_fence(mut self) -> Self {
        self.is_fence_gone = true;
        self
    }

    fn behind(mut self, waiter: Request) -> Self {
        self.waiter = Some(waiter);
        self
    }

    /// Whether this key is one that it changes.
    pub(super) fn names(&self, key: &str) -> bool {
        self.changes.iter().any(|part| is_named(key, part))
    }

    /// Whether these are all that it changes.
    pub(super) fn is_complete(&self, changed: &[&str]) -> bool {
        let among = |part: &&str| changed.iter().any(|key| is_named(key, part));
        self.changes.iter().all(among)
    }
}

fn is_named(key: &str, part: &str) -> bool {
    key.ends_with(part) || part.ends_with(':') && key.contains(part)
}

fn perform() -> Request {
    Request::new("POST", "/perform-action?user_id={user}")
}

fn attempt() -> Request {
    Request::new("POST", "/attempt-action?user_id={user}")
}

/// A lease for as long as no test takes.
fn lease() -> Request {
    Request::new("POST", "/{user}/lock?expire=1000").with("lock-token", TOKEN)
}

/// The same from somebody who waits for it.
fn wait() -> Request {
    let path = "/{user}/lock?expire=1000&timeout=20";
    Request::new("POST", path).with("lock-token", WAITERS)
}

fn put() -> Request {
    put_for("/{user}/cache/profile?expire=1000")
}

/// For another time than [`put`].
fn put_anew() -> Request {
    put_for("/{user}/cache/profile?expire=2000")
}

fn put_for(path: &'static str) -> Request {
    Request::new("PUT", path).body(r#"{"a":1}"#)
}

/// Longer than what goes through a script.
fn long(request: Request) -> Request {
    request.body(format!(r#"{{"a":"{}"}}"#, "x".repeat(20 << 10)))
}

fn patch() -> Request {
    let patch = Request::new("PATCH", "/{user}/cache/profile").body(r#"{"b":2}"#);
    patch.with("content-type", "application/merge-patch+json")
}

fn delete() -> Request {
    Request::new("DELETE", "/{user}/cache/profile")
}

/// Takes the task of computing the entry.
fn compute() -> Request {
    Request::new("GET", "/{user}/cache/profile?compute=50")
}

fn wait_for_computer() -> Request {
    Request::new("GET", "/{user}/cache/profile?compute=50&timeout=20")
}

const ENTRY: &[&str] = &[":cache:profile"];
const COMPUTED: &[&str] = &[":cache:profile", ":compute:profile"];
const TASK: &[&str] = &[":compute:profile"];
const LOCK: &[&str] = &[":lock"];

pub(super) fn leases() -> Vec<Case> {
    let renew = || Request::new("PUT", "/{user}/lock?expire=2000").with("lock-token", TOKEN);
    let again = || Request::new("POST", "/{user}/lock?expire=2000").with("lock-token", TOKEN);
    let vain = Request::new("POST", "/{user}/lock?timeout=0.05");
    let release = || Request::new("DELETE", "/{user}/lock");
    let broken = || Request::new("DELETE", "/{user}/lock?force=true");
    vec![
        Case::new("a lease", lease(), LOCK),
        Case::new("a lease taken again", again(), LOCK).after([lease()]),
        Case::new("a lease taken again without a fence", again(), LOCK)
            .after([lease()])
            .without_fence(),
        Case::new("a lease renewed", renew(), LOCK).after([lease()]),
        Case::new("a lease renewed without a fence", renew(), LOCK)
            .after([lease()])
            .without_fence(),
        Case::new(
            "a lease released",
            release().with("lock-token", TOKEN),
            LOCK,
        )
        .after([lease()]),
        Case::new(
            "a lease passed on",
            release().with("lock-token", TOKEN),
            LOCK,
        )
        .after([lease()])
        .behind(wait()),
        Case::new("a wait in vain", vain, &[]).after([lease()]),
        Case::new(
            "a wait withdrawn",
            release().with("lock-token", WAITERS),
            &[":ended:"],
        )
        .after([lease()])
        .behind(wait()),
        Case::new("a lock broken", broken(), LOCK).after([lease()]),
        Case::new("a lock broken and passed on", broken(), LOCK)
            .after([lease()])
            .behind(wait()),
    ]
}

pub(super) fn entries() -> Vec<Case> {
    vec![
        Case::new("a new entry", put(), ENTRY),
        Case::new("an entry replaced", put_anew(), ENTRY).after([put()]),
        Case::new("a long entry", long(put()), ENTRY),
        Case::new("a long entry replaced", long(put_anew()), ENTRY).after([put()]),
        Case::new("If-None-Match", put().with("if-none-match", "*"), ENTRY),
        Case::new("If-Match", put_anew().with("if-match", "{etag}"), ENTRY).after([put()]),
        Case::new(
            "a long one, If-Match",
            long(put_anew()).with("if-match", "{etag}"),
            ENTRY,
        )
        .after([put()]),
        Case::new("a patch", patch(), ENTRY).after([put()]),
        Case::new(
            "a patch, If-Match",
            patch().with("if-match", "{etag}"),
            ENTRY,
        )
        .after([put()]),
        Case::new("a patch of a long entry", patch(), ENTRY).after([long(put())]),
        Case::new("a removal", delete(), ENTRY).after([put()]),
        Case::new(
            "a removal, If-Match",
            delete().with("if-match", "{etag}"),
            ENTRY,
        )
        .after([put()]),
    ]
}

pub(super) fn computed_entries() -> Vec<Case> {
    let with_task = |request: Request| request.with("compute-token", "{task}");
    vec![
        Case::new("a task", compute(), TASK),
        Case::new("a task given up", with_task(delete()), TASK).after([compute()]),
        Case::new("a task passed on", with_task(delete()), TASK)
            .after([compute()])
            .behind(wait_for_computer()),
        Case::new("a computed entry", with_task(put()), COMPUTED).after([compute()]),
        Case::new(
            "a computed entry that others wait for",
            with_task(put()),
            COMPUTED,
        )
        .after([compute()])
        .behind(wait_for_computer()),
        Case::new("a long computed entry", with_task(long(put())), COMPUTED)
            .after([compute()])
            .behind(wait_for_computer()),
        Case::new("an entry that others compute", put(), COMPUTED)
            .after([compute()])
            .behind(wait_for_computer()),
    ]
}

/// The calls that ask an origin.
pub(super) fn under_an_origin() -> Vec<Case> {
    const LAST: &[&str] = &[":cache:last-action"];
    const KEPT: &[&str] = &[":cache:last-action", ":idem:"];
    let key = |request: Request| request.with("idempotency-key", "k");
    let read = || Request::new("GET", "/{user}");
    vec![
        Case::new("an action", perform(), LAST),
        Case::new("another action", perform(), LAST).after([perform()]),
        Case::new("an action with a key", key(perform()), KEPT),
        Case::new("an attempt", attempt(), LAST),
        Case::new("an attempt with a key", key(attempt()), KEPT),
        Case::new("an action that others wait for", perform(), LAST).behind(wait()),
        Case::new("a user who is read", read(), &[":origin"]),
        Case::new("a user who is read after an action", read(), &[":origin"]).after([perform()]),
    ]
}
