//! The service itself: is it running, can it work, what can it do. The last two are served by the
//! documentation's own component.

use std::time::Duration;

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::schema::{Object, Type};

use super::draft::{Described, Draft, answer, content_of, shown};
use crate::http::handlers::health::{Live, Ready};
use crate::http::problem::Problem;
use crate::http::request::conditions;
use crate::http::request::query::Query;

pub(super) fn operations() -> Vec<Described> {
    vec![live(), ready(), openapi(), docs()]
}

fn live() -> Described {
    let examples = [("ok", shown(&Live::ANSWER))];
    let running = answer("The component runs", &[])
        .content("application/json", content_of::<Live>(&examples));
    draft("/healthz", "healthz", "Whether the component is running")
        .describe("Touches neither Redis nor the settings.")
        .reply(200, running)
        .problem(extra_input())
        .finish()
}

fn ready() -> Described {
    let examples = [("ok", shown(&Ready::after(Duration::from_micros(412))))];
    let ready = answer("An action could be carried out", &[])
        .content("application/json", content_of::<Ready>(&examples));
    draft("/readyz", "readyz", "Whether the service can do its work")
        .describe(
            "Takes a lock in Redis, writes a result and gives the lock back, with the scripts that \
             actions use. Each instance asks Redis once a second at most.",
        )
        .reply(200, ready)
        .problem(extra_input())
        .uses_redis()
        .finish()
}

fn openapi() -> Described {
    let document = ContentBuilder::new()
        .schema(Some(Object::with_type(Type::Object)))
        .example(Some(json!({ "openapi": "3.1.0" })));
    let found = answer("OpenAPI 3.1", &PAGE).content("application/json", document.build());
    draft("/openapi.json", "openapi", "This document")
        .reply(200, found)
        .page()
}

fn docs() -> Described {
    let page = ContentBuilder::new().schema(Some(Object::with_type(Type::String)));
    let found = answer("HTML", &PAGE).content("text/html", page.build());
    draft("/docs", "docs", "A page to read and try this API")
        .reply(200, found)
        .page()
}

const PAGE: [&str; 3] = ["ETag.weak", "Cache-Control.revalidate", "Vary"];

impl Draft {
    /// What is kept by those who have it already.
    fn page(self) -> Described {
        let tags = conditions::parse(&HeaderMap::from_iter([(
            IF_NONE_MATCH,
            HeaderValue::from_static("untagged"),
        )]));
        self.parameters(&["IfNoneMatch"])
            .reply(304, answer("`If-None-Match` names the tag", &PAGE))
            .problem(Problem::invalid_request(tags.err().unwrap_or_default()))
            .finish()
    }
}

/// What a request with `?color=red` is told.
fn extra_input() -> Problem {
    let uri = http::Uri::from_static("/?color=red");
    let query = Query::new(&uri).finish(Some(()));
    query.err().unwrap_or_else(Problem::not_found)
}

fn draft(path: &str, id: &str, summary: &str) -> Draft {
    Draft::new(HttpMethod::Get, path, id, "service", summary)
}
