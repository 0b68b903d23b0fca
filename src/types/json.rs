//! Whether bytes are JSON (RFC 8259), without building anything from them.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Arrays and objects may be nested this deep.
const MAX_DEPTH: usize = 128;

/// The JSON text in `bytes`, as it stands there but for the space around it.
///
/// # Errors
/// With line and column, where it is not JSON, is not UTF-8, nests deeper than 128, or has a number
/// beyond f64.
pub(crate) fn parse(bytes: &[u8]) -> Result<&RawValue, serde_json::Error> {
    check(bytes)?;
    serde_json::from_slice(bytes)
}

/// Whether `bytes` are a JSON text.
///
/// # Errors
/// As [`parse`].
pub(crate) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // `Check` counts for itself: serde_json's own limit allows 127.
    reader.disable_recursion_limit();
    Check(MAX_DEPTH).deserialize(&mut reader)?;
    reader.end()
}

/// Visits a value that may contain so many more levels.
struct Check(usize);

impl Check {
    fn deeper<E: Error>(&self) -> Result<impl Fn() -> Check + use<E>, E> {
        let depth = self.0;
        if depth == 0 {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(move || Self(depth - 1))
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        // Unlike `deserialize_ignored_any`, this decodes strings and numbers, and so refuses what
        // can't be decoded.
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while items.next_element_seed(deeper())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while entries.next_key_seed(deeper())?.is_some() {
            entries.next_value_seed(deeper())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(nested(128).as_bytes()).is_ok());
        assert!(parse(nested(129).as_bytes()).is_err());
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(parse(objects(128).as_bytes()).is_ok());
        assert!(parse(objects(129).as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for bad in [
            "",
            " ",
            "{",
            "{a:1}",
            "[1,]",
            "nul",
            "1 2",
            "'x'",
            "NaN",
            "01",
            "1e999",
            "-1e999",
            "\"\u{1}\"",
            "\"\\ud800\"",
            "\u{feff}1",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        let error = parse(b"{\n  \"a\": x}")
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("expected value at line 2 column 8"));
    }

    #[test]
    fn the_text_is_kept_as_it_is() {
        let text = " {\"b\" : 1.10, \"a\":[ ],\"b\":1e2}\n";
        assert_eq!(
            parse(text.as_bytes()).ok().map(RawValue::get),
            Some(text.trim())
        );
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}\",:0-9eE.+\\- truefalsn\\\\]{0,24}") {
            let ours = parse(text.as_bytes()).is_ok();
            prop_assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
