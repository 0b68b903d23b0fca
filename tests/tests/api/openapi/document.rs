//! The document, and the judge that holds answers against it.

use std::collections::BTreeSet;

use edgelatch_tests::{Answer, root};
use jsonschema::Registry;
use serde_json::{Value, json};

/// Nothing that a client can send and nothing that Redis or the origin can do brings it about.
const UNFORESEEN: &str = "internal";

/// `openapi.json`.
pub(super) struct Document(Value);

impl Document {
    /// Reads the committed file.
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string(root().join("openapi.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// The paths, and what is said of each.
    pub(super) fn paths(&self) -> Vec<(&str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        let paths = paths.iter();
        paths.map(|(path, item)| (path.as_str(), item)).collect()
    }

    /// All operations of a tag: where each is in the document, and what is said of it.
    fn operations(&self, tag: &str) -> Vec<(String, &Value)> {
        let mut found = Vec::new();
        for (path, item) in self.paths() {
            for (method, operation) in item.as_object().unwrap() {
                if operation["tags"] == json!([tag]) {
                    let path = path.replace('/', "~1");
                    found.push((format!("/paths/{path}/{method}"), operation));
                }
            }
        }
        found
    }
}

/// The methods of a path's item.
pub(super) fn methods_of(item: &Value) -> impl Iterator<Item = String> {
    item.as_object()
        .unwrap()
        .keys()
        .map(|key| key.to_uppercase())
}

/// Something that an operation may answer: its id, the status, and the kind of problem, if it is
/// one.
type Case = (String, u16, String);

/// Holds answers against the document, and keeps in mind what it has seen.
pub(super) struct Judge {
    document: Document,
    registry: Registry<'static>,
    tag: &'static str,
    seen: BTreeSet<Case>,
}

impl Judge {
    /// The judge of the operations with this tag.
    pub(super) fn of(tag: &'static str) -> Self {
        let document = Document::read();
        let registry = Registry::new()
            .add("urn:openapi", document.0.clone())
            .unwrap();
        Self {
            registry: registry.prepare().unwrap(),
            document,
            tag,
            seen: BTreeSet::new(),
        }
    }

    /// Asserts that the operation `id` may answer this, with this status and, for a problem, of
    /// this kind.
    #[track_caller]
    pub(super) fn see(&mut self, id: &str, status: u16, kind: &str, answer: &Answer) {
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
        let operations = self.document.operations(self.tag);
        let of_this_id = |(_, operation): &&(String, &Value)| operation["operationId"] == id;
        let operation = operations.iter().find(of_this_id);
        assert!(operation.is_some(), "no operation {id}");
        let (pointer, operation) = operation.unwrap();
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{id} does not document {status}");
        self.check_headers(id, response, answer);
        match answer.header("content-type") {
            None => assert!(
                response["content"].is_null() && answer.body.is_empty(),
                "{id} {status}"
            ),
            Some(media_type) => {
                let media_type = media_type.split(';').next().unwrap();
                let content = &response["content"][media_type];
                assert!(
                    content.is_object(),
                    "{id} {status} does not document {media_type}"
                );
                let media_type = media_type.replace('/', "~1");
                self.check_schema(
                    &format!("{pointer}/responses/{status}/content/{media_type}/schema"),
                    answer,
                );
                if !kind.is_empty() {
                    answer.assert_problem(status, kind);
                    check_example(id, &content["examples"][kind]["value"], answer);
                }
            }
        }
        self.seen.insert((id.to_owned(), status, kind.to_owned()));
    }

    fn check_headers(&self, id: &str, response: &Value, answer: &Answer) {
        let headers = response["headers"].as_object();
        for (name, reference) in headers.into_iter().flatten() {
            let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#');
            let header = self.document.0.pointer(pointer).unwrap();
            match answer.header(name) {
                Some(value) if header["schema"]["type"] == "integer" => {
                    assert!(value.parse::<i64>().is_ok(), "{id}: {name}: {value}");
                }
                Some(_) => {}
                None => assert_ne!(
                    header["required"], true,
                    "{id} {} without {name}",
                    answer.status
                ),
            }
        }
    }

    fn check_schema(&self, pointer: &str, answer: &Answer) {
        let schema = json!({ "$ref": format!("urn:openapi#{}", pointer.replace('{', "%7B").replace('}', "%7D")) });
        let validator = jsonschema::options().with_registry(&self.registry);
        let validator = validator.build(&schema).unwrap();
        let body = if pointer.contains("~1html") {
            Value::String(answer.text())
        } else {
            answer.json()
        };
        let errors: Vec<_> = validator
            .iter_errors(&body)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{pointer}: {errors:?} in {body}");
    }

    /// Asserts that nothing is documented that has not been seen.
    #[track_caller]
    pub(super) fn assert_has_seen_everything(&self) {
        let mut documented: BTreeSet<Case> = BTreeSet::new();
        for (_, operation) in self.document.operations(self.tag) {
            let id = operation["operationId"].as_str().unwrap();
            for (status, response) in operation["responses"].as_object().unwrap() {
                let status: u16 = status.parse().unwrap();
                for kind in kinds_of(response) {
                    documented.insert((id.to_owned(), status, kind));
                }
            }
        }
        documented.retain(|(_, _, kind)| kind != UNFORESEEN);
        assert_eq!(self.seen, documented);
    }
}

/// The kinds of problems that a response may be; one that is empty for a response that is none.
fn kinds_of(response: &Value) -> Vec<String> {
    let schema = &response["content"]["application/problem+json"]["schema"];
    if schema.is_null() {
        return vec![String::new()];
    }
    let types = schema["allOf"][1]["properties"]["type"]["enum"].as_array();
    let types = types.unwrap().iter().map(|urn| urn.as_str().unwrap());
    types
        .map(|urn| urn.trim_start_matches("urn:edgelatch:").to_owned())
        .collect()
}

/// A problem is word for word what the document shows. How long the origin may take is a setting,
/// and who holds a lock is not the document's to know.
fn check_example(id: &str, example: &Value, answer: &Answer) {
    let mut body = answer.json();
    if body["type"] == "urn:edgelatch:origin-timeout" {
        body["detail"] = example["detail"].clone();
    }
    for member in ["owner", "waiting"] {
        if !body[member].is_null() || example[member].is_string() {
            body[member] = example[member].clone();
        }
    }
    assert_eq!(*example, body, "{id}");
}
