//! Query parameters, read strictly and all at once.
//!
//! A handler asks for each of its parameters and then for the end. Every fault on the way is
//! counted, and the first [`MAX_FAULTS`] are listed. Types and messages follow those of pydantic,
//! which clients of FastAPI know.
//!
//! Anybody may send a query of 64 KB, without a token too. So reading one takes time in proportion
//! to its length, and the answer has a bounded length.

use std::collections::HashSet;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::values::ValueFault;
use crate::http::problem::{InputFault, Problem};

/// The most faults that an answer lists.
pub(crate) const MAX_FAULTS: usize = 20;

/// The longest name of a parameter that an answer repeats, in characters. A longer one is cut.
const MAX_SHOWN_NAME: usize = 64;

/// The parameters of one request.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    asked: Vec<&'static str>,
    faults: Faults,
}

/// The faults of one request: the first of them, and how many there are.
#[derive(Default)]
struct Faults {
    listed: Vec<InputFault>,
    total: usize,
}

impl Faults {
    /// Counts a fault, and makes it if there is room to list it.
    fn add(&mut self, fault: impl FnOnce() -> InputFault) {
        self.total += 1;
        if self.listed.len() < MAX_FAULTS {
            self.listed.push(fault());
        }
    }
}

impl Query {
    /// The parameters of a request, percent-decoded.
    pub(crate) fn new(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self {
            pairs: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            asked: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// A parameter that may be absent. `None` if it is, and if it is faulty.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, ValueFault>,
    ) -> Option<T> {
        self.asked.push(name);
        let mut values = self
            .pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value);
        let first = values.next()?;
        let outcome = match values.next() {
            Some(_) => Err((
                "Parameter is given more than once".into(),
                "multiple_values",
            )),
            None => parse(first),
        };
        outcome
            .map_err(|fault| self.fault("query", name, fault))
            .ok()
    }

    /// A segment of the path, percent-decoded. `None` if it is faulty; [`Query::finish`] takes it
    /// from there.
    pub(crate) fn path<T>(
        &mut self,
        name: &'static str,
        segment: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, ValueFault>,
    ) -> Option<T> {
        let decoded = percent_decode_str(segment.unwrap_or_default()).decode_utf8_lossy();
        parse(&decoded)
            .map_err(|fault| self.fault("path", name, fault))
            .ok()
    }

    /// A header whose faults are listed with the others. `None` if it is absent or faulty.
    pub(crate) fn header<T>(
        &mut self,
        name: &str,
        value: Result<Option<T>, ValueFault>,
    ) -> Option<T> {
        value.unwrap_or_else(|fault| {
            self.fault("header", name, fault);
            None
        })
    }

    /// Whether the request has this parameter with this value.
    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(|(key, given)| key == name && given == value)
    }

    /// Faults found elsewhere, to be listed with the others.
    pub(crate) fn also(&mut self, faults: Vec<InputFault>) {
        for fault in faults {
            self.faults.add(|| fault);
        }
    }

    /// A parameter that must be there. `None` if it is faulty; [`Query::finish`] takes it from
    /// there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, ValueFault>,
    ) -> Option<T> {
        if self.pairs.iter().all(|(key, _)| key != name) {
            self.fault("query", name, ("Field required".into(), "missing"));
        }
        self.optional(name, parse)
    }

    /// A parameter that means something beside `other` alone.
    pub(crate) fn only_with(&mut self, name: &'static str, other: &str) {
        let is_there = |name: &str| self.pairs.iter().any(|(key, _)| key == name);
        if is_there(name) && !is_there(other) {
            let msg = format!("Input is permitted together with `{other}` only");
            self.fault("query", name, (msg, "extra_forbidden"));
        }
    }

    /// The end: every parameter that was not asked for is a fault too.
    ///
    /// # Errors
    /// 422 with all faults, if there is any or `required` is `None`.
    pub(crate) fn finish<T>(mut self, required: Option<T>) -> Result<T, Problem> {
        let known = match self.asked.as_slice() {
            [] => "none".to_owned(),
            asked => asked.join(", "),
        };
        let mut unknown = HashSet::new();
        for (name, _) in &self.pairs {
            if self.asked.contains(&name.as_str()) || !unknown.insert(name.as_str()) {
                continue;
            }
            let msg = || format!("Extra inputs are not permitted; this route has: {known}");
            self.faults
                .add(|| input_fault("query", name, (msg(), "extra_forbidden")));
        }
        let Faults { listed, total } = self.faults;
        match required {
            Some(value) if total == 0 => Ok(value),
            _ => Err(Problem::invalid_request_of(listed, total)),
        }
    }

    fn fault(&mut self, place: &str, name: &str, fault: ValueFault) {
        self.faults.add(|| input_fault(place, name, fault));
    }
}

fn input_fault(place: &str, name: &str, (msg, r#type): ValueFault) -> InputFault {
    InputFault {
        loc: [place.to_owned(), shown(name)],
        msg,
        r#type,
    }
}

/// A name, cut after [`MAX_SHOWN_NAME`] characters.
fn shown(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::values;
    use crate::types::user_id::UserIds;
    use proptest::prelude::*;

    fn faults(query: &str) -> Vec<(String, &'static str)> {
        let Ok(uri) = format!("/x?{query}").parse::<Uri>() else {
            return vec![("uri".to_owned(), "bad")];
        };
        let mut reader = Query::new(&uri);
        let user = reader.required("user_id", values::user_id(UserIds::Integer));
        reader.optional("timeout", values::timeout);
        reader.optional("expire", values::expire);
        let problem = reader.finish(user).err();
        let errors = problem.map(|problem| problem.errors).unwrap_or_default();
        errors
            .into_iter()
            .map(|fault| (fault.loc[1].clone(), fault.r#type))
            .collect()
    }

    #[test]
    fn all_faults_are_listed_at_once() {
        let listed = faults("user_id=x&timeout=61&expire=0&expire=1&colour=red&colour=blue");
        let expected = [
            ("user_id", "int_parsing"),
            ("timeout", "less_than_equal"),
            ("expire", "multiple_values"),
            ("colour", "extra_forbidden"),
        ];
        let expected: Vec<_> = expected
            .map(|(name, kind)| (name.to_owned(), kind))
            .to_vec();
        assert_eq!(listed, expected);
        assert_eq!(faults(""), [("user_id".to_owned(), "missing")]);
        assert_eq!(faults("user_id=42&timeout=0.25&expire=10"), []);
    }

    #[test]
    fn values_are_percent_decoded_once() {
        assert_eq!(faults("user_id=%34%32"), []);
        assert_eq!(
            faults("user_id=%2534"),
            [("user_id".to_owned(), "int_parsing")]
        );
        // A plus is a space in a query, and neither belongs into an integer.
        assert_eq!(
            faults("user_id=+7"),
            [("user_id".to_owned(), "int_parsing")]
        );
        assert_eq!(
            faults("user_id=%2B7"),
            [("user_id".to_owned(), "int_parsing")]
        );
    }

    fn problem(query: &str) -> Problem {
        let uri = format!("/x?{query}").parse::<Uri>().unwrap_or_default();
        let finished = Query::new(&uri).finish(Some(()));
        finished.err().unwrap_or_else(Problem::not_found)
    }

    #[test]
    fn twenty_faults_are_listed_and_the_others_counted() {
        let names = |count| (0..count).map(|name: u32| name.to_string());
        let query = |count| names(count).collect::<Vec<_>>().join("&");
        assert_eq!(problem(&query(20)).errors.len(), 20);
        let many = problem(&query(21));
        assert_eq!(many.errors.len(), 20);
        assert!(many.detail.starts_with("21 faults"), "{}", many.detail);
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = "ä".repeat(65);
        let encoded = "%C3%A4".repeat(65);
        let shown = &problem(&encoded).errors[0].loc[1];
        assert_eq!(shown.strip_suffix('…'), name.strip_suffix('ä'));
        let whole = "a".repeat(64);
        assert_eq!(problem(&whole).errors[0].loc[1], whole);
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "[ -~]{0,80}") {
            let _ = faults(&query);
        }
    }
}
