//! A file that this component serves.

use edgelatch::http::problem::Problem;
use edgelatch::http::request::conditions;
use edgelatch::http::response::{Response, empty};
use edgelatch::types::etag::ETag;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::body::Body;

/// A page may run, show and request what this service has, and nothing else. Swagger UI needs style
/// attributes.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// A browser may store a file but revalidates it each time: a 304 costs little, and a new version
/// shows at once.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// A file, compressed when this crate is built.
pub(crate) struct Asset {
    path: &'static str,
    media_type: &'static str,
    /// Whether it is a page, and not part of one.
    page: bool,
    /// The SHA-1 of the file's bytes.
    tag: &'static str,
    /// The length of the file in bytes, uncompressed.
    length: usize,
    gzip: &'static [u8],
}

/// Every file, collected by `build.rs`.
static ASSETS: &[Asset] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The file at this path.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

impl Asset {
    /// 200 with the file, or 304 if the client has it (RFC 9110, section 13.1.2). [`Asset::body`]
    /// has the bytes of the file.
    ///
    /// # Errors
    /// 422 if a condition is malformed.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        let conditions = conditions::parse(headers).map_err(Problem::invalid_request)?;
        let tag = ETag::of_digits(self.tag);
        let mut response = if conditions.none_match_holds(tag.as_ref()) {
            self.full(headers)
        } else {
            empty(StatusCode::NOT_MODIFIED)
        };
        self.describe(response.headers_mut());
        Ok(response)
    }

    /// What is sent after a head that [`Asset::answer`] has made for a GET.
    pub(crate) fn body(&self, head: &Response) -> Body {
        if head.status() != StatusCode::OK {
            Body::default()
        } else if head.headers().contains_key(header::CONTENT_ENCODING) {
            Body::stored(self.gzip)
        } else {
            Body::unpacked(self.gzip)
        }
    }

    fn full(&self, headers: &HeaderMap) -> Response {
        let mut response = empty(StatusCode::OK);
        let compressed = accepts_gzip(headers);
        let length = if compressed {
            self.gzip.len()
        } else {
            self.length
        };
        let headers = response.headers_mut();
        if compressed {
            let gzip = HeaderValue::from_static("gzip");
            headers.insert(header::CONTENT_ENCODING, gzip);
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.media_type),
        );
        headers.insert(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
        response
    }

    /// Adds the headers that a 304 has too. The policy is one of them: it replaces that of the
    /// stored page (RFC 9111, section 4.3.4).
    fn describe(&self, headers: &mut HeaderMap) {
        // Weak: one tag for the plain and the compressed file (RFC 9110, section 8.8.1).
        if let Ok(tag) = HeaderValue::try_from(format!("W/\"{}\"", self.tag)) {
            headers.insert(header::ETAG, tag);
        }
        if self.page {
            headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
        }
        headers.insert(header::CACHE_CONTROL, REVALIDATE);
        let vary: HeaderName = header::ACCEPT_ENCODING;
        headers.insert(header::VARY, HeaderValue::from(vary));
    }
}

/// How many codings of a request are looked at: there are not ten.
const MOST_CODINGS: usize = 64;

/// Whether a client accepts gzip (RFC 9110, section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let listed = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(MOST_CODINGS);
    let mut any = false;
    for item in listed {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let wanted = weight.is_none_or(|weight| weight.parse().is_ok_and(|q: f32| q > 0.0));
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= coding == "*" && wanted;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha1::{Digest as _, Sha1};

    fn accepts(value: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        accepts_gzip(&headers)
    }

    #[test]
    fn no_endless_list_of_codings_is_read() {
        let mut headers = HeaderMap::new();
        let list = format!("{}gzip", ",".repeat(MOST_CODINGS));
        let list = HeaderValue::try_from(list);
        assert!(list.is_ok_and(|list| !headers.append(header::ACCEPT_ENCODING, list)));
        assert!(!accepts_gzip(&headers));
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for value in ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1", "x-gzip"] {
            assert!(accepts(value), "{value}");
        }
        for value in [
            "",
            "identity",
            "gzip;q=0",
            "gzip; q=0, *",
            "br",
            "*;q=0",
            "gzip;q=x",
        ] {
            assert!(!accepts(value), "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_was_compressed_can_be_read_again() {
        for asset in ASSETS {
            let bytes = Body::unpacked(asset.gzip).whole();
            assert_eq!(bytes.len(), asset.length, "{}", asset.path);
            let digest = Sha1::digest(&bytes);
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digits, asset.tag, "{}", asset.path);
        }
    }
}
