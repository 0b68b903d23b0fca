//! The manifest as it is written: one struct per table, unknown keys refused.
//!
//! Keys of Spin that this host does not support are fields here, so that each is refused with its
//! own message instead of "unknown field".

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use toml::Value;

use super::{Component, Mount, Target, Trigger};
use crate::config::toml_reader;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApp {
    spin_manifest_version: Value,
    #[expect(dead_code, reason = "parsed only to refuse an invalid table")]
    application: RawDetails,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Variable>,
    #[serde(default)]
    pub(super) trigger: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) component: BTreeMap<String, RawComponent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "for the reader of the manifest; a host does not use it"
)]
struct RawDetails {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    authors: Vec<String>,
    targets: Option<Value>,
    trigger: Option<Value>,
    tool: Option<Value>,
}

/// One of `[variables]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    /// For people.
    #[expect(dead_code, reason = "for the reader of the manifest")]
    pub(crate) description: Option<String>,
    /// A provider must have the value.
    #[serde(default)]
    pub(crate) required: bool,
    /// The value if no provider has one.
    pub(crate) default: Option<String>,
    /// Never to be shown.
    #[serde(default)]
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "this host shows no variable's value at all")
    )]
    pub(crate) secret: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    #[expect(dead_code, reason = "a trigger's id is only a label")]
    id: Option<String>,
    component: Option<Value>,
    route: Option<Value>,
    executor: Option<Value>,
    static_response: Option<StaticResponse>,
    components: Option<Value>,
    dependencies: Option<Value>,
}

/// A response that needs no component.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaticResponse {
    status_code: Option<u16>,
    /// Response headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Response body.
    pub(crate) body: Option<String>,
}

impl StaticResponse {
    /// The status, 200 unless given.
    pub(crate) fn status(&self) -> u16 {
        self.status_code.unwrap_or(200)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawComponent {
    source: Value,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    files: Vec<Value>,
    #[serde(default)]
    exclude_files: Vec<String>,
    #[serde(default)]
    allowed_http_hosts: Vec<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    ai_models: Vec<String>,
    #[serde(default)]
    dependencies: toml::Table,
    build: Option<Value>,
    #[expect(dead_code, reason = "for the reader of the manifest")]
    description: Option<String>,
    #[expect(dead_code, reason = "for `spin build`")]
    targets: Option<Value>,
    #[expect(dead_code, reason = "for other tools")]
    tool: Option<Value>,
    #[expect(dead_code, reason = "without `dependencies` it has no effect")]
    dependencies_inherit_configuration: Option<bool>,
    #[expect(dead_code, reason = "profiles other than the default need `--profile`")]
    profile: Option<Value>,
}

/// Parses the text. The message of an error is one line with the place of the mistake.
pub(super) fn parse(text: &str) -> Result<RawApp> {
    let app: RawApp = toml_reader::parse(text)?;
    match &app.spin_manifest_version {
        Value::Integer(2) => Ok(app),
        other => {
            bail!("manifest version {other} is not supported, only `spin_manifest_version = 2`")
        }
    }
}

/// `[[trigger.http]]`; any other kind of trigger is refused.
pub(super) fn triggers(raw: BTreeMap<String, Value>) -> Result<Vec<Trigger>> {
    let mut triggers = Vec::new();
    for (kind, list) in raw {
        ensure!(
            kind == "http",
            "[[trigger.{kind}]] is not supported: this host only has the http trigger"
        );
        let list: Vec<RawTrigger> = toml_reader::read_value("[[trigger.http]]", list)?;
        for trigger in list {
            triggers.push(trigger.check().context("[[trigger.http]]")?);
        }
    }
    Ok(triggers)
}

impl RawTrigger {
    fn check(self) -> Result<Trigger> {
        if self.components.is_some() || self.dependencies.is_some() {
            bail!(
                "`components` and `dependencies` of a trigger (middleware) \
                 are not supported by this host"
            );
        }
        if let Some(executor) = &self.executor {
            match executor.get("type").and_then(Value::as_str) {
                Some("http" | "spin") => {}
                other => bail!(
                    "executor type {:?} is not supported, only \"http\"",
                    other.unwrap_or("")
                ),
            }
        }
        let route = match self.route {
            Some(Value::String(route)) => Some(route),
            Some(Value::Table(table))
                if table.len() == 1 && table.get("private") == Some(&Value::Boolean(true)) =>
            {
                None
            }
            Some(other) => bail!("`route` must be a path or {{ private = true }}, not {other}"),
            None => bail!("`route` is missing"),
        };
        let target = match (self.component, self.static_response) {
            (Some(Value::String(id)), None) => Target::Component(id),
            (Some(_), None) => {
                bail!(
                    "a component inside the trigger is not supported: \
                     give it a [component.<id>] table"
                )
            }
            (None, Some(response)) => Target::Static(response),
            (Some(_), Some(_)) => bail!("`component` and `static_response` exclude each other"),
            (None, None) => bail!("either `component` or `static_response` is missing"),
        };
        Ok(Trigger { route, target })
    }
}

impl RawComponent {
    pub(super) fn check(self, root: &Path) -> Result<Component> {
        let unsupported = [
            ("key_value_stores", !self.key_value_stores.is_empty()),
            ("sqlite_databases", !self.sqlite_databases.is_empty()),
            ("ai_models", !self.ai_models.is_empty()),
            ("dependencies", !self.dependencies.is_empty()),
        ];
        if let Some((key, _)) = unsupported.iter().find(|(_, used)| *used) {
            bail!("`{key}` is not supported by this host");
        }
        if !self.allowed_http_hosts.is_empty() {
            bail!(
                "`allowed_http_hosts` is not supported by this host: \
                 write `allowed_outbound_hosts`"
            );
        }
        let source = match self.source {
            Value::String(path) => root.join(path),
            Value::Table(table) if table.contains_key("url") => {
                bail!("a `source` from a URL is not supported by this host, only a path")
            }
            Value::Table(_) => {
                bail!("a `source` from a registry is not supported by this host, only a path")
            }
            other => bail!("`source` must be a path, not {other}"),
        };
        Ok(Component {
            source,
            build_command: self.build.as_ref().and_then(build_command),
            variables: self.variables,
            environment: self.environment,
            files: self.files.into_iter().map(mount).collect::<Result<_>>()?,
            exclude_files: self.exclude_files,
            allowed_outbound_hosts: self.allowed_outbound_hosts,
        })
    }
}

/// The first command of a `build` table.
fn build_command(build: &Value) -> Option<String> {
    let command = build.get("command")?;
    let first = command
        .as_array()
        .and_then(|list| list.first())
        .unwrap_or(command);
    first.as_str().map(str::to_owned)
}

fn mount(value: Value) -> Result<Mount> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Placement {
        source: String,
        destination: String,
    }
    if let Value::String(pattern) = value {
        return Ok(Mount::Pattern(pattern));
    }
    let Placement {
        source,
        destination,
    } = toml_reader::read_value("`files`", value)?;
    Ok(Mount::Placement {
        source,
        destination,
    })
}
