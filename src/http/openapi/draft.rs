//! The description of one operation under construction: utoipa's builder, and problems grouped by
//! status.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, RefOr, Required};

use super::components::API_TOKEN;
use crate::http::problem::{Members, Problem};
use crate::http::request::body;
use crate::http::request::query::Query;
use crate::http::request::values;
use crate::platform::redis::RedisError;
use crate::types::json;
use crate::types::name::LAST_ACTION;
use crate::types::ttl::MAX_WAIT_MS;
use crate::types::user_id::UserIds;

/// An operation with its path and method.
pub(super) type Described = (String, HttpMethod, Operation);

/// Describes one operation.
pub(super) struct Draft {
    path: String,
    method: HttpMethod,
    operation: OperationBuilder,
    parameters: Vec<&'static str>,
    problems: BTreeMap<u16, Vec<Problem>>,
}

impl Draft {
    pub(super) fn new(method: HttpMethod, path: &str, id: &str, tag: &str, summary: &str) -> Self {
        Self {
            path: path.to_owned(),
            method,
            operation: OperationBuilder::new()
                .operation_id(Some(id))
                .tag(tag)
                .summary(Some(summary)),
            parameters: Vec::new(),
            problems: BTreeMap::new(),
        }
    }

    fn operation(self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Self {
        Self {
            operation: change(self.operation),
            ..self
        }
    }

    pub(super) fn describe(self, description: &str) -> Self {
        self.operation(|operation| operation.description(Some(description)))
    }

    /// Adds parameters by their names among the components.
    pub(super) fn parameters(mut self, names: &[&'static str]) -> Self {
        self.parameters.extend(names);
        self.operation(|operation| {
            names.iter().fold(operation, |operation, name| {
                operation.parameter_ref(Ref::new(format!("#/components/parameters/{name}")))
            })
        })
    }

    /// Adds a body, and the problems of every body.
    pub(super) fn body(
        self,
        media_type: &str,
        required: Required,
        description: &str,
        example: Value,
    ) -> Self {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Json")))
            .example(Some(example));
        let body = RequestBodyBuilder::new()
            .description(Some(description))
            .required(Some(required))
            .content(media_type, content.build());
        self.operation(|operation| operation.request_body(Some(body.build())))
            .problem(malformed_json())
            .problem(Problem::body_too_large(1 << 20))
    }

    /// Adds the problems of a body that nobody uses.
    pub(super) fn unused_body(self) -> Self {
        self.problem(malformed_json())
            .problem(Problem::body_too_large(1 << 20))
            .problem(Problem::unsupported_media_type())
    }

    pub(super) fn reply(self, status: u16, response: ResponseBuilder) -> Self {
        self.operation(|operation| operation.response(status.to_string(), response))
    }

    pub(super) fn problem(mut self, problem: impl Into<Problem>) -> Self {
        let problem = problem.into();
        let status = problem.status.as_u16();
        self.problems.entry(status).or_default().push(problem);
        self
    }

    /// Adds the problems of every operation that talks to Redis.
    pub(super) fn uses_redis(self) -> Self {
        let unreachable = spin_sdk::redis::Error::InvalidAddress;
        self.problem(RedisError::from_spin(unreachable, false))
            .problem(RedisError::timed_out(Duration::from_secs(1), true))
            .problem(Problem::misconfigured())
            .problem(Problem::internal("an example"))
    }

    /// Adds the problems of every operation under `/api`.
    pub(super) fn guarded(self) -> Self {
        let token = SecurityRequirement::new(API_TOKEN, Vec::<String>::new());
        let invalid = invalid_request(&self.parameters);
        let changes = self.method != HttpMethod::Get;
        let mut draft = self.operation(|operation| {
            operation
                .security(SecurityRequirement::default())
                .security(token)
        });
        if changes {
            draft = draft.problem(Problem::cross_site());
        }
        draft
            .problem(Problem::unauthorized())
            .problem(invalid)
            .uses_redis()
    }

    /// Writes the problems down.
    pub(super) fn finish(mut self) -> Described {
        for (status, problems) in std::mem::take(&mut self.problems) {
            let response = response_of(&problems, &self.path);
            self = self.reply(status, response);
        }
        (self.path, self.method, self.operation.build())
    }
}

/// An answer with these headers and the common ones, by their names among the components.
pub(super) fn answer(description: &str, headers: &[&str]) -> ResponseBuilder {
    let everywhere = ["X-Request-Id", "Server-Timing"];
    let response = ResponseBuilder::new().description(description);
    everywhere
        .iter()
        .chain(headers)
        .fold(response, |response, name| {
            let header = Ref::new(format!("#/components/headers/{name}"));
            let (name, _) = name.split_once('.').unwrap_or((name, ""));
            response.header_ref(name, header)
        })
}

/// JSON of this type, with examples by name.
pub(super) fn content_of<T: ToSchema>(examples: &[(&str, Value)]) -> Content {
    content(Ref::from_schema_name(T::name()), examples)
}

/// JSON of this schema, with examples by name.
pub(super) fn content(schema: impl Into<RefOr<Schema>>, examples: &[(&str, Value)]) -> Content {
    let examples = examples.iter().map(|(name, value)| {
        let example = ExampleBuilder::new().value(Some(value.clone()));
        (*name, example)
    });
    ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(examples)
        .build()
}

/// A value as it is answered.
pub(super) fn shown(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A link to an operation, with its parameters as runtime expressions.
pub(super) fn link(operation_id: &str, parameters: &[(&str, &str)]) -> Link {
    let link = LinkBuilder::new().operation_id(operation_id);
    parameters
        .iter()
        .fold(link, |link, (name, expression)| {
            link.parameter(*name, *expression)
        })
        .build()
}

fn response_of(problems: &[Problem], path: &str) -> ResponseBuilder {
    let mut headers: Vec<&str> = Vec::new();
    if problems.iter().any(|problem| problem.retry_after.is_some()) {
        headers.push("Retry-After");
    }
    if problems
        .iter()
        .any(|problem| problem.status == http::StatusCode::UNAUTHORIZED)
    {
        headers.push("WWW-Authenticate");
    }
    if problems
        .iter()
        .any(|problem| problem.slug == Problem::compute_granted().slug)
    {
        headers.push("Compute-Token");
    }
    let mut kinds: Vec<&str> = problems.iter().map(|problem| problem.slug).collect();
    kinds.dedup();
    let description = kinds.iter().map(|kind| format!("`{kind}`"));
    let description = description.collect::<Vec<_>>().join(" or ");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let examples: Vec<(String, Value)> = problems
        .iter()
        .map(|problem| {
            let count = seen.entry(problem.slug).or_default();
            *count += 1;
            let name = match *count {
                1 => problem.slug.to_owned(),
                more => format!("{}-{more}", problem.slug),
            };
            let body = problem.body(&instance_of(problem, path));
            let body = serde_json::from_slice(&body);
            (name, body.unwrap_or_default())
        })
        .collect();
    let examples: Vec<(&str, Value)> = examples
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    answer(&description, &headers).content(
        "application/problem+json",
        content(one_of_these(&kinds), &examples),
    )
}

/// The path of a request that meets this problem.
fn instance_of(problem: &Problem, path: &str) -> String {
    let (user, key) = match problem.slug {
        "invalid-request" => ("007", "profile"),
        "reserved-key" => ("42", LAST_ACTION),
        _ => ("42", "profile"),
    };
    path.replace("{user_id}", user)
        .replace("{name}", "build")
        .replace("{key}", key)
}

/// A problem of one of these kinds.
fn one_of_these(kinds: &[&str]) -> AllOfBuilder {
    let types = kinds
        .iter()
        .map(|kind| Value::from(format!("urn:edgelatch:{kind}")));
    let known = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(types));
    AllOfBuilder::new()
        .item(Ref::from_schema_name(Members::name()))
        .item(ObjectBuilder::new().property("type", known))
}

/// The problem of a body that breaks off.
fn malformed_json() -> Problem {
    json::parse(b"{\"amount\": ")
        .err()
        .map_or_else(Problem::not_found, |error| body::not_json(&error))
}

/// The problem of a request for user 007 with `expire=0`, for an operation with these parameters.
fn invalid_request(parameters: &[&str]) -> Problem {
    let in_query = parameters.contains(&"UserIdQuery");
    let uri = http::Uri::from_static(if in_query {
        "/?user_id=007&expire=0"
    } else {
        "/?expire=0"
    });
    let mut query = Query::new(&uri);
    let has = |end: &str| parameters.iter().any(|name| name.ends_with(end));
    if has("Compute") {
        let longest = Duration::from_millis(MAX_WAIT_MS);
        query.optional("compute", |text| values::compute(text, longest));
    }
    if has("Timeout") {
        query.optional("timeout", values::timeout);
    }
    if has("Wait") {
        query.optional("wait", values::timeout);
        query.optional("after", values::fencing_token);
    }
    if has("Force") {
        query.optional("force", values::boolean);
    }
    if has("Refresh") {
        query.optional("refresh", values::refresh);
    }
    // In the order in which the handlers ask: faults are listed in it.
    let read = || values::user_id(UserIds::Integer);
    let asked = in_query.then(|| query.required("user_id", read()));
    if has("Expire") {
        query.optional("expire", values::expire);
    }
    let user = asked.unwrap_or_else(|| query.path("user_id", Some("007"), read()));
    query.finish(user).err().unwrap_or_else(Problem::not_found)
}
