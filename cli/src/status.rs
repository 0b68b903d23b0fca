//! `status` and `break`: a lock, seen from outside.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use crate::client::{CALL_LIMIT, Call, Client};
use crate::exit::{self, Code, Failure};
use crate::service::Service;

/// Tell whether a lock is held, by whom, and until when
#[derive(Args)]
pub(crate) struct Status {
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    lock: LockName,
    /// Print the service's JSON
    #[arg(long)]
    json: bool,
}

/// Take a lock from whoever holds it. Needs the service's `admin_token`
///
/// Whoever held it cannot renew it or commit under it any more. An `edgelatch lock` that held it
/// ends its command.
#[derive(Args)]
pub(crate) struct Break {
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    lock: LockName,
}

/// Which lock of the user.
#[derive(Args)]
pub(crate) struct LockName {
    /// The name of one of the user's named locks. Without it, the lock that actions take
    #[arg(long)]
    pub(crate) name: Option<String>,
}

impl Status {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let client = Client::of_lock(&self.service, self.lock.name.as_deref())?;
        let answer = client.ask(&Call {
            method: "GET",
            limit: CALL_LIMIT,
            ..Call::default()
        })?;
        let Some(lock) = answer.json().filter(|lock| lock["held"].is_boolean()) else {
            let why = format!("{}: not an answer of edgelatch", client.url());
            return Err(Failure::new(Code::Unavailable, why));
        };
        if self.json {
            let mut json = answer.body;
            json.push(b'\n');
            exit::print(&json)
        } else {
            exit::print(describe(&lock).as_bytes())
        }
    }
}

impl Break {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let client = Client::of_lock(&self.service, self.lock.name.as_deref())?;
        let call = Call {
            method: "DELETE",
            query: "?force=true".to_owned(),
            limit: CALL_LIMIT,
            ..Call::default()
        };
        client.ask(&call).map(drop)
    }
}

/// A lock for people: one fact a line.
fn describe(lock: &Value) -> String {
    let held = lock["held"] == true;
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:<15}{value}", format!("{name}:"));
    };
    line("state", &if held { "held" } else { "free" });
    if let Some(owner) = lock["owner"].as_str() {
        line("owner", &owner);
    }
    if held {
        match lock["expires_in"].as_f64() {
            Some(seconds) => line("expires in", &format_args!("{seconds} s")),
            None => line("expires in", &"never, unless its holder gives it back"),
        }
        match lock["fencing_token"].as_u64() {
            Some(number) => line("fencing token", &number),
            None => line(
                "fencing token",
                &"none: the holder is not a client of edgelatch",
            ),
        }
    }
    match lock["waiting"].as_u64() {
        Some(waiting) if waiting > 0 => line("waiting", &waiting),
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lock_is_described_line_by_line() {
        let held = json!({
            "held": true, "fencing_token": 17, "expires_in": 7.25,
            "owner": "billing run 17 on host-a", "waiting": 2,
        });
        assert_eq!(
            describe(&held),
            "state:         held\n\
             owner:         billing run 17 on host-a\n\
             expires in:    7.25 s\n\
             fencing token: 17\n\
             waiting:       2\n"
        );
        let free = describe(&json!({"held": false, "waiting": 0}));
        assert_eq!(free, "state:         free\n");
        let foreign = describe(&json!({"held": true, "fencing_token": null, "expires_in": null}));
        assert!(
            foreign.contains("never") && foreign.contains("none"),
            "{foreign}"
        );
    }
}
