//! Reads variables one by one and says of each that is refused what it accepts.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::address::{is_host, is_nodes, is_origin};
use super::{Fault, NO_ORIGIN, Origin};
use crate::platform::request_deadline::{SPARE, kept_free};
use crate::types::seconds::{display_seconds, parse_seconds};
use crate::types::ttl::{MAX_TTL_MS, MIN_TTL_MS, Ttl};
use crate::types::user_id::UserIds;

const PREFIX: &str = "at most 64 visible ASCII characters without `{` and `}`";
const HOST: &str = "a host name, an IPv4 address or an IPv6 address in brackets";
const NODES: &str = "empty, or one pattern of `allowed_outbound_hosts` with the scheme `redis` or `rediss`, such as `redis://10.0.7.0/24:6379`";
const ACTION_PATH: &str = "a path that begins with `/`, in visible ASCII without `?` and `#`, whose only braces are {user_id} and {action}";
const USER_PATH: &str = "a path that begins with `/`, in visible ASCII without `?` and `#`, whose only braces are {user_id}";
const ORIGIN: &str = "`http://host[:port]` or `https://host[:port]` without a path (`http://origin.invalid` means none)";

const TOKEN: &str = "16 to 1024 visible ASCII characters, or empty for none";
const LOG_KEY: &str = "at most 1024 visible ASCII characters, or empty for no users in the log";

/// The longest `request_limit`, in milliseconds.
const LONGEST_REQUEST_MS: u64 = 3_600_000;

/// What callers present. `None` where the variable is empty.
pub(super) struct Tokens {
    pub(super) api: Option<String>,
    pub(super) api_previous: Option<String>,
    pub(super) admin: Option<String>,
}

/// Reads variable after variable and collects the faults. A refused variable yields a stand-in that
/// is never used, since any fault refuses the whole.
pub(super) struct Reader<F> {
    lookup: F,
    faults: Vec<Fault>,
}

impl<'a, F: Fn(&'static str) -> Option<&'a str>> Reader<F> {
    pub(super) fn new(lookup: F) -> Self {
        Self {
            lookup,
            faults: Vec::new(),
        }
    }

    /// `value`, which was read with this reader.
    ///
    /// # Errors
    /// The faults, if there was any on the way.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() {
            Ok(value)
        } else {
            Err(self.faults)
        }
    }

    pub(super) fn key_prefix(&mut self) -> String {
        self.checked("key_prefix", PREFIX, is_prefix).to_owned()
    }

    pub(super) fn user_ids(&mut self) -> UserIds {
        let text = self.text("user_ids");
        UserIds::named(text).unwrap_or_else(|| {
            self.refuse("user_ids", "`integer`, `uuid` or `name`");
            UserIds::default()
        })
    }

    fn text(&mut self, variable: &'static str) -> &'a str {
        match (self.lookup)(variable) {
            Some(text) => text,
            None => {
                self.refuse(variable, "declared in spin.toml");
                ""
            }
        }
    }

    fn refuse(&mut self, variable: &'static str, accepts: impl Into<String>) {
        // The first fault of a variable says enough; a variable that is missing fails every later
        // check too.
        if self.faults.iter().all(|fault| fault.variable != variable) {
            self.faults.push(Fault {
                variable,
                accepts: accepts.into(),
            });
        }
    }

    fn checked(
        &mut self,
        variable: &'static str,
        accepts: &str,
        holds: fn(&str) -> bool,
    ) -> &'a str {
        let text = self.text(variable);
        if !holds(text) {
            self.refuse(variable, accepts);
        }
        text
    }

    pub(super) fn seconds(&mut self, variable: &'static str, min_ms: u64, max_ms: u64) -> Duration {
        let text = self.text(variable);
        parse_seconds(text, min_ms, max_ms).unwrap_or_else(|_| {
            let (min, max) = (display_seconds(min_ms), display_seconds(max_ms));
            self.refuse(variable, format!("seconds from {min} to {max}"));
            Duration::from_millis(max_ms)
        })
    }

    /// `None` where it is 0. Else waits, which end two calls to Redis before it, have 0.5 s at
    /// least.
    pub(super) fn request_limit(&mut self, redis_timeout: Duration) -> Option<Duration> {
        let text = self.text("request_limit");
        let least = kept_free(redis_timeout) + SPARE;
        let limit = parse_seconds(text, 0, LONGEST_REQUEST_MS);
        match limit
            .ok()
            .filter(|limit| limit.is_zero() || *limit >= least)
        {
            Some(limit) => (!limit.is_zero()).then_some(limit),
            None => {
                let least = display_seconds(least.as_millis() as u64);
                let most = display_seconds(LONGEST_REQUEST_MS);
                let accepts = format!(
                    "0 for none, or seconds from {least}, twice `redis_timeout` and 1, to {most}"
                );
                self.refuse("request_limit", accepts);
                None
            }
        }
    }

    pub(super) fn ttl(&mut self, variable: &'static str) -> Ttl {
        let duration = self.seconds(variable, MIN_TTL_MS, MAX_TTL_MS);
        // `seconds` has kept the bounds of a time to live, so the stand-in is never taken.
        Ttl::new(duration).unwrap_or_else(|| Ttl::of_millis(MAX_TTL_MS))
    }

    pub(super) fn integer(&mut self, variable: &'static str, min: u64, max: u64) -> u64 {
        let text = self.text(variable);
        let canonical = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u64>() {
            Ok(number) if canonical && (min..=max).contains(&number) => number,
            _ => {
                self.refuse(variable, format!("a whole number from {min} to {max}"));
                max
            }
        }
    }

    pub(super) fn boolean(&mut self, variable: &'static str) -> bool {
        match self.text(variable) {
            "true" => true,
            "false" => false,
            _ => {
                self.refuse(variable, "`true` or `false`");
                false
            }
        }
    }

    /// `redis[s]://[user[:password]@]host:port/db`, user and password percent-encoded (RFC 3986,
    /// section 3.2.1): they may hold any character.
    pub(super) fn redis_address(&mut self) -> String {
        let scheme = if self.boolean("redis_tls") {
            "rediss"
        } else {
            "redis"
        };
        let host = self.checked("redis_host", HOST, is_host);
        let port = self.integer("redis_port", 1, 65_535);
        let db = self.integer("redis_db", 0, i64::MAX as u64);
        // Only the host uses it, but refuses every connection if it is wrong.
        self.checked("redis_nodes", NODES, is_nodes);
        let user = percent_encode(self.text("redis_user"));
        let password = percent_encode(self.text("redis_pwd"));
        let login = match (user.as_str(), password.as_str()) {
            ("", "") => String::new(),
            // A user without a password is one that ACL calls `nopass`: Redis takes any. With an
            // empty one, Spin's client would not log in at all, and be the default user.
            (user, "") => format!("{user}:nopass@"),
            (user, password) => format!("{user}:{password}@"),
        };
        format!("{scheme}://{login}{host}:{port}/{db}")
    }

    pub(super) fn log_key(&mut self) -> Option<String> {
        let key = self.checked("log_key", LOG_KEY, |text| {
            text.len() <= 1024 && is_visible(text)
        });
        (!key.is_empty()).then(|| key.to_owned())
    }

    /// The tokens, no two of them equal, and none without the first.
    pub(super) fn tokens(&mut self) -> Tokens {
        let tokens = Tokens {
            api: self.token("api_token"),
            api_previous: self.token("api_token_previous"),
            admin: self.token("admin_token"),
        };
        if self.boolean("require_token") && tokens.api.is_none() {
            self.refuse("api_token", "set, since `require_token` is `true`");
        }
        let (api, previous) = (&tokens.api, &tokens.api_previous);
        for (variable, token, others) in [
            ("api_token_previous", previous, [api, &None]),
            ("admin_token", &tokens.admin, [api, previous]),
        ] {
            if token.is_some() && api.is_none() {
                self.refuse(variable, "empty, since `api_token` is");
            }
            if token.is_some() && others.contains(&token) {
                self.refuse(variable, "another than the other tokens");
            }
        }
        tokens
    }

    /// `None` where it is empty.
    fn token(&mut self, variable: &'static str) -> Option<String> {
        let token = self.checked(variable, TOKEN, |text| {
            text.is_empty() || (16..=1024).contains(&text.len()) && is_visible(text)
        });
        (!token.is_empty()).then(|| token.to_owned())
    }

    pub(super) fn origin(&mut self) -> Option<Origin> {
        let base = self.text("origin");
        // Scheme and host are the same in either case (RFC 3986, section 6.2.2.1).
        let base = base.strip_suffix('/').unwrap_or(base);
        let action_path = self.checked("origin_action_path", ACTION_PATH, is_action_path);
        let user_path = self.checked("origin_user_path", USER_PATH, is_user_path);
        let origin = Origin {
            base: base.to_ascii_lowercase(),
            action_path: action_path.to_owned(),
            user_path: user_path.to_owned(),
            timeout: self.seconds("origin_timeout", 1, 3_600_000),
            passthrough: self.boolean("origin_passthrough"),
            invalidate: self.boolean("origin_invalidate"),
            stale_while_revalidate: self.seconds("stale_while_revalidate", 0, MAX_TTL_MS),
            stale_if_error: self.seconds("stale_if_error", 0, MAX_TTL_MS),
            negative_expire: self.ttl("negative_expire"),
        };
        if origin.base == NO_ORIGIN {
            return None;
        }
        if !is_origin(&origin.base) {
            self.refuse("origin", ORIGIN);
        }
        Some(origin)
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_prefix(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'{' && byte != b'}')
}

fn is_action_path(text: &str) -> bool {
    is_path(&text.replace("{user_id}", "").replace("{action}", ""), text)
}

fn is_user_path(text: &str) -> bool {
    is_path(&text.replace("{user_id}", ""), text)
}

/// `plain` is `text` without its placeholders.
fn is_path(plain: &str, text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && plain
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"{}?#\"<>\\^`|".contains(&byte))
}

/// Everything but RFC 3986's unreserved characters.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, NOT_UNRESERVED).to_string()
}
