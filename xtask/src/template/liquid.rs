//! The part of Liquid that the template uses: `{{name}}`, the filters `kebab_case` and
//! `snake_case`, `{% if name == "text" %}` with `!=`, `{% else %}` and `{% endif %}`, which are not
//! nested, and `{% raw %}`. Anything else is an error.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use heck::{ToKebabCase as _, ToSnakeCase as _};

/// The values of the template's parameters.
type Values<'a> = BTreeMap<&'a str, &'a str>;

/// Renders a text.
///
/// # Errors
/// Where it has what is not known here, or a value that is missing.
pub(super) fn render(text: &str, values: &Values<'_>) -> anyhow::Result<String> {
    let mut rendered = String::new();
    let mut shown = true;
    let mut in_if = false;
    let mut rest = text;
    while let Some(at) = next_mark(rest) {
        let (before, mark) = rest.split_at(at);
        if shown {
            rendered.push_str(before);
        }
        if let Some(output) = mark.strip_prefix("{{") {
            let (expression, after) = output.split_once("}}").context("`{{` is not closed")?;
            if shown {
                rendered.push_str(&evaluate(expression, values)?);
            }
            rest = after;
            continue;
        }
        let (tag, after) = mark[2..].split_once("%}").context("`{%` is not closed")?;
        rest = after;
        match tag.trim() {
            "raw" => {
                let (raw, after) = after
                    .split_once("{% endraw %}")
                    .context("`raw` is not closed")?;
                if shown {
                    rendered.push_str(raw);
                }
                rest = after;
            }
            "else" if in_if => shown = !shown,
            "endif" if in_if => (shown, in_if) = (true, false),
            tag => {
                let condition = tag.strip_prefix("if ").filter(|_| !in_if);
                shown = holds(condition.with_context(|| format!("`{tag}`"))?, values)?;
                in_if = true;
            }
        }
    }
    if in_if {
        bail!("`if` is not closed");
    }
    rendered.push_str(rest);
    Ok(rendered)
}

fn next_mark(text: &str) -> Option<usize> {
    [text.find("{{"), text.find("{%")]
        .into_iter()
        .flatten()
        .min()
}

fn value<'a>(name: &str, values: &Values<'a>) -> anyhow::Result<&'a str> {
    let value = values.get(name.trim());
    value.copied().with_context(|| format!("no value `{name}`"))
}

fn evaluate(expression: &str, values: &Values<'_>) -> anyhow::Result<String> {
    let (name, filter) = match expression.split_once('|') {
        Some((name, filter)) => (name, Some(filter.trim())),
        None => (expression, None),
    };
    let value = value(name, values)?;
    match filter {
        None => Ok(value.to_owned()),
        Some("kebab_case") => Ok(value.to_kebab_case()),
        Some("snake_case") => Ok(value.to_snake_case()),
        Some(other) => bail!("the filter `{other}`"),
    }
}

/// Whether `name == "text"` or `name != "text"` holds.
fn holds(condition: &str, values: &Values<'_>) -> anyhow::Result<bool> {
    let (name, equal, text) = match (condition.split_once("=="), condition.split_once("!=")) {
        (Some((name, text)), _) => (name, true, text),
        (_, Some((name, text))) => (name, false, text),
        _ => bail!("the condition `{condition}`"),
    };
    let text = text.trim().strip_prefix('"');
    let text = text.and_then(|text| text.strip_suffix('"'));
    let text = text.with_context(|| format!("the condition `{condition}`"))?;
    Ok((value(name, values)? == text) == equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Option<String> {
        let values = BTreeMap::from([("project-name", "my-shop"), ("origin", "")]);
        render(text, &values).ok()
    }

    #[test]
    fn values_filters_conditions_and_raw_text_are_rendered() {
        for (text, expected) in [
            ("a {{project-name}} b", "a my-shop b"),
            ("{{ project-name | snake_case }}", "my_shop"),
            ("{{project-name | kebab_case}}", "my-shop"),
            (
                "{% raw %}{{ redis_host }}{% endraw %}.",
                "{{ redis_host }}.",
            ),
            ("{% if origin == \"\" %}a{% else %}b{% endif %}c", "ac"),
            (
                "{% if origin != \"\" %}a{{ origin }}{% else %}b{% endif %}c",
                "bc",
            ),
            ("{% if origin != \"\" %}a{% endif %}{user_id}", "{user_id}"),
        ] {
            assert_eq!(rendered(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            "{{ unknown }}",
            "{{ origin | upcase }}",
            "{{ origin",
            "{% for a in b %}",
            "{% if origin == \"\" %}",
            "{% else %}",
            "{% raw %}",
        ] {
            assert_eq!(rendered(text), None, "{text}");
        }
    }
}
