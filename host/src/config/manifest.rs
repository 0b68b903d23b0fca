//! `spin.toml`: the application's routes, components and variables, checked once.
//!
//! The reader is strict. It refuses a key that Spin does not know, and a key of Spin that this host
//! does not support; the error names the key. Keys for other commands (`build`, `tool`, `targets`,
//! `profile`) are ignored. Manifest version 1, inline components and components from a URL or a
//! registry are left out on purpose.
//!
//! Follows Spin's `crates/manifest/src/schema/v2.rs` and `crates/loader/src/local.rs`.

mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::variable_name::check_name;

pub(crate) use raw::{StaticResponse, Variable};

/// An application.
#[derive(Debug)]
pub(crate) struct App {
    /// The manifest's folder, which relative paths in it start from; empty for the working folder.
    pub(crate) root: PathBuf,
    /// `[variables]`, by name.
    pub(crate) variables: BTreeMap<String, Variable>,
    /// `[[trigger.http]]`, in the order of the file.
    pub(crate) triggers: Vec<Trigger>,
    /// `[component.*]`, by id.
    pub(crate) components: BTreeMap<String, Component>,
}

/// One `[[trigger.http]]`.
#[derive(Debug)]
pub(crate) struct Trigger {
    /// The route as written, or `None` for a private endpoint, which no request can reach.
    pub(crate) route: Option<String>,
    /// What handles its requests.
    pub(crate) target: Target,
}

/// What handles a request.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The component of this id.
    Component(String),
    /// A response from the manifest.
    Static(StaticResponse),
}

/// One `[component.*]`.
#[derive(Debug, Default)]
pub(crate) struct Component {
    /// The `.wasm` file, absolute or relative to the working folder.
    pub(crate) source: PathBuf,
    /// The first command of `[component.*.build]`, for the error when `source` does not exist.
    pub(crate) build_command: Option<String>,
    /// Templates, by the component's name for the variable.
    pub(crate) variables: BTreeMap<String, String>,
    /// Environment variables; not templates.
    pub(crate) environment: BTreeMap<String, String>,
    /// Files that the component may read.
    pub(crate) files: Vec<Mount>,
    /// Globs, relative to the manifest's folder, of files left out of `files`.
    pub(crate) exclude_files: Vec<String>,
    /// Hosts that the component may connect to; may be templates.
    pub(crate) allowed_outbound_hosts: Vec<String>,
}

/// One entry of `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// A file, a folder or a glob, at the same path in the guest.
    Pattern(String),
    /// A file or folder at another path in the guest.
    Placement {
        /// Path on the host, relative to the manifest's folder.
        source: String,
        /// Path in the guest.
        destination: String,
    },
}

impl App {
    /// Reads the manifest at `path`, or `spin.toml` in it if it is a folder.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let file = if path.is_dir() {
            path.join("spin.toml")
        } else {
            path.to_owned()
        };
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read the manifest {}", file.display()))?;
        let root = file.parent().unwrap_or(Path::new(""));
        Self::parse(&text, root).with_context(|| format!("{}", file.display()))
    }

    /// Reads a manifest whose relative paths start at `root`.
    pub(crate) fn parse(text: &str, root: &Path) -> Result<Self> {
        let raw = raw::parse(text)?;
        for (name, variable) in &raw.variables {
            check_name(name).map_err(|reason| anyhow::anyhow!("[variables] {reason}"))?;
            ensure!(
                variable.required != variable.default.is_some(),
                "variable {name:?} must either be `required = true` or have a `default`"
            );
        }
        let components = raw
            .component
            .into_iter()
            .map(|(id, component)| {
                check_component_id(&id)?;
                let component = component
                    .check(root)
                    .with_context(|| format!("component {id:?}"))?;
                Ok((id, component))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        let triggers = raw::triggers(raw.trigger)?;
        for trigger in &triggers {
            if let Target::Component(id) = &trigger.target {
                ensure!(
                    components.contains_key(id),
                    "a [[trigger.http]] names component {id:?}, which the manifest does not define"
                );
            }
        }
        ensure!(
            !triggers.is_empty(),
            "the application has no [[trigger.http]]"
        );
        Ok(Self {
            root: root.to_owned(),
            variables: raw.variables,
            triggers,
            components,
        })
    }

    /// Keeps only the named components and the routes to them (`--component-id`).
    pub(crate) fn retain(&mut self, ids: &[String]) -> Result<()> {
        for id in ids {
            ensure!(
                self.components.contains_key(id),
                "--component-id {id:?} is not a component of the application"
            );
        }
        self.components.retain(|id, _| ids.contains(id));
        self.triggers
            .retain(|trigger| matches!(&trigger.target, Target::Component(id) if ids.contains(id)));
        ensure!(
            !self.triggers.is_empty(),
            "no route is left with --component-id {ids:?}"
        );
        Ok(())
    }
}

/// Component ids are kebab-case words that start with a letter (Spin's `KebabId`).
fn check_component_id(id: &str) -> Result<()> {
    let kebab = id.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric())
            && (word.chars().all(|c| !c.is_ascii_uppercase())
                || word.chars().all(|c| !c.is_ascii_lowercase()))
    });
    if !kebab {
        bail!(
            "component id {id:?} must be kebab-case: \
             words of letters and digits, each starting with a letter"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const MINIMAL: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "app"
        [[trigger.http]]
        route = "/..."
        component = "app"
        [component.app]
        source = "target/app.wasm"
    "#;

    fn parse(text: &str) -> Result<App> {
        App::parse(text, Path::new("/srv/app"))
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn a_minimal_manifest() {
        let app = parse(MINIMAL).unwrap();
        assert_eq!(app.triggers[0].route.as_deref(), Some("/..."));
        assert_eq!(
            app.components["app"].source,
            Path::new("/srv/app/target/app.wasm")
        );
    }

    #[test]
    fn every_supported_key() {
        let app = parse(
            r#"
            spin_manifest_version = 2
            [application]
            name = "app"
            version = "1.0.0"
            authors = ["someone"]
            [variables]
            redis_host = { default = "127.0.0.1", description = "where" }
            redis_pwd = { required = true, secret = true }
            [[trigger.http]]
            route = "/api/..."
            component = "api"
            executor = { type = "http" }
            [[trigger.http]]
            route = { private = true }
            component = "api"
            [[trigger.http]]
            route = "/robots.txt"
            static_response = { status_code = 410, headers = { "x-a" = "b" }, body = "gone" }
            [component.api]
            source = "/opt/api.wasm"
            allowed_outbound_hosts = ["redis://{{ redis_host }}:6379"]
            files = ["a/**/*", { source = "b", destination = "/c" }]
            exclude_files = ["a/private/*"]
            environment = { MODE = "test" }
            [component.api.variables]
            host = "{{ redis_host }}"
            [component.api.build]
            command = "cargo build"
            watch = ["src/**/*.rs"]
            "#,
        )
        .unwrap();
        let api = &app.components["api"];
        assert_eq!(api.source, Path::new("/opt/api.wasm"));
        assert_eq!(api.build_command.as_deref(), Some("cargo build"));
        assert_eq!(
            api.files,
            [
                Mount::Pattern("a/**/*".into()),
                Mount::Placement {
                    source: "b".into(),
                    destination: "/c".into()
                }
            ]
        );
        assert!(app.variables["redis_pwd"].secret);
        assert_eq!(app.triggers.len(), 3);
        assert_eq!(app.triggers[1].route, None);
        assert!(
            matches!(&app.triggers[2].target, Target::Static(response) if response.status() == 410)
        );
    }

    #[test]
    fn unsupported_keys_are_refused_by_name() {
        let component = |line: &str| refusal(&format!("{MINIMAL}\n{line}"));
        for key in ["key_value_stores", "sqlite_databases", "ai_models"] {
            let message = component(&format!("{key} = [\"default\"]"));
            assert!(message.contains(key), "{message}");
        }
        assert!(component("dependencies = { \"a:b\" = \"1\" }").contains("dependencies"));
        assert!(component("allowed_http_hosts = [\"a\"]").contains("allowed_outbound_hosts"));
        assert!(component("colour = 1").contains("colour"));
        assert!(
            refusal(&MINIMAL.replace(
                "\"target/app.wasm\"",
                "{ url = \"https://a\", digest = \"b\" }"
            ))
            .contains("URL")
        );
        assert!(refusal(&MINIMAL.replace("trigger.http", "trigger.redis")).contains("redis"));
        assert!(
            refusal(&MINIMAL.replace(
                "component = \"app\"",
                "component = \"app\"\nexecutor = { type = \"wagi\" }"
            ))
            .contains("wagi")
        );
        assert!(refusal(&MINIMAL.replace("= 2", "= \"1\"")).contains("version"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refusal("spin_manifest_version = 2").contains("application"));
        assert!(refusal("=").contains("line 1"));
        assert!(
            refusal(&MINIMAL.replace("component = \"app\"", "component = \"other\""))
                .contains("other")
        );
        assert!(refusal(&MINIMAL.replace("[component.app]", "[component.app_]")).contains("kebab"));
        assert!(refusal(&format!("{MINIMAL}\n[variables]\na = {{ }}")).contains("default"));
        assert!(
            refusal(&format!("{MINIMAL}\n[variables]\nA = {{ default = \"\" }}")).contains("\"A\"")
        );
    }

    #[test]
    fn only_the_named_components_are_kept() {
        let mut app = parse(MINIMAL).unwrap();
        assert!(app.retain(&["other".into()]).is_err());
        app.retain(&["app".into()]).unwrap();
        assert_eq!(app.triggers.len(), 1);
    }
}
