//! `openapi.json`, held against what the service really answers: every status and every kind of
//! problem that it has for an operation is brought about, and looks as it says.

mod actions;
mod cache;
mod document;
mod leases;
mod requests;
mod service;
mod users;

use std::collections::BTreeSet;

use edgelatch_tests::App;

use document::{Document, methods_of};

#[tokio::test]
async fn options_lists_exactly_the_methods_of_each_path() {
    let app = App::start().await;
    let document = Document::read();
    let paths = document.paths();
    assert!(paths.len() >= 7, "{paths:?}");
    for (path, item) in paths {
        let concrete = path
            .replace("{user_id}", "42")
            .replace("{name}", "build")
            .replace("{key}", "profile");
        let answer = app.call("OPTIONS", &concrete).await;
        answer.assert_body(204, "");
        let listed = answer.header("allow").unwrap_or_default();
        let listed: BTreeSet<&str> = listed.split(", ").collect();
        let mut expected: BTreeSet<String> = methods_of(item).collect();
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        expected.insert("OPTIONS".to_owned());
        let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        assert_eq!(listed, expected, "{path}");
    }
}
