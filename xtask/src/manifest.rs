//! The grants of each component in `spin.toml`.
//!
//! The host parses the manifest strictly. This reads only what the check of a built component
//! needs.

use std::path::Path;

use anyhow::Context as _;
use toml::{Table, Value};

/// One `[component.*]`.
pub(crate) struct Component {
    /// Its id.
    pub(crate) id: String,
    /// Its file, relative to the manifest's folder.
    pub(crate) source: String,
    /// Whether it is granted any variable.
    pub(crate) has_variables: bool,
    /// Where it may connect to. Templates are replaced with the variables' defaults.
    pub(crate) hosts: Vec<String>,
}

/// The components of the manifest at `path`, sorted by id.
pub(crate) fn components(path: &Path) -> anyhow::Result<Vec<Component>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the manifest {}", path.display()))?;
    let manifest: Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let components = manifest
        .get("component")
        .and_then(Value::as_table)
        .context("the manifest has no [component.*]")?;
    components
        .iter()
        .map(|(id, component)| {
            read(id, component, &manifest).with_context(|| format!("[component.{id}]"))
        })
        .collect()
}

fn read(id: &str, component: &Value, manifest: &Table) -> anyhow::Result<Component> {
    let source = component.get("source").and_then(Value::as_str);
    let hosts = component
        .get("allowed_outbound_hosts")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    Ok(Component {
        id: id.to_owned(),
        source: source.context("`source` is not a path")?.to_owned(),
        has_variables: component.get("variables").is_some(),
        hosts: hosts
            .iter()
            .filter_map(Value::as_str)
            .map(|host| expand(host, manifest))
            .collect(),
    })
}

/// Replaces templates with the variables' defaults.
fn expand(template: &str, manifest: &Table) -> String {
    let variables = manifest.get("variables").and_then(Value::as_table);
    let mut text = template.to_owned();
    for (name, variable) in variables.into_iter().flatten() {
        let default = variable.get("default").and_then(Value::as_str);
        for written in [format!("{{{{ {name} }}}}"), format!("{{{{{name}}}}}")] {
            text = text.replace(&written, default.unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn templates_stand_for_the_defaults() {
        let manifest: Table =
            toml::from_str("[variables]\nhost = { default = \"h\" }\nport = { default = \"1\" }")
                .unwrap();
        assert_eq!(
            expand("redis://{{ host }}:{{port}}", &manifest),
            "redis://h:1"
        );
    }
}
