//! Text with `{{ name }}` in it.
//!
//! Follows Spin's `crates/expressions/src/template.rs`.

use anyhow::{Context as _, Result};

/// Text with `{{ name }}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

impl Template {
    /// Fails on `{{` without `}}`; a lone `}}` is text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .with_context(|| format!("a '{{{{' in {text:?} is not closed"))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Variable(name.trim().to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether no variable is in it.
    pub(crate) fn is_literal(&self) -> bool {
        self.variables().next().is_none()
    }

    /// The variables in it.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The text with every variable replaced by its `value`.
    pub(crate) fn expand<E>(
        &self,
        mut value: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<String, E> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(text) => Ok(text.clone()),
                Part::Variable(name) => value(name),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn templates() {
        let expand = |text: &str| {
            Template::parse(text)
                .unwrap()
                .expand(|name| Ok::<_, ()>(format!("<{name}>")))
                .unwrap()
        };
        assert_eq!(expand(""), "");
        assert_eq!(expand("plain } { }}"), "plain } { }}");
        assert_eq!(expand("{{a}}{{ b }}c"), "<a><b>c");
        assert!(Template::parse("{{ a").is_err());
        assert!(Template::parse("a").unwrap().is_literal());
        assert!(!Template::parse("{{a}}").unwrap().is_literal());
    }
}
