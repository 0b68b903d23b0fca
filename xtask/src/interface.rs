//! Compares the imports and exports of a built component with what `spin.toml` grants it.
//!
//! A grant says what a component may reach if it tries. An import says that it can try. Both must
//! say the same: a component that may not connect to Redis does not import Redis, either.

use std::iter;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use wasmparser::{Parser, Payload};

use crate::build::Spans;
use crate::manifest::{self, Component};
use crate::{build, step};

/// Interfaces that Rust's standard library and Spin's SDK import in every component: no network, no
/// files.
const ALWAYS: [&str; 4] = ["wasi:cli/", "wasi:clocks/", "wasi:io/", "wasi:random/"];

/// The interface that Spin's HTTP trigger calls (WASI 0.3).
const ENTRY_POINT: &str = "wasi:http/handler";

/// The additional imports of a component with spans.
const SPANS: [&str; 2] = ["wasi:otel/tracing", "wasi:otel/types"];

/// The interfaces of one component.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    /// What it needs from its host.
    pub(crate) imports: Vec<String>,
    /// What it offers to its host.
    pub(crate) exports: Vec<String>,
}

impl Interface {
    /// Reads them from a component's bytes. Nested components are left out.
    pub(crate) fn of(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut interface = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        interface.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        interface.exports.push(export?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(interface)
    }

    /// Imports that the manifest does not grant, and exports other than the entry point.
    fn faults(&self, component: &Component, spans: Spans) -> Vec<String> {
        let imports = self.imports.iter();
        let ungranted = imports
            .filter(|name| {
                let of_spans = spans == Spans::With && SPANS.contains(&interface_of(name));
                !of_spans && !is_granted(name, component)
            })
            .map(|name| format!("imports {name}, which spin.toml does not grant"));
        let exports = self.exports.iter();
        let foreign = exports
            .filter(|name| interface_of(name) != ENTRY_POINT)
            .map(|name| format!("exports {name}, which nothing calls"));
        let absent = self
            .exports
            .is_empty()
            .then(|| "exports nothing".to_owned());
        ungranted.chain(foreign).chain(absent).collect()
    }
}

fn is_granted(import: &str, component: &Component) -> bool {
    let may_reach = |schemes: &[&str]| {
        let mut hosts = component.hosts.iter();
        hosts.any(|host| schemes.iter().any(|scheme| host.starts_with(scheme)))
    };
    match interface_of(import) {
        "wasi:http/types" => true,
        "spin:variables/variables" | "wasi:config/store" => component.has_variables,
        "spin:redis/redis" => may_reach(&["redis://", "rediss://"]),
        "wasi:http/client" => may_reach(&["http://", "https://"]),
        other => ALWAYS.iter().any(|known| other.starts_with(known)),
    }
}

/// The name without its version.
fn interface_of(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

/// Checks every component of the built project against its `spin.toml`.
///
/// # Errors
/// If a component imports something that is not granted.
pub(crate) fn check() -> anyhow::Result<()> {
    let own = build::root().join("spin.toml");
    for manifest in iter::once(own).chain(build::manifests_on_the_library()) {
        check_manifest(&manifest, Spans::Without, |_| {})?;
    }
    step::say("every component imports only what spin.toml grants it");
    Ok(())
}

/// Checks the imports of the API's component with spans, at `path`, against those of the one
/// without.
///
/// # Errors
/// If it imports anything else, or nothing for spans.
pub(crate) fn check_spans(path: &Path) -> anyhow::Result<()> {
    let components = manifest::components(&build::root().join("spin.toml"))?;
    let api = components
        .iter()
        .find(|component| component.id == "edgelatch");
    let api = api.context("spin.toml has no component \"edgelatch\"")?;
    let without = read(&build::root().join(&api.source))?.1.imports;
    let with = read(path)?.1.imports;
    let added: Vec<_> = with
        .iter()
        .filter(|name| !without.contains(name))
        .map(|name| interface_of(name))
        .collect();
    ensure!(
        added.len() == SPANS.len() && added.iter().all(|name| SPANS.contains(name)),
        "the feature `otel` adds the imports {added:?} instead of {SPANS:?}"
    );
    Ok(())
}

/// Reads a component: its bytes, and what it imports and exports.
fn read(file: &Path) -> anyhow::Result<(Vec<u8>, Interface)> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let interface =
        Interface::of(&bytes).with_context(|| format!("{} is not a component", file.display()))?;
    Ok((bytes, interface))
}

/// Checks every component of the manifest at `path`, and passes each to `each`.
pub(crate) fn check_manifest(
    path: &Path,
    spans: Spans,
    mut each: impl FnMut(&Inspected<'_>),
) -> anyhow::Result<()> {
    let folder = path.parent().context("a manifest is in a folder")?;
    for component in &manifest::components(path)? {
        let file = folder.join(&component.source);
        let (bytes, interface) = read(&file)?;
        ensure!(
            !interface.imports.is_empty(),
            "{} imports nothing, so it is not the component of spin.toml",
            file.display()
        );
        let faults = interface.faults(component, spans);
        if !faults.is_empty() {
            bail!("component {}: {}", component.id, faults.join("; "));
        }
        each(&Inspected {
            id: &component.id,
            bytes: &bytes,
            interface: &interface,
        });
    }
    Ok(())
}

/// A component that has passed the check.
pub(crate) struct Inspected<'a> {
    /// Its id in the manifest.
    pub(crate) id: &'a str,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// What it imports and exports.
    pub(crate) interface: &'a Interface,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(imports: &[&str], hosts: &[&str], has_variables: bool) -> Vec<String> {
        faults_of(imports, hosts, has_variables, Spans::Without)
    }

    fn faults_of(
        imports: &[&str],
        hosts: &[&str],
        has_variables: bool,
        spans: Spans,
    ) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let interface = Interface {
            imports: owned(imports),
            exports: owned(&["wasi:http/handler@0.3.0"]),
        };
        let component = Component {
            id: "c".into(),
            source: "c.wasm".into(),
            has_variables,
            hosts: owned(hosts),
        };
        interface.faults(&component, spans)
    }

    #[test]
    fn spans_are_imported_with_the_feature_only() {
        let imports = ["wasi:otel/tracing@0.2.0-rc.2", "wasi:otel/types@0.2.0-rc.2"];
        let faults = |spans| faults_of(&imports, &[], false, spans).len();
        assert_eq!(faults(Spans::With), 0);
        assert_eq!(faults(Spans::Without), 2);
        let others = ["wasi:otel/metrics@0.2.0-rc.2", "wasi:otel/logs@0.2.0-rc.2"];
        assert_eq!(faults_of(&others, &[], false, Spans::With).len(), 2);
    }

    #[test]
    fn granted_interfaces_may_be_imported() {
        let imports = [
            "spin:redis/redis@3.0.0",
            "spin:variables/variables@3.0.0",
            "wasi:config/store@0.2.0-draft-2024-09-27",
            "wasi:http/client@0.3.0",
            "wasi:clocks/monotonic-clock@0.3.0",
        ];
        let hosts = ["redis://h:1", "http://origin.invalid"];
        assert_eq!(faults(&imports, &hosts, true), Vec::<String>::new());
    }

    #[test]
    fn ungranted_interfaces_may_not_be_imported() {
        for import in [
            "spin:redis/redis@3.0.0",
            "spin:variables/variables@3.0.0",
            "wasi:config/store@0.2.0-draft-2024-09-27",
            "wasi:http/client@0.3.0",
            "wasi:sockets/tcp@0.2.0",
            "wasi:filesystem/types@0.2.0",
            "spin:sqlite/sqlite@3.0.0",
            "wasi:http/typesetting@0.1.0",
        ] {
            let faults = faults(&["wasi:io/poll@0.2.0", import], &[], false);
            assert_eq!(faults.len(), 1, "{import}");
        }
    }

    #[test]
    fn only_the_entry_point_may_be_exported() {
        let interface = Interface {
            imports: Vec::new(),
            exports: vec!["wasi:http/handler@0.3.0".into(), "a:b/c".into()],
        };
        let component = Component {
            id: "c".into(),
            source: "c.wasm".into(),
            has_variables: false,
            hosts: Vec::new(),
        };
        assert_eq!(interface.faults(&component, Spans::Without).len(), 1);
        let nothing = Interface::default();
        assert_eq!(nothing.faults(&component, Spans::Without).len(), 1);
    }
}
