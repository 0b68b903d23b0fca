//! Headers of the origin's answer that are kept with it, as text.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Headers by name, in a form that can be stored. Values that are no text are left out.
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
        let texts = headers.iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        Self(texts.collect())
    }
}

impl From<&KeptHeaders> for HeaderMap {
    fn from(kept: &KeptHeaders) -> Self {
        let headers = kept.0.iter().filter_map(|(name, value)| {
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::try_from(value).ok()?))
        });
        headers.collect()
    }
}
