//! The id of a request, from the caller to the last log line.

use http::HeaderValue;

use super::random;

/// The longest id that is taken over, in bytes.
const MAX_LENGTH: usize = 128;

/// The id of a request: the caller's, or a new one.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A caller's id: 1 to 128 of `A-Z a-z 0-9 . _ ~ + / = : -`. `None` for anything else.
    pub(crate) fn parse(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~+/=:-".contains(byte);
        let fits = (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(allowed);
        fits.then(|| Self(value.clone()))
    }

    /// A new id: 128 random bits as 32 hexadecimal digits.
    pub(crate) fn random() -> Self {
        // Hexadecimal digits are always a header's value.
        let value = HeaderValue::try_from(random::hex128());
        Self(value.unwrap_or_else(|_| HeaderValue::from_static("none")))
    }

    /// As a header's value.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        let is_taken = |bytes: &[u8]| {
            let value = HeaderValue::from_bytes(bytes).ok();
            value.and_then(|value| RequestId::parse(&value)).is_some()
        };
        assert!(is_taken(b"a1._~+/=:-"));
        assert!(is_taken(&[b'x'; 128]));
        assert!(!is_taken(&[b'x'; 129]));
        for bad in ["", "a b", "a,b", "\u{e9}", "a\"b"] {
            assert!(!is_taken(bad.as_bytes()), "{bad:?}");
        }
    }
}
