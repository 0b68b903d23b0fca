//! Media types (RFC 9110, section 8.3.1).

use http::HeaderValue;

/// The type of a merge patch (RFC 7396, section 4).
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Whether a media type is JSON: `application/json` or `application/<something>+json` (RFC 6839,
/// section 3.1), with any parameters.
pub(crate) fn is_json(content_type: &HeaderValue) -> bool {
    let Some(essence) = essence(content_type) else {
        return false;
    };
    match essence.strip_prefix("application/") {
        Some(subtype) => subtype == "json" || (subtype.len() > 5 && subtype.ends_with("+json")),
        None => false,
    }
}

/// Whether a media type is that of a JSON merge patch.
pub(crate) fn is_merge_patch(content_type: &HeaderValue) -> bool {
    essence(content_type).is_some_and(|essence| essence == MERGE_PATCH)
}

/// A media type in lower case without its parameters.
fn essence(content_type: &HeaderValue) -> Option<String> {
    let text = content_type.to_str().ok()?;
    let essence = text.split(';').next()?;
    Some(essence.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_types_are_known() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/ld+json",
        ] {
            assert!(is_json(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/x-www-form-urlencoded",
            "application/+json",
            "application/jsonp",
        ] {
            assert!(!is_json(&HeaderValue::from_static(bad)), "{bad}");
        }
    }
}
