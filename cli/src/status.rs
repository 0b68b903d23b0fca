//! `status` and `break`: a lock, seen from outside.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use crate::client::{CALL_LIMIT, Call, Client, LOCK_OWNER};
use crate::exit::{self, Code, Failure, Reach, printable};
use crate::service::{Service, owner, segment};

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
/// ends its command. The request is sent once: if its answer is lost, look with `edgelatch status`
/// before you try again, or the next holder may lose the lock.
#[derive(Args)]
pub(crate) struct Break {
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    lock: LockName,
    /// Who breaks it and why: the service's log tells it. 1 to 128 visible ASCII characters and
    /// spaces
    #[arg(long, value_name = "TEXT", env = "EDGELATCH_OWNER", value_parser = owner)]
    owner: Option<String>,
}

/// Which lock of the user.
#[derive(Args)]
pub(crate) struct LockName {
    /// The name of one of the user's named locks. Without it, the lock that actions take
    #[arg(long, value_parser = segment)]
    pub(crate) name: Option<String>,
}

impl Status {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let client = Client::of_lock(&self.service, self.lock.name.as_deref())?;
        let call = Call {
            method: "GET",
            limit: CALL_LIMIT,
            ..Call::default()
        };
        let answer = client.ask(&call, &[200])?;
        let Some(lock) = answer.json().filter(|lock| lock["held"].is_boolean()) else {
            return Err(client.stranger());
        };
        if self.json {
            exit::print(printable_json(&answer.body).as_bytes())
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
            headers: self
                .owner
                .iter()
                .map(|owner| (LOCK_OWNER, &**owner))
                .collect(),
            limit: CALL_LIMIT,
            ..Call::default()
        };
        client.order(&call).map_err(|failure| {
            if failure.code != Code::Unavailable || failure.tells_outcome {
                return failure;
            }
            let became = match failure.reach {
                Reach::Unsent => "nothing was sent, so nothing was broken",
                Reach::Sent | Reach::Answered => {
                    "it may have been broken: look with `edgelatch status` before you try again"
                }
            };
            Failure::new(failure.code, format!("{}; {became}", failure.why))
        })
    }
}

/// JSON that says the same and controls no terminal, as a line. Only its strings may have control
/// characters that are not white space.
fn printable_json(json: &[u8]) -> String {
    let mut line = String::new();
    for character in String::from_utf8_lossy(json).chars() {
        match character {
            '\t' | '\r' | '\n' => line.push(' '),
            character if exit::is_control(character) => {
                // Writing to a string does not fail.
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
            character => line.push(character),
        }
    }
    line.push('\n');
    line
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
        line("owner", &printable(owner));
    }
    if held {
        match lock["expires_in"].as_f64() {
            Some(seconds) => {
                // The service counts milliseconds.
                let seconds = (seconds * 1000.0).round() / 1000.0;
                line("expires in", &format_args!("{seconds} s"));
            }
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
            "held": true, "fencing_token": 17, "expires_in": 7.544_000_000_000_000_5,
            "owner": "billing run 17 on host-a", "waiting": 2,
        });
        assert_eq!(
            describe(&held),
            "state:         held\n\
             owner:         billing run 17 on host-a\n\
             expires in:    7.544 s\n\
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
