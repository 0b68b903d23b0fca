//! Every parser at the edge, fed with anything: that it never panics, and what must hold whatever
//! it is given.
//!
//! `cargo test` replays the corpus (`src/__fuzz__/`) and tries some thousand more inputs; `cargo
//! bolero test` looks for them with libFuzzer, for as long as it is let.

use bolero::check;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde_json::Value;

use crate::core::cache::merge_patch;
use crate::core::idempotency::IdempotencyKey;
use crate::core::lock::OwnerToken;
use crate::http::request::query::Query;
use crate::http::request::{conditions, values};
use crate::types::etag::ETag;
use crate::types::keys::Keys;
use crate::types::name::Name;
use crate::types::request_id::RequestId;
use crate::types::ttl::{MAX_TTL_MS, Ttl};
use crate::types::user_id::{UserId, UserIds};
use crate::types::{json, media_type};

fn headers(name: HeaderName, lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name.clone(), value);
        }
    }
    headers
}

#[test]
fn a_query_is_read_or_all_its_faults_are_listed() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let Ok(uri) = format!("/x?{text}").parse::<Uri>() else {
            return;
        };
        for user_ids in UserIds::ALL {
            read_query(&uri, user_ids);
        }
    });
}

fn read_query(uri: &Uri, user_ids: UserIds) {
    let mut query = Query::new(uri);
    let user = query.required("user_id", values::user_id(user_ids));
    let timeout = query.optional("timeout", values::timeout);
    let expire = query.optional("expire", values::expire);
    match query.finish(user) {
        Ok(user) => {
            assert_eq!(user_ids.read(user.as_str()), Some(user));
            assert!(timeout.is_none_or(|timeout| timeout.as_secs() <= 60));
            assert!(expire.is_none_or(|expire| (1..=MAX_TTL_MS).contains(&expire.as_millis())));
        }
        Err(problem) => {
            assert!((1..=20).contains(&problem.errors.len()));
            // What repeats what the caller sent is cut.
            assert!(problem.body(uri.path()).len() < 64 << 10);
        }
    }
}

#[test]
fn a_name_that_is_read_stays_in_its_users_slot() {
    check!().for_each(|input: &[u8]| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        if let Some(name) = Name::parse(text) {
            assert_eq!(name.as_str(), text);
            let key = Keys::new("p").cache(UserId::new(-7), &name);
            assert!(key.starts_with("{puser:-7:lock}:cache:"), "{key}");
            assert_eq!(key.matches(['{', '}']).count(), 2, "{key}");
        }
    });
}

#[test]
fn a_time_to_live_that_is_read_is_within_its_bounds() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        if let Ok(ttl) = Ttl::parse(&text) {
            assert!((1..=MAX_TTL_MS).contains(&ttl.as_millis()));
        }
    });
}

#[test]
fn conditions_are_read_or_refused() {
    check!().for_each(|input: &[u8]| {
        let tag = ETag::of(input);
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            if let Ok(conditions) = conditions::parse(&headers(name, input)) {
                // Without anything there, `If-None-Match` always holds; what holds with a tag is
                // not asked of a digest.
                assert!(conditions.none_match_holds(None));
                let _ = conditions.match_holds(Some(&tag));
            }
        }
    });
}

#[test]
fn tokens_keys_and_ids_are_plain_or_refused() {
    check!().for_each(|input: &[u8]| {
        let visible = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
        if let Some(token) = OwnerToken::parse(input) {
            assert!(visible(token.as_str().as_bytes()) && (16..=128).contains(&input.len()));
        }
        if let Some(key) = IdempotencyKey::parse(input) {
            let key = key.as_bytes();
            assert!(visible(key) && (1..=255).contains(&key.len()));
        }
    });
}

#[test]
fn a_request_id_of_the_callers_is_plain() {
    check!().for_each(|input: &[u8]| {
        let value = HeaderValue::from_bytes(input).ok();
        if value.and_then(|value| RequestId::parse(&value)).is_some() {
            let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\{}".contains(byte);
            assert!(input.iter().all(plain));
        }
    });
}

#[test]
fn a_content_type_is_read() {
    check!().for_each(|input: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(input) {
            let json = media_type::is_json(&value);
            assert!(
                !json
                    || input.to_ascii_lowercase().starts_with(b"application/")
                    || input.starts_with(b" ")
            );
        }
    });
}

#[test]
fn json_is_what_another_parser_takes_for_json() {
    check!().for_each(|input: &[u8]| {
        let ours = json::parse(input);
        let theirs = serde_json::from_slice::<Value>(input);
        // That one stops at a nesting of 127.
        match (ours, theirs) {
            (Ok(text), Ok(_)) => assert_eq!(text.get().as_bytes(), input.trim_ascii()),
            (Ok(_), Err(error)) => assert!(error.to_string().contains("recursion limit")),
            (Err(_), theirs) => assert!(theirs.is_err()),
        }
    });
}

#[test]
fn a_merge_of_json_is_json_and_merging_again_changes_nothing() {
    check!().for_each(|input: &[u8]| {
        let mut halves = input.splitn(2, |byte| *byte == b'\n');
        let target = json::parse(halves.next().unwrap_or_default());
        let patch = json::parse(halves.next().unwrap_or_default());
        let (Ok(target), Ok(patch)) = (target, patch) else {
            return;
        };
        let merge = |target: &str| {
            let merged = merge_patch::merge(Some(target), patch.get(), usize::MAX);
            let merged = merged.now_or_never()?.ok()?;
            String::from_utf8(merged).ok()
        };
        let once = merge(target.get());
        assert!(
            once.as_ref()
                .is_some_and(|json| json::parse(json.as_bytes()).is_ok())
        );
        let twice = once.as_deref().and_then(merge);
        assert_eq!(once, twice);
    });
}
