//! Authentication: the bearer token (RFC 6750, section 2.1).

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::platform::config::Config;

/// With an `api_token`, everything under `/api` needs it.
///
/// # Errors
/// 401.
pub(super) fn authorize(config: &Config, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let guarded = path == "/api" || path.starts_with("/api/");
    match &config.api_token {
        Some(token) if guarded && !presents(headers, token) => Err(Problem::unauthorized()),
        _ => Ok(()),
    }
}

fn presents(headers: &HeaderMap, token: &str) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some((scheme, credentials)) = split_once_space(value.as_bytes()) else {
        return false;
    };
    // The time that this takes tells the length of the token, and nothing else of it.
    scheme.eq_ignore_ascii_case(b"bearer") && credentials.ct_eq(token.as_bytes()).into()
}

fn split_once_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..space], bytes[space..].trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn bearer(value: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        presents(&headers, "s3cret")
    }

    #[test]
    fn only_the_whole_token_opens() {
        assert!(bearer("Bearer s3cret"));
        assert!(bearer("bearer  s3cret"));
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3cretx",
            "Basic s3cret",
            "s3cret",
            "",
        ] {
            assert!(!bearer(value), "{value:?}");
        }
        assert!(!presents(&HeaderMap::new(), "s3cret"));
    }

    #[test]
    fn two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer s3cret"),
        );
        headers.append(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer other"),
        );
        assert!(!presents(&headers, "s3cret"));
    }
}
