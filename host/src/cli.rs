//! The command line: `edgelatch-host up`, with the flags of `spin up` that make sense here.
//!
//! A flag of `spin up` that this host lacks (`--tls-cert`, `--key-value`, `--build`, ...) is
//! refused by name, like any flag that clap does not know.
//!
//! Follows Spin's `src/commands/up.rs`, `crates/trigger/src/cli.rs` and
//! `crates/trigger-http/src/lib.rs`.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

use crate::config::ranges::{ValueOrRange, parse_count, parse_time};

/// Runs a Spin HTTP application without the `spin` command.
#[derive(Parser)]
#[command(name = "edgelatch-host", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts the application and serves it until Ctrl-C or SIGTERM.
    Up(Box<Up>),
}

/// The flags of `up`, named as in `spin up`.
#[derive(Args)]
pub(crate) struct Up {
    /// The manifest, or its folder
    #[arg(
        short = 'f',
        long = "from",
        aliases = ["from-file", "file"],
        default_value = "spin.toml",
        value_name = "APPLICATION"
    )]
    pub(crate) from: PathBuf,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "SPIN_HTTP_LISTEN_ADDR",
        default_value = "127.0.0.1:3000",
        value_parser = parse_listen_addr
    )]
    pub(crate) listen: SocketAddr,

    /// If the port is taken, try the next nine
    #[arg(long)]
    pub(crate) find_free_port: bool,

    /// Variable providers, connection limits and memory limit
    #[arg(long, env = "RUNTIME_CONFIG_FILE", value_name = "FILE")]
    pub(crate) runtime_config_file: Option<PathBuf>,

    /// Value of a variable; may be repeated, the last value of a name counts
    #[arg(
        long,
        value_name = "KEY=VALUE | KEY=@FILE | @FILE.json | @FILE.toml",
        value_parser = parse_variable
    )]
    variable: Vec<VariableSource>,

    /// Environment variable for all components
    #[arg(short = 'e', long = "env", value_name = "KEY=VALUE", value_parser = parse_key_value)]
    pub(crate) env: Vec<(String, String)>,

    /// Run only this component; may be repeated
    #[arg(short = 'c', long = "component-id", value_name = "ID")]
    pub(crate) component_ids: Vec<String>,

    /// Requests to one instance before it is dropped; a number or a range such as 64..128
    #[arg(long, default_value = "128", value_parser = parse_count)]
    pub(crate) max_instance_reuse_count: ValueOrRange<usize>,

    /// Requests to one instance at the same time; a number or a range
    #[arg(long, default_value = "16", value_parser = parse_count)]
    pub(crate) max_instance_concurrent_reuse_count: ValueOrRange<usize>,

    /// How long an idle instance waits for another request; a number (unit s, ms, us or ns; default
    /// s) or a range
    #[arg(long, default_value = "1s", value_parser = parse_time)]
    pub(crate) idle_instance_timeout: ValueOrRange<Duration>,

    /// How long a request may take; no limit by default
    #[arg(long, value_parser = parse_time)]
    pub(crate) request_timeout: Option<ValueOrRange<Duration>>,

    /// Bytes of memory that an instance may grow to
    #[arg(long, env = "SPIN_MAX_INSTANCE_MEMORY")]
    pub(crate) max_instance_memory: Option<usize>,

    /// Size of the buffer of an HTTP/1 connection, in bytes, at least 8192
    #[arg(
        long,
        env = "SPIN_HTTP1_MAX_BUF_SIZE",
        value_parser = clap::value_parser!(u64).range(8192..)
    )]
    pub(crate) http1_max_buf_size: Option<u64>,

    /// Requests at the same time on all connections, until their responses are read; more get a 503
    /// (not a flag of Spin)
    #[arg(long, default_value = "1024")]
    pub(crate) max_concurrent_requests: usize,

    /// Let components make spans (wasi:otel, which is experimental); OTEL_EXPORTER_OTLP_ENDPOINT
    /// names the collector
    #[arg(long)]
    pub(crate) experimental_wasi_otel: bool,

    /// Do not keep compiled components for the next start
    #[arg(
        long,
        env = "DISABLE_WASMTIME_CACHE",
        value_parser = clap::builder::BoolishValueParser::new(),
        conflicts_with = "cache"
    )]
    pub(crate) disable_cache: bool,

    /// Configuration file of the cache of compiled components
    #[arg(long, env = "WASMTIME_CACHE_FILE", value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,

    /// Do not reserve the memory of instances in advance
    #[arg(long)]
    pub(crate) disable_pooling: bool,

    /// Show the output of this component only; may be repeated
    #[arg(long, value_name = "ID", conflicts_with = "quiet")]
    pub(crate) follow: Vec<String>,

    /// Show no component's output
    #[arg(short, long, aliases = ["sh", "shush"])]
    pub(crate) quiet: bool,

    /// Accepted without effect, as this host keeps no state
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,

    /// Only the empty value is accepted, as this host writes no log files
    #[arg(short = 'L', long, env = "SPIN_LOG_DIR", value_name = "DIR")]
    log_dir: Option<String>,
}

impl Up {
    /// Checks what clap cannot check.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.log_dir.as_deref().unwrap_or("").is_empty(),
            "--log-dir is not supported by this host: components' output goes to stderr"
        );
        for name in ["SPIN_TLS_CERT", "SPIN_TLS_KEY", "SPIN_ALWAYS_BUILD"] {
            ensure!(
                std::env::var_os(name).is_none(),
                "environment variable {name} is set, \
                 but its feature is not supported by this host"
            );
        }
        Ok(())
    }

    /// The values of all `--variable` flags, by name.
    pub(crate) fn variables(&self) -> Result<HashMap<String, String>> {
        let mut variables = HashMap::new();
        for source in &self.variable {
            source.read(&mut variables)?;
        }
        Ok(variables)
    }

    /// Whether a component's stdout and stderr are shown.
    pub(crate) fn shows_output_of(&self, component: &str) -> bool {
        !self.quiet && (self.follow.is_empty() || self.follow.iter().any(|id| id == component))
    }
}

/// The value of one `--variable` flag.
#[derive(Clone, Debug, PartialEq, Eq)]
enum VariableSource {
    Literal(String, String),
    Content(String, PathBuf),
    Json(PathBuf),
    Toml(PathBuf),
}

impl VariableSource {
    fn read(&self, into: &mut HashMap<String, String>) -> Result<()> {
        let text = |path: &Path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("--variable: cannot read {}", path.display()))
        };
        // The parsers' messages are not shown: they have parts of the text, which may be secret.
        let malformed =
            |path: &Path| format!("--variable: {} is not a table of strings", path.display());
        match self {
            Self::Literal(name, value) => {
                into.insert(name.clone(), value.clone());
            }
            Self::Content(name, path) => {
                into.insert(name.clone(), text(path)?);
            }
            Self::Json(path) => {
                match serde_json::from_str::<HashMap<String, String>>(&text(path)?) {
                    Ok(values) => into.extend(values),
                    Err(_) => bail!(malformed(path)),
                }
            }
            Self::Toml(path) => match toml::from_str::<HashMap<String, String>>(&text(path)?) {
                Ok(values) => into.extend(values),
                Err(_) => bail!(malformed(path)),
            },
        }
        Ok(())
    }
}

fn parse_variable(text: &str) -> Result<VariableSource> {
    if let Some(path) = text.strip_prefix('@') {
        let path = PathBuf::from(path);
        return match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(VariableSource::Json(path)),
            Some("toml") => Ok(VariableSource::Toml(path)),
            _ => bail!("a file of variables must end in .json or .toml"),
        };
    }
    let (name, value) = parse_key_value(text)?;
    Ok(match value.strip_prefix('@') {
        Some(path) => VariableSource::Content(name, PathBuf::from(path)),
        None => VariableSource::Literal(name, value),
    })
}

fn parse_key_value(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Of the addresses of a name, 127.0.0.1 is preferred, as in Spin.
fn parse_listen_addr(text: &str) -> Result<SocketAddr> {
    let addresses: Vec<SocketAddr> = text.to_socket_addrs()?.collect();
    let loopback = addresses
        .iter()
        .find(|address| address.ip() == Ipv4Addr::LOCALHOST);
    loopback
        .or(addresses.first())
        .copied()
        .context("the name has no address")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn up(arguments: &[&str]) -> Up {
        let all = ["edgelatch-host", "up"].iter().chain(arguments);
        let Command::Up(up) = Cli::try_parse_from(all).unwrap().command;
        *up
    }

    #[test]
    fn the_flags_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn names_of_the_manifest_flag() {
        for flag in ["-f", "--from", "--file", "--from-file"] {
            assert_eq!(up(&[flag, "dir"]).from, Path::new("dir"));
        }
    }

    #[test]
    fn variables() {
        let dir = tempfile::tempdir().unwrap();
        let toml = dir.path().join("v.toml");
        let secret = dir.path().join("secret");
        std::fs::write(&toml, "a = \"1\"\nb = \"2\"").unwrap();
        std::fs::write(&secret, "s3").unwrap();
        let up = up(&[
            "--variable",
            &format!("@{}", toml.display()),
            "--variable",
            "a=x=y",
            "--variable",
            &format!("c=@{}", secret.display()),
        ]);
        let variables = up.variables().unwrap();
        assert_eq!(variables["a"], "x=y");
        assert_eq!(variables["b"], "2");
        assert_eq!(variables["c"], "s3");
        assert!(parse_variable("novalue").is_err());
        assert!(parse_variable("@file.txt").is_err());
    }

    #[test]
    fn followed_components() {
        assert!(up(&[]).shows_output_of("a"));
        assert!(!up(&["--quiet"]).shows_output_of("a"));
        assert!(!up(&["--follow", "b"]).shows_output_of("a"));
    }

    #[test]
    fn listen_addresses() {
        assert_eq!(
            parse_listen_addr("localhost:80").unwrap().to_string(),
            "127.0.0.1:80"
        );
        assert!(parse_listen_addr("80").is_err());
    }
}
