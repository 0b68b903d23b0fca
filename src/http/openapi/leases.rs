//! The user's own lock and the named ones: the same verbs on both.

use utoipa::openapi::content::Content;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::HttpMethod;

use super::draft::{Described, Draft, answer, content_of, link, shown};
use super::examples::{SOME_NUMBER, SOME_OWNER, SOME_TOKEN, some_holder};
use crate::core::lock::LockError;
use crate::http::handlers::locks::{GrantedLease, LockState};
use crate::http::problem::Problem;

/// Which lock a set of operations is about.
#[derive(Clone, Copy)]
struct Lock {
    path: &'static str,
    /// What the ids of its operations end with.
    id: &'static str,
    parameters: &'static [&'static str],
}

const OWN: Lock = Lock {
    path: "/api/v1/users/{user_id}/lock",
    id: "lock",
    parameters: &["UserIdPath"],
};

const NAMED: Lock = Lock {
    path: "/api/v1/users/{user_id}/locks/{name}",
    id: "named_lock",
    parameters: &["UserIdPath", "LockName"],
};

pub(super) fn operations() -> Vec<Described> {
    [OWN, NAMED]
        .into_iter()
        .flat_map(|lock| [inspect(lock), acquire(lock), renew(lock), release(lock)])
        .collect()
}

fn inspect(lock: Lock) -> Described {
    let held = LockState::Held {
        held: true,
        fencing_token: Some(SOME_NUMBER),
        expires_in: Some(7.3),
        owner: Some(SOME_OWNER.to_owned()),
        waiting: 2,
    };
    let foreign = LockState::Held {
        held: true,
        fencing_token: None,
        expires_in: None,
        owner: None,
        waiting: 0,
    };
    let free = LockState::Free {
        held: false,
        waiting: 0,
    };
    let examples = [
        ("held", shown(&held)),
        ("held-by-a-foreign-client", shown(&foreign)),
        ("free", shown(&free)),
    ];
    let state = answer("Whether it is held", &[])
        .content("application/json", content_of::<LockState>(&examples));
    lock.draft(
        HttpMethod::Get,
        "inspect",
        "Whether the lock is held, by whom, and for how long",
    )
    .describe(
        "With `wait`, the answer comes when the lock is free, or when `wait` seconds have passed. \
             With `after` too, it also comes when the lock has another holder than the one with \
             this fencing token; a foreign client is another one. Who watches is not in the queue.",
    )
    .parameters(&["Wait", "After"])
    .reply(200, state)
    .guarded()
    .finish()
}

fn acquire(lock: Lock) -> Described {
    let new = answer("The lock is yours", &["Cache-Control.secret"]);
    let again = answer(
        "The lock was yours already; its time to live starts again",
        &["Cache-Control.secret"],
    );
    let next = lock.next();
    let new = next
        .iter()
        .fold(new, |new, (name, link)| new.link(*name, link.clone()));
    lock.draft(
        HttpMethod::Post,
        "acquire",
        "Acquire the lock, and hold it across requests",
    )
    .describe(
        "Waits up to `timeout` for the lock. The token in the answer renews and releases it. A \
             client may bring its own `Lock-Token`: acquiring again with the same token renews the \
             lock, keeps the fencing token and answers 200. A lease whose answer could not be \
             delivered, because its client had hung up, is given back, unless the client brought \
             the token.",
    )
    .parameters(&["LeaseTimeout", "LockExpire", "BroughtToken", "LockOwner"])
    .reply(201, new.content("application/json", granted()))
    .reply(200, again.content("application/json", granted()))
    .problem(LockError::Held(some_holder()))
    .problem(Problem::lock_token_invalid())
    .unused_body()
    .guarded()
    .finish()
}

fn renew(lock: Lock) -> Described {
    let renewed = answer(
        "The lock is still yours; its time to live starts again",
        &["Cache-Control.secret"],
    );
    lock.draft(HttpMethod::Put, "renew", "Renew the lock")
        .parameters(&["LockExpire", "LockToken"])
        .unused_body()
        .reply(200, renewed.content("application/json", granted()))
        .owners()
}

fn release(lock: Lock) -> Described {
    lock.draft(
        HttpMethod::Delete,
        "release",
        "Release the lock, or break it",
    )
    .describe(
        "While a request with that token still waits for the lock, it waits no longer and is \
         answered 423; this is 204 then, too. With `force=true` and the `admin_token`, the lock is \
         taken from whoever holds it, and the longest waiter gets it. The holder's next renewal, \
         release or commit is answered 409. No `Lock-Token` is needed then. The lock is taken from \
         whoever holds it when the request is carried out: a repetition after a lost answer or a \
         503 may take it from the next holder. Look first.",
    )
    .parameters(&["Force", "ReleaseToken", "BreakOwner"])
    .reply(
        204,
        answer(
            "The lock was released, or broken, or its token waits no longer",
            &[],
        ),
    )
    .problem(Problem::admin_only())
    .owners()
}

fn granted() -> Content {
    let lease = GrantedLease {
        token: SOME_TOKEN,
        fencing_token: SOME_NUMBER,
        expires_in: 10.0,
    };
    content_of::<GrantedLease<'_>>(&[("lease", shown(&lease))])
}

impl Lock {
    fn draft(self, method: HttpMethod, verb: &str, summary: &str) -> Draft {
        let id = self.operation_id(verb);
        Draft::new(method, self.path, &id, "leases", summary).parameters(self.parameters)
    }

    fn operation_id(self, verb: &str) -> String {
        format!("{verb}_{}", self.id)
    }

    /// The links of the answer to an acquisition.
    fn next(self) -> Vec<(&'static str, Link)> {
        let mut same = vec![("path.user_id", "$request.path.user_id")];
        if self.parameters.contains(&"LockName") {
            same.push(("path.name", "$request.path.name"));
        }
        let mut owned = same.clone();
        owned.push(("header.Lock-Token", "$response.body#/token"));
        vec![
            ("inspect", link(&self.operation_id("inspect"), &same)),
            ("renew", link(&self.operation_id("renew"), &owned)),
            ("release", link(&self.operation_id("release"), &owned)),
        ]
    }
}

impl Draft {
    /// Adds what every operation of the lock's owner has in common.
    fn owners(self) -> Described {
        self.problem(Problem::lock_token_invalid())
            .problem(Problem::not_lock_owner())
            .problem(Problem::lock_token_required())
            .guarded()
            .finish()
    }
}
