//! Whether bytes are JSON (RFC 8259), without building anything from them.

mod fault;
mod next;
mod number;
mod scanner;
mod strings;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

pub(crate) use fault::Fault;
pub(crate) use scanner::{Progress, Scanner};
pub(crate) use strings::special;

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
    match Scanner::new(bytes).advance(usize::MAX) {
        Progress::Json => Ok(()),
        Progress::More | Progress::Stopped => judge(bytes),
    }
}

/// The verdict of serde_json.
///
/// # Errors
/// As [`parse`].
fn judge(bytes: &[u8]) -> Result<(), serde_json::Error> {
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

    /// What a scan in pieces of so many bytes says.
    fn scanned(bytes: &[u8], piece: usize) -> Progress {
        let mut scanner = Scanner::new(bytes);
        loop {
            match scanner.advance(piece) {
                Progress::More => {}
                end => return end,
            }
        }
    }

    /// JSON, and what is nearly JSON.
    fn almost_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
            r#""([a-z \u{e9}]|\\["\\/bfnrtux]|\\u[dD][89a-fA-F][0-9a-f]{2}){0,6}""#,
            "[\\[\\]{}\",:0-9eE.+\\- truefalsn\\\\]{0,4}",
        ];
        leaf.prop_recursive(5, 32, 4, |inner| {
            let member = (inner.clone(), inner.clone());
            let member = member.prop_map(|(name, value)| format!("{name} : {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec(member, 0..4)
                    .prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    /// What is wrong with a text, as a scan in pieces of so many bytes finds it.
    fn fault(bytes: &[u8], piece: usize) -> Option<String> {
        let mut scanner = Scanner::new(bytes);
        while scanner.advance(piece) == Progress::More {}
        let Fault { what, at } = match scanner.advance(piece) {
            Progress::Stopped => scanner.fault(usize::MAX),
            _ => return None,
        };
        let before = bytes.get(..at)?;
        let line = before.split(|byte| *byte == b'\n').next_back()?;
        let lines = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Some(format!("{what} at line {lines} column {}", line.len()))
    }

    #[test]
    fn json_is_told_without_reading_it_twice() {
        let deep = nested(128);
        for json in [
            " {\"a\" : [1, -2.5e-300, \"\\ud83d\\ude00\", true, {}, []]} ",
            "-0",
            deep.as_str(),
        ] {
            assert_eq!(scanned(json.as_bytes(), 3), Progress::Json, "{json}");
        }
        for number in ["1e308", &"1".repeat(309), "0.1"] {
            assert_eq!(scanned(number.as_bytes(), 3), Progress::Json, "{number}");
        }
        for bad in ["1e309", &"9".repeat(309), &nested(129)] {
            assert_eq!(scanned(bad.as_bytes(), 3), Progress::Stopped, "{bad}");
        }
    }

    #[test]
    fn long_runs_of_anything_are_read_in_pieces() {
        let run = |unit: &str| unit.repeat(100);
        for (json, expected) in [
            (format!("{}1", run(" ")), Progress::Json),
            (format!("{{\"a\"{}:1}}", run("\n")), Progress::Json),
            (format!("0.{}", run("0123456789")), Progress::Json),
            (run("123456789"), Progress::Stopped),
            (format!("\"{}\"", run("\u{1f600}")), Progress::Json),
            (format!("[{}1]", run("1,")), Progress::Json),
        ] {
            let mut scanner = Scanner::new(json.as_bytes());
            let mut pieces = 1;
            let end = loop {
                match scanner.advance(8) {
                    Progress::More => pieces += 1,
                    end => break end,
                }
            };
            assert_eq!(end, expected, "{json}");
            assert!(pieces > json.len() / 32, "{pieces} {json}");
        }
        let mut bytes = format!("[\"{}\"]", run("\u{e9}")).into_bytes();
        assert_eq!(scanned(&bytes, 3), Progress::Json);
        bytes[101] = b'a';
        assert_eq!(scanned(&bytes, 3), Progress::Stopped);
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(
            text in prop_oneof![
                almost_json(),
                "[\\[\\]{}\",:0-9eE.+\\- truefalsn\\\\]{0,24}",
            ],
            piece in 1usize..30,
        ) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), theirs);
            prop_assert_eq!(scanned(text.as_bytes(), piece) == Progress::Json, theirs);
            let told = judge(text.as_bytes()).err().map(|error| error.to_string());
            prop_assert_eq!(fault(text.as_bytes(), piece), told);
            prop_assert_eq!(
                scanned(text.as_bytes(), piece),
                scanned(text.as_bytes(), usize::MAX)
            );
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let valid = parse(&bytes).is_ok();
            prop_assert_eq!(scanned(&bytes, 7) == Progress::Json, valid);
            prop_assert_eq!(fault(&bytes, 7).is_none(), valid);
        }
    }
}
