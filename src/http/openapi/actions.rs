//! `perform-action` and `attempt-action`.

use std::time::Duration;

use serde_json::json;
use serde_json::value::to_raw_value;
use utoipa::ToSchema as _;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{Ref, Required};

use super::draft::{Described, Draft, answer, content, content_of, shown};
use super::examples::some_holder;
use super::users::refused;
use crate::core::lock::LockError;
use crate::http::handlers::actions::{Failed, Success};
use crate::http::problem::{Problem, origin_failure};
use crate::platform::origin::Failure;

const RAN: [&str; 3] = ["Fencing-Token", "Lock-Wait", "Idempotent-Replayed"];

const IF_RUN: [&str; 4] = [
    "Fencing-Token.if-run",
    "Lock-Wait.if-run",
    "Idempotent-Replayed",
    "Retry-After.if-held",
];

pub(super) fn operations() -> Vec<Described> {
    vec![perform(), attempt()]
}

fn perform() -> Described {
    let path = "/api/v1/users/perform-action";
    let summary = "Wait for the user's lock and run the action under it";
    let ran = answer("The action ran", &RAN)
        .content("application/json", content_of::<Success<'_>>(&successes()));
    Draft::new(HttpMethod::Post, path, "perform_action", "actions", summary)
        .describe(
            "Waits up to `timeout` for the lock. One atomic step stores the result as the entry \
             `last-action` of the user's cache and releases the lock. With an `Idempotency-Key`, \
             the first success is stored and replayed without running the action again. A request \
             with another body or another `expire` under the same key is refused.",
        )
        .parameters(&[
            "UserIdQuery",
            "ActionTimeout",
            "LockExpire",
            "IdempotencyKey",
        ])
        .reply(200, ran)
        .problem(LockError::Held(some_holder()))
        .action()
}

fn attempt() -> Described {
    let path = "/api/v1/users/attempt-action";
    let either = OneOfBuilder::new()
        .item(Ref::from_schema_name(Success::name()))
        .item(Ref::from_schema_name(Failed::name()));
    let mut examples = successes();
    examples.push(("failed", shown(&Failed::ANSWER)));
    let answered = answer("The action ran, or the lock was not acquired", &IF_RUN)
        .content("application/json", content(either, &examples));
    Draft::new(
        HttpMethod::Post,
        path,
        "attempt_action",
        "actions",
        "Try once to run the action",
    )
    .describe(
        "Like `perform-action`, but does not wait. If somebody else holds the lock, the answer \
             is 200 with `\"status\": \"failed\"`.",
    )
    .parameters(&["UserIdQuery", "LockExpire", "IdempotencyKey"])
    .reply(200, answered)
    .action()
}

fn successes() -> Vec<(&'static str, serde_json::Value)> {
    let result = to_raw_value(&json!({ "receipt": 7 })).ok();
    vec![
        ("success", shown(&Success::with(None))),
        (
            "success-with-result",
            shown(&Success::with(result.as_deref())),
        ),
    ]
}

impl Draft {
    /// Adds what both actions have in common.
    fn action(self) -> Described {
        self.body(
            "application/json",
            Required::False,
            "The action's input. `Content-Type` may be any JSON type (`application/...+json`) or \
             absent",
            json!({ "amount": 5 }),
        )
        .problem(Problem::unsupported_media_type())
        .problem(Problem::idempotency_key_invalid())
        .problem(Problem::idempotency_key_reused())
        .problem(Problem::lock_lost())
        .problem(refused())
        .problem(origin_failure(
            Failure::timed_out(Duration::from_secs(30)),
            false,
        ))
        .guarded()
        .finish()
    }
}
