//! Headers of the origin's answer that are kept with it, as text: each byte of a value is one
//! character, so bytes beyond ASCII (RFC 9110, section 5.5: `obs-text`) are kept too.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Headers by name, in a form that can be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KeptHeaders(Vec<(String, String)>);

impl KeptHeaders {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let texts = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self(texts.collect())
    }
}

impl From<&HeaderMap> for KeptHeaders {
    fn from(headers: &HeaderMap) -> Self {
        let texts = headers.iter().map(|(name, value)| {
            let value = value.as_bytes().iter().copied().map(char::from);
            (name.as_str().to_owned(), value.collect())
        });
        Self(texts.collect())
    }
}

impl From<&KeptHeaders> for HeaderMap {
    fn from(kept: &KeptHeaders) -> Self {
        let headers = kept.0.iter().filter_map(|(name, value)| {
            let name = HeaderName::try_from(name).ok()?;
            let bytes = value.chars().map(u8::try_from);
            let bytes = bytes.collect::<Result<Vec<_>, _>>().ok()?;
            Some((name, HeaderValue::try_from(bytes).ok()?))
        });
        headers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn byte_of_a_header() -> impl Strategy<Value = u8> {
        any::<u8>().prop_map(|byte| match byte {
            0..32 | 127 => b'\t',
            _ => byte,
        })
    }

    proptest! {
        #[test]
        fn what_is_kept_of_a_value_is_all_of_it(
            bytes in prop::collection::vec(byte_of_a_header(), 0..40),
        ) {
            let value = HeaderValue::from_bytes(&bytes);
            prop_assert!(value.is_ok());
            let name = HeaderName::from_static("link");
            let headers = HeaderMap::from_iter(value.map(|value| (name, value)));
            let kept = serde_json::to_vec(&KeptHeaders::from(&headers));
            let read: Result<KeptHeaders, _> = serde_json::from_slice(&kept.unwrap_or_default());
            prop_assert_eq!(read.ok().map(|read| HeaderMap::from(&read)), Some(headers));
        }

        #[test]
        fn no_text_makes_it_panic(name in ".{0,9}", value in ".{0,9}") {
            let _ = HeaderMap::from(&KeptHeaders::of(&[(&name, &value)]));
        }
    }
}
