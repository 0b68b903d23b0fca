//! The OpenAPI 3.1 document, made from the code: schemas come from the structs that are answered,
//! bounds from the parsers' constants, problems from their constructors. Native only; the component
//! serves the committed `openapi.json`.
//!
//! Operations use utoipa's builders, not `#[utoipa::path]`: an attribute can't call a problem's
//! constructor, and operations share most of their answers. utoipa has no member for three things,
//! which are written as extensions: `summary` of the document, `required` of a header, `not` of a
//! name.
//!
//! `HEAD` and `OPTIONS` are not listed: `HEAD` mirrors `GET`, `OPTIONS` repeats the list, and each
//! would add a method to every generated client.
//!
//! A test compares this with the committed file and with the routes. `cargo xtask openapi` rewrites
//! the file.

mod actions;
mod cache;
mod components;
mod draft;
mod headers;
mod leases;
mod parameters;
mod service;
mod users;

use utoipa::openapi::OpenApiBuilder;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::info::{Info, InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{PathItem, Paths, PathsBuilder};
use utoipa::openapi::tag::{Tag, TagBuilder};

/// The document as it is committed: indented, with a final line break.
///
/// # Errors
/// Where it can't be written as JSON, which would be a fault of the code.
pub fn document() -> Result<String, serde_json::Error> {
    let document = OpenApiBuilder::new()
        .info(info())
        .paths(paths())
        .components(Some(components::components()))
        .tags(Some(tags()))
        .build();
    Ok(document.to_pretty_json()? + "\n")
}

fn info() -> Info {
    let summary =
        "Actions that never run twice at once for one user, leases, and a JSON cache, over HTTP";
    InfoBuilder::new()
        .title("edgelatch")
        .version(env!("CARGO_PKG_VERSION"))
        .extensions(Some(Extensions::from_iter([("summary", summary)])))
        .description(Some(
            "Every path answers with and without a trailing slash. `HEAD` works wherever `GET` does, \
             and `OPTIONS` answers with `Allow`. Another method is 405 `method-not-allowed`, another \
             path 404 `not-found`. Times are in seconds: digits with an optional fraction, no \
             exponent; finer than a millisecond is rounded up. Errors are RFC 9457 problem details. \
             A 422 lists all faults at once; a query parameter that the operation does not have is \
             a fault.",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build()
}

fn tags() -> Vec<Tag> {
    [
        ("actions", "The action of a user, never twice at once"),
        ("leases", "Locks held across requests"),
        ("cache", "JSON entries with a time to live"),
        ("users", "The origin's JSON, read through the cache"),
        ("service", "Health, readiness and documentation"),
    ]
    .map(|(name, description)| {
        let tag = TagBuilder::new().name(name);
        tag.description(Some(description)).build()
    })
    .to_vec()
}

fn paths() -> Paths {
    let operations = [
        actions::operations(),
        leases::operations(),
        cache::operations(),
        users::operations(),
        service::operations(),
    ];
    operations
        .into_iter()
        .flatten()
        .fold(PathsBuilder::new(), |paths, (path, method, operation)| {
            // A path that is there already gets one more method.
            paths.path(path, PathItem::new(method, operation))
        })
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_committed_document_is_the_one_that_the_code_makes() {
        // Cargo runs tests in their package's folder.
        let committed = std::fs::read_to_string("openapi.json").unwrap_or_default();
        // As values: the order of members depends on serde_json's features, which another crate may
        // choose.
        let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
        assert!(
            parse(&committed) == parse(&document().unwrap_or_default()),
            "openapi.json is not what the code makes: run `cargo xtask openapi`"
        );
    }

    /// That the methods are the same is tested over HTTP, by what `OPTIONS` answers.
    #[test]
    fn it_has_the_paths_that_the_router_has() {
        let document: Value =
            serde_json::from_str(&document().unwrap_or_default()).unwrap_or_default();
        let paths = document["paths"].as_object().cloned().unwrap_or_default();
        // These two are the documentation's own component.
        let served_here = |path: &&str| !matches!(*path, "/docs" | "/openapi.json");
        let documented: BTreeSet<&str> = paths
            .keys()
            .map(String::as_str)
            .filter(served_here)
            .collect();
        let routes = crate::http::routes::ROUTES.iter();
        let routed: BTreeSet<&str> = routes.map(|route| route.template).collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value =
            serde_json::from_str(&document().unwrap_or_default()).unwrap_or_default();
        let mut open = vec![&document];
        let mut count = 0;
        while let Some(value) = open.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.trim_start_matches('#');
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                        count += 1;
                    }
                    open.extend(members.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        assert!(count > 50);
    }
}
