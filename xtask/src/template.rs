//! The template for `spin new`: rendered and built, for the tests to run.
//!
//! With a `spin` at hand, that renders it. Without one, [`liquid`] does: the template uses a small
//! part of the language.

mod liquid;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use heck::ToSnakeCase as _;
use regex_lite::Regex;

use crate::{build, service, step};

/// The services that are rendered: their names, and their origins. The first is named as a user
/// may name it, who thinks of no crate.
const SERVICES: [(&str, &str); 2] = [
    ("WithoutOrigin", ""),
    ("with-origin", "http://origin.invalid:8080"),
];

/// Renders the template in each of its ways into `target/template`, and builds what comes of it.
///
/// # Errors
/// If it can't be rendered, or does not build.
pub(crate) fn build_all() -> anyhow::Result<()> {
    for (name, origin) in SERVICES {
        let folder = build::target().join("template").join(name);
        let crate_path = format!("path = {:?}", build::root());
        let values = BTreeMap::from([
            ("project-name", name),
            ("project-description", "Rendered for the tests"),
            ("origin", origin),
            ("edgelatch", crate_path.as_str()),
        ]);
        match service::spin() {
            Ok(spin) => render_with_spin(&spin, &folder, &values)?,
            Err(_) => render(&folder, &values)?,
        }
        build(&folder, name)?;
    }
    Ok(())
}

fn template() -> PathBuf {
    build::root().join("templates/edgelatch")
}

/// `spin templates install` and `spin new`, with a data folder of its own.
fn render_with_spin(
    spin: &Path,
    folder: &Path,
    values: &BTreeMap<&str, &str>,
) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let run = |arguments: &mut Command| {
        arguments.env("SPIN_DATA_DIR", data.path());
        step::run(
            arguments,
            "`spin` refused the template: see the output above",
        )
    };
    let mut install = Command::new(spin);
    install.args(["templates", "install", "--dir"]);
    run(install.arg(build::root()))?;
    let mut new = Command::new(spin);
    new.args(["new", "--template", "edgelatch", "--accept-defaults"])
        .args(["--allow-overwrite", "--output"])
        .arg(folder);
    for (name, value) in values {
        if *name == "project-name" {
            new.arg(value);
        } else {
            new.arg("--value").arg(format!("{name}={value}"));
        }
    }
    run(&mut new)
}

/// Renders every file of the template's content. A file that would stay the same is not written, so
/// that cargo does not build it again.
fn render(folder: &Path, values: &BTreeMap<&str, &str>) -> anyhow::Result<()> {
    for (name, value) in values {
        ensure!(
            fits(name, value)?,
            "the template refuses {value:?} as {name}"
        );
    }
    let content = template().join("content");
    for file in files(&content)? {
        let text = std::fs::read_to_string(&file)?;
        let text = liquid::render(&text, values)
            .with_context(|| format!("{} can't be rendered", file.display()))?;
        let relative = file.strip_prefix(&content)?;
        let to = folder.join(relative);
        let to = match to.extension() {
            Some(extension) if extension == "tmpl" => to.with_extension(""),
            _ => to,
        };
        write_if_new(&to, text.as_bytes())?;
    }
    Ok(())
}

/// Whether the template takes this value of a parameter, as its pattern says.
fn fits(name: &str, value: &str) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(template().join("metadata/spin-template.toml"))?;
    let template: toml::Table = text.parse()?;
    let pattern = template["parameters"]
        .get(name)
        .and_then(|parameter| parameter.get("pattern"))
        .and_then(toml::Value::as_str);
    // Spin has no pattern for the project's name.
    pattern.map_or(Ok(true), |pattern| Ok(Regex::new(pattern)?.is_match(value)))
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else {
            all.push(path);
        }
    }
    Ok(all)
}

fn write_if_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a file is in a folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(path, bytes)?;
    Ok(())
}

/// Builds a rendered service with this project's versions of all crates, in the folder where they
/// are built already, and puts the component where its manifest expects it.
fn build(folder: &Path, name: &str) -> anyhow::Result<()> {
    step::say(format_args!("building the template's service {name}"));
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        std::fs::copy(build::root().join("Cargo.lock"), &lock)?;
    }
    let target = build::root().join("target");
    step::run(
        build::cargo()
            .args(["build", "--release", "--target", build::TARGET])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(folder),
        "the template's service did not build: see the output above",
    )?;
    let component = format!("{}.wasm", name.to_snake_case());
    let place = Path::new(build::TARGET).join("release").join(component);
    let built = std::fs::read(target.join(&place))?;
    ensure!(!built.is_empty(), "the component is empty");
    write_if_new(&folder.join("target").join(place), &built)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files that are TOML, rendered with one value that a user types.
    fn rendered(name: &str, value: &str) -> anyhow::Result<Vec<toml::Table>> {
        let mut values = BTreeMap::from([
            ("project-name", "shop"),
            ("project-description", ""),
            ("origin", ""),
            ("edgelatch", "version = \"0.1\""),
        ]);
        values.insert(name, value);
        let folder = tempfile::tempdir()?;
        render(folder.path(), &values)?;
        let files = ["Cargo.toml", "spin.toml"].map(|file| folder.path().join(file));
        let read = |file: &PathBuf| Ok(std::fs::read_to_string(file)?.parse()?);
        files.iter().map(read).collect()
    }

    #[test]
    fn what_the_template_takes_is_toml_when_it_is_rendered() {
        for (name, value) in [
            (
                "project-description",
                "It's a shop: {{ x }}, {% y %} & \u{e9}",
            ),
            ("origin", "https://shop.example:8443"),
            ("origin", "http://[::1]:8080"),
            ("edgelatch", "path = \"../my edgelatch\""),
            (
                "edgelatch",
                "git = \"https://git.example/e.git\", branch = \"main\"",
            ),
        ] {
            assert_eq!(
                rendered(name, value).map(|it| it.len()).ok(),
                Some(2),
                "{value}"
            );
        }
    }

    #[test]
    fn what_would_break_a_manifest_is_refused() {
        for (name, value) in [
            ("project-description", "the \"best\" shop"),
            ("project-description", "C:\\shop"),
            ("project-description", "two\nlines"),
            ("origin", "shop.example"),
            ("origin", "http://shop.example/path"),
            ("origin", "http://shop.example\\"),
            ("origin", "http://ada:secret@shop.example"),
            ("edgelatch", "version = \"0.1"),
            ("edgelatch", "version = \"0.1\" }\n[x]"),
            ("edgelatch", "version = \"0.1\", default-features = true"),
            ("edgelatch", "0.1"),
        ] {
            assert_eq!(fits(name, value).ok(), Some(false), "{name}: {value}");
        }
    }

    #[test]
    fn names_are_made_kebab_case_and_the_component_is_found() {
        for (name, crate_name, component) in [
            ("shop", "shop", "shop"),
            ("my-shop", "my-shop", "my_shop"),
            ("my_shop", "my-shop", "my_shop"),
            ("MyShop", "my-shop", "my_shop"),
            ("My shop2", "my-shop2", "my_shop2"),
            ("SHOP", "shop", "shop"),
        ] {
            let manifests = rendered("project-name", name).unwrap_or_default();
            let [cargo, spin] = manifests.as_slice() else {
                unreachable!("two files are rendered");
            };
            assert_eq!(cargo["package"]["name"].as_str(), Some(crate_name));
            let source = &spin["component"][crate_name]["source"];
            let place = format!("target/wasm32-wasip2/release/{component}.wasm");
            assert_eq!(source.as_str(), Some(place.as_str()));
        }
    }
}
