//! Builds the components for `wasm32-wasip2` and the host natively.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context as _, bail};

use crate::step;

/// What components are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The project's folder. Cargo says where it is now: this may have been compiled in another clone
/// that shares the target folder.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR");
        let xtask = folder.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        xtask.parent().unwrap_or(Path::new(".")).to_owned()
    });
    &ROOT
}

/// Cargo, in the project's folder, as if called from a shell. `cargo run` sets variables about this
/// package: build scripts that watch them would run again, and half of the host's dependencies with
/// them.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    forget_cargo(&mut cargo);
    cargo
}

/// Removes from a command's environment what cargo has added to ours.
pub(crate) fn forget_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let of_cargo = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if of_cargo {
            command.env_remove(name);
        }
    }
}

/// The components' packages, as in spin.toml. They share a target folder, and with it what they
/// depend on.
const COMPONENTS: [&str; 2] = [API, "edgelatch-pages"];

/// The folder where they are built.
const COMPONENTS_TARGET: &str = "target";

/// The components that are built on the API's library, and whose manifests are in these folders:
/// the examples, and the component that the tests of the library call. They are not deployed.
const ON_THE_LIBRARY: [(&str, &str); 3] = [
    ("edgelatch-example-orders", "examples/orders"),
    ("edgelatch-example-counter", "examples/counter"),
    ("edgelatch-tests-library", "tests/library"),
];

/// The API's package.
const API: &str = "edgelatch";

/// Whether the API's component makes spans of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spans {
    /// It does, with the feature `otel`.
    With,
    /// It does not, and imports nothing experimental.
    Without,
}

impl Spans {
    /// From a flag of the command line.
    pub(crate) fn wanted(otel: bool) -> Self {
        if otel { Self::With } else { Self::Without }
    }

    fn add_to(self, package: &str, cargo: &mut Command) {
        if self == Self::With && package == API {
            cargo.args(["--features", "otel"]);
        }
    }
}

/// Builds the components. Installs the target's standard library if it is missing.
pub(crate) fn components(spans: Spans) -> anyhow::Result<()> {
    install_target()?;
    components_into(Path::new(""), spans, &|_| {})
}

/// The same, with the target folders in `into`. `adapt` changes each call of cargo.
pub(crate) fn components_into(
    into: &Path,
    spans: Spans,
    adapt: &dyn Fn(&mut Command),
) -> anyhow::Result<()> {
    for package in COMPONENTS {
        component(package, &into.join(COMPONENTS_TARGET), &|cargo| {
            spans.add_to(package, cargo);
            adapt(cargo);
        })?;
    }
    Ok(())
}

/// Builds the components that are built on the API's library.
pub(crate) fn on_the_library() -> anyhow::Result<()> {
    for (package, _) in ON_THE_LIBRARY {
        component(package, Path::new(COMPONENTS_TARGET), &|_| {})?;
    }
    Ok(())
}

/// The manifests of [`on_the_library`].
pub(crate) fn manifests_on_the_library() -> impl Iterator<Item = PathBuf> {
    let folders = ON_THE_LIBRARY.iter();
    folders.map(|(_, folder)| root().join(folder).join("spin.toml"))
}

/// Builds the API's component with spans for the tests, in its own folder, so that features do not
/// mix. Returns its path.
pub(crate) fn component_with_spans() -> anyhow::Result<PathBuf> {
    let folder = Path::new("target/otel");
    component(API, folder, &|cargo| Spans::With.add_to(API, cargo))?;
    let built = folder.join(TARGET).join("release").join("edgelatch.wasm");
    Ok(root().join(built))
}

/// Builds the least component, which the benchmark compares with the API's. Same way, own folder.
pub(crate) fn least_component() -> anyhow::Result<()> {
    install_target()?;
    component(
        "edgelatch-bench-least",
        Path::new("target/bench-least"),
        &|_| {},
    )
}

fn component(package: &str, folder: &Path, adapt: &dyn Fn(&mut Command)) -> anyhow::Result<()> {
    step::say(format_args!("building the component {package}"));
    // `cargo rustc` for one crate type: an rlib beside it would prevent link-time optimisation, and
    // make the API's component a sixth larger. spin.toml has the same commands.
    let mut cargo = cargo();
    cargo
        .args(["rustc", "--release", "--target", TARGET])
        .args(["--package", package, "--crate-type", "cdylib"])
        .arg("--target-dir")
        .arg(folder);
    adapt(&mut cargo);
    step::run_long(
        &mut cargo,
        &format!("building the component {package}"),
        "the component did not build: see the output above",
    )
}

/// Whether all of them have been built before. They may be out of date.
pub(crate) fn components_are_built() -> bool {
    let folder = root().join(COMPONENTS_TARGET).join(TARGET).join("release");
    COMPONENTS.iter().all(|package| {
        let file = format!("{}.wasm", package.replace('-', "_"));
        folder.join(file).is_file()
    })
}

/// Builds the host, unless EDGELATCH_HOST_BIN names one.
pub(crate) fn host() -> anyhow::Result<()> {
    host_beside(|| Ok(()))
}

/// Builds the host, unless EDGELATCH_HOST_BIN names one, and calls `others` meanwhile. Cargo locks
/// the folder of each profile by itself, so components are built at the same time: their last step,
/// optimisation when they are linked, leaves all processors but one idle.
///
/// With the features that its dependencies have in the whole workspace, `test` and `up` share one
/// build.
pub(crate) fn host_beside(others: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    if named_host().is_some() {
        return others();
    }
    step::say("building the host");
    let host = step::Long::start(
        cargo().args(["build", "--workspace", "--bin", "edgelatch-host"]),
        "building the host",
    )?;
    others()?;
    host.wait("the host did not build: see the output above")
}

/// Builds a program of the workspace and returns its path.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    step::run(
        cargo().args(["build", "--workspace", "--bin", name]),
        "the program did not build: see the output above",
    )?;
    Ok(target().join("debug").join(name))
}

/// Writes `openapi.json` from the code.
pub(crate) fn openapi() -> anyhow::Result<()> {
    step::say("writing openapi.json");
    let output = cargo()
        .args([
            "run",
            "--quiet",
            "--package",
            "edgelatch",
            "--example",
            "openapi",
        ])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("openapi.json could not be generated: see the output above");
    }
    std::fs::write(root().join("openapi.json"), output.stdout)?;
    Ok(())
}

/// The path of the host after the build.
pub(crate) fn host_binary() -> PathBuf {
    named_host().unwrap_or_else(|| target().join("debug").join("edgelatch-host"))
}

fn named_host() -> Option<PathBuf> {
    std::env::var_os("EDGELATCH_HOST_BIN").map(PathBuf::from)
}

/// The folder of cargo's output, and of everything else that is generated.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |named| root().join(named))
}

pub(crate) fn install_target() -> anyhow::Result<()> {
    if target_is_installed()? {
        return Ok(());
    }
    step::say(format_args!(
        "installing the target {TARGET}: rustup target add {TARGET}"
    ));
    if step::on_path("rustup").is_none() {
        bail!(
            "the Rust target {TARGET} and rustup are missing: install rustup from \
             https://rustup.rs, or your distribution's package for the target \
             (Debian: libstd-rust-dev-wasm32)"
        );
    }
    step::run(
        Command::new("rustup")
            .args(["target", "add", TARGET])
            .current_dir(root()),
        "rustup could not install the target wasm32-wasip2: run \
         `rustup target add wasm32-wasip2` yourself and try again",
    )
}

/// Asks the compiler where the target's libraries would be, and looks.
fn target_is_installed() -> anyhow::Result<bool> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(root())
        .output()
        .context("`rustc` could not be started: install Rust from https://rustup.rs")?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success() && Path::new(&folder).is_dir())
}
