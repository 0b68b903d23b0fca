//! Builds the components for `wasm32-wasip2` and the host natively.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context as _, bail};

use crate::step;

const TARGET: &str = "wasm32-wasip2";

/// The project's folder: as cargo says now, and not when this was compiled, which may have been in another clone that shares the
/// target folder.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let told = std::env::var_os("CARGO_MANIFEST_DIR");
        let xtask = told.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        xtask.parent().unwrap_or(Path::new(".")).to_owned()
    });
    &ROOT
}

/// Cargo, in the project's folder, as if it were called from a shell: what `cargo run` told us about this package would
/// make build scripts that watch these variables run anew, and with them half of the host's dependencies.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    forget_cargo(&mut cargo);
    cargo
}

/// Takes out of a command's environment what cargo has put into ours.
pub(crate) fn forget_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if told {
            command.env_remove(name);
        }
    }
}

/// The components' packages and where each is built, as spin.toml has it. The pages are built on the API's library, and cargo
/// would put that library, without its entry point, where the API's component belongs: so they have a folder of their own.
const COMPONENTS: [(&str, &str); 2] = [(API, "target"), ("edgelatch-pages", "target/pages")];

/// The API's package.
const API: &str = "edgelatch";

/// Whether the API's component makes spans of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spans {
    /// It does, with its feature `otel`.
    With,
    /// It does not, and imports nothing that is experimental.
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

/// Builds the components, with the target's standard library installed if it is absent.
pub(crate) fn components(spans: Spans) -> anyhow::Result<()> {
    install_target()?;
    components_into(Path::new(""), spans, &|_| {})
}

/// The same, with their target folders in `into`, and each call of cargo as `adapt` makes it.
pub(crate) fn components_into(
    into: &Path,
    spans: Spans,
    adapt: &dyn Fn(&mut Command),
) -> anyhow::Result<()> {
    for (package, folder) in COMPONENTS {
        component(package, &into.join(folder), &|cargo| {
            spans.add_to(package, cargo);
            adapt(cargo);
        })?;
    }
    Ok(())
}

/// Builds the API's component with spans of its own for the tests, in a folder of its own, so that neither takes the other's
/// features. Returns where it is.
pub(crate) fn component_with_spans() -> anyhow::Result<PathBuf> {
    let folder = Path::new("target/otel");
    component(API, folder, &|cargo| Spans::With.add_to(API, cargo))?;
    let built = folder.join(TARGET).join("release").join("edgelatch.wasm");
    Ok(root().join(built))
}

/// Builds the least component, which the benchmark compares the API's with: in the same way, but in a folder of its own, so that
/// neither takes the other's features.
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
    // `cargo rustc` for the one crate type: with the rlib beside it there is no link-time optimisation, and the API's
    // component is a sixth larger. spin.toml has the same commands.
    let mut cargo = cargo();
    cargo
        .args(["rustc", "--release", "--target", TARGET])
        .args(["--package", package, "--crate-type", "cdylib"])
        .arg("--target-dir")
        .arg(folder);
    adapt(&mut cargo);
    step::run(
        &mut cargo,
        "a component did not build: see the output above",
    )
}

/// Builds the host, unless EDGELATCH_HOST_BIN names one, with the features that its dependencies have in the whole workspace: so
/// `test` and `up` share one build.
pub(crate) fn host() -> anyhow::Result<()> {
    if named_host().is_some() {
        return Ok(());
    }
    step::say("building the host that runs it (the first time this takes some minutes)");
    step::run(
        cargo().args(["build", "--workspace", "--bin", "edgelatch-host"]),
        "the host did not build: see the output above",
    )
}

/// Builds one of the workspace's programs and says where it is.
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
        bail!("the document could not be made: see the output above");
    }
    std::fs::write(root().join("openapi.json"), output.stdout)?;
    Ok(())
}

/// Where the host is, once built.
pub(crate) fn host_binary() -> PathBuf {
    named_host().unwrap_or_else(|| target().join("debug").join("edgelatch-host"))
}

fn named_host() -> Option<PathBuf> {
    std::env::var_os("EDGELATCH_HOST_BIN").map(PathBuf::from)
}

/// Where cargo builds, and where everything else goes that is made and not kept.
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
            "the Rust target {TARGET} is absent and so is rustup: install rustup from https://rustup.rs, \
             or your distribution's package for the target (Debian: libstd-rust-dev-wasm32)"
        );
    }
    step::run(
        Command::new("rustup")
            .args(["target", "add", TARGET])
            .current_dir(root()),
        "rustup could not install the target wasm32-wasip2: run `rustup target add wasm32-wasip2` yourself and try again",
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
