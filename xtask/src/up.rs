//! `cargo xtask up`: builds and serves.

use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Args;
use url::Url;

use crate::build::Spans;
use crate::redis::PrivateRedis;
use crate::service::Runner;
use crate::{build, signals, step};

/// Build it and serve it.
#[derive(Args)]
pub(crate) struct Up {
    /// Where to serve
    #[arg(long, default_value = "127.0.0.1:9001", env = "SPIN_HTTP_LISTEN_ADDR")]
    listen: String,
    /// Use this Redis, redis[s]://[user:password@]host[:port][/db], instead of starting one
    #[arg(long)]
    redis: Option<Url>,
    /// What runs the components [default: `spin` from SPIN_BIN or PATH if it is 4.1 or newer, else
    /// the host of this project]
    #[arg(long, value_enum)]
    runner: Option<Runner>,
    /// With spans of its own (experimental in Spin). OTEL_EXPORTER_OTLP_ENDPOINT says where they go
    #[arg(long)]
    otel: bool,
}

impl Up {
    /// Runs until the service ends, or until Ctrl-C or SIGTERM.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let runner = self.runner.unwrap_or_else(Runner::choose);
        announce(runner);
        let mut command = runner.command(&self.listen, Spans::wanted(self.otel))?;
        let redis = self.choose_redis(&mut command)?;
        let service = self.serve(&mut command);
        // The service ends before its Redis.
        drop(redis);
        service
    }

    /// Makes the service use a Redis. Returns the one that was started for it.
    fn choose_redis(&self, command: &mut Command) -> anyhow::Result<Option<PrivateRedis>> {
        if let Some(url) = &self.redis {
            for (variable, value) in variables_of(url)? {
                command.env(format!("SPIN_VARIABLE_{variable}"), value);
            }
            let host = url.host_str().unwrap_or_default();
            step::say(format_args!("using the Redis at {host}"));
            return Ok(None);
        }
        if let Some(setting) = setting_of_redis(|name| std::env::var(name).ok()) {
            step::say(format_args!("using the Redis of {setting}"));
            return Ok(None);
        }
        let redis = PrivateRedis::start()?;
        redis.serve_to(command);
        Ok(Some(redis))
    }

    fn serve(&self, command: &mut Command) -> anyhow::Result<()> {
        signals::pass_on()?;
        step::say(format_args!(
            "serving at http://{0} - try: \
             curl -X POST 'http://{0}/api/v1/users/perform-action/?user_id=42' - Ctrl-C stops",
            self.listen
        ));
        let ended = signals::run(command)?;
        if !ended.status.success() && !ended.asked_to {
            bail!("the service ended: see its output above");
        }
        step::say("stopped");
        Ok(())
    }
}

/// Says what has to be built before it serves, and how long that takes.
fn announce(runner: Runner) {
    let host_is_missing = matches!(runner, Runner::Host) && !build::host_binary().is_file();
    let (what, how_long) = match (host_is_missing, build::components_are_built()) {
        (true, _) => ("the components and the host that runs them", "six minutes"),
        (false, false) => ("the components", "a minute"),
        (false, true) => return,
    };
    step::say(format_args!(
        "the first run builds {what}, which takes {how_long} on two cores; later runs start \
         within seconds"
    ));
}

/// What the environment says of the Redis to use: its host or its port. The other one has its
/// default then.
fn setting_of_redis(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    ["SPIN_VARIABLE_REDIS_HOST", "SPIN_VARIABLE_REDIS_PORT"]
        .into_iter()
        .find_map(|name| variable(name).map(|value| format!("{name}={value}")))
}

/// The variables for a Redis URL.
fn variables_of(url: &Url) -> anyhow::Result<Vec<(&'static str, String)>> {
    let tls = match url.scheme() {
        "redis" => "false",
        "rediss" => "true",
        other => bail!("--redis takes redis://... or rediss://..., not {other}://..."),
    };
    let host = url
        .host_str()
        .context("--redis needs a host: redis://host[:port][/db]")?;
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .map(String::from)
    };
    let db = match url.path().trim_matches('/') {
        "" => "0",
        db => db,
    };
    Ok(vec![
        ("REDIS_TLS", tls.to_owned()),
        ("REDIS_HOST", host.to_owned()),
        ("REDIS_PORT", url.port().unwrap_or(6379).to_string()),
        ("REDIS_DB", db.to_owned()),
        ("REDIS_USER", decode(url.username())?),
        ("REDIS_PWD", decode(url.password().unwrap_or_default())?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(url: &str, name: &str) -> Option<String> {
        let url = Url::parse(url).ok()?;
        let variables = variables_of(&url).ok()?;
        let found = variables
            .into_iter()
            .find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value)
    }

    #[test]
    fn a_port_in_the_environment_names_the_redis_too() {
        let only = |set: &'static str| {
            setting_of_redis(move |name| name.ends_with(set).then(|| "6390".to_owned()))
        };
        let port = only("REDIS_PORT");
        assert_eq!(port.as_deref(), Some("SPIN_VARIABLE_REDIS_PORT=6390"));
        assert!(only("REDIS_HOST").is_some());
        assert_eq!(only("REDIS_PWD"), None);
    }

    #[test]
    fn a_redis_url_becomes_variables() {
        let url = "rediss://an%40na:p%2Fw@db.example:6380/3";
        for (name, value) in [
            ("REDIS_TLS", "true"),
            ("REDIS_HOST", "db.example"),
            ("REDIS_PORT", "6380"),
            ("REDIS_DB", "3"),
            ("REDIS_USER", "an@na"),
            ("REDIS_PWD", "p/w"),
        ] {
            assert_eq!(variable(url, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(variable("redis://h", "REDIS_PORT").as_deref(), Some("6379"));
        assert_eq!(variable("http://h", "REDIS_PORT"), None);
    }
}
