//! Spin variables, read and validated in one place.
//!
//! [`Config::from_variables`] is pure: texts in, settings or a list of faults out. A fault names
//! the variable and what it accepts, never the value, which may be a secret.

mod address;
mod reader;
mod variables;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::types::ttl::{MAX_TTL_MS, MAX_WAIT_MS, MIN_TTL_MS, Ttl};
use crate::types::user_id::UserIds;
use reader::Reader;
pub(crate) use variables::Variables;

/// The origin that stands for none: `allowed_outbound_hosts` takes no empty entry, and `.invalid`
/// never resolves (RFC 2606, section 2).
pub(crate) const NO_ORIGIN: &str = "http://origin.invalid";

/// Validated settings of one component instance.
#[derive(Clone)]
pub struct Config {
    /// Where Redis is and how to log in. Holds the password.
    pub(crate) redis_address: String,
    /// How long one call to Redis may take, connecting included.
    pub(crate) redis_timeout: Duration,
    /// Put before every key.
    pub key_prefix: String,
    /// What names users.
    pub user_ids: UserIds,
    /// How long an action waits for its lock where the request does not say.
    pub lock_timeout: Duration,
    /// How long a lock lives without renewal where the request does not say.
    pub lock_expire: Ttl,
    /// How long the lock of one action is renewed, counted from its acquisition.
    pub max_hold: Duration,
    /// How long a cache entry lives where nothing else is said.
    pub cache_expire: Ttl,
    /// The greatest request body, in bytes; also the greatest answer of the origin.
    pub(crate) max_body_bytes: usize,
    /// How long a request may take, if there is a limit: more than two calls to Redis.
    pub(crate) request_limit: Option<Duration>,
    /// How long the answer to an idempotent request is kept.
    pub(crate) idempotency_expire: Ttl,
    /// What callers must present as bearer token, if anything.
    pub(crate) api_token: Option<String>,
    /// What they may present instead, while `api_token` is being changed.
    pub(crate) api_token_previous: Option<String>,
    /// What they may present instead, and must for what is an administrator's.
    pub(crate) admin_token: Option<String>,
    /// The backend that actions are forwarded to and that users are read from, if any.
    pub(crate) origin: Option<Arc<Origin>>,
    /// Whether each request has a line in the log.
    pub(crate) log_requests: bool,
    /// What users are hashed with in the log; without it they are left out.
    pub(crate) log_key: Option<String>,
}

/// The backend behind this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `scheme://host[:port]`, without a slash at the end.
    pub(crate) base: String,
    /// The path of an action, with `{user_id}` and `{action}` still in it.
    pub(crate) action_path: String,
    /// The path of a user, with `{user_id}` still in it.
    pub(crate) user_path: String,
    /// How long the origin may take for its whole answer.
    pub(crate) timeout: Duration,
    /// Whether its failures (4xx and 5xx) are answered as they are, and not as problems of this
    /// service.
    pub(crate) passthrough: bool,
    /// Whether an action makes what was read of its user stale.
    pub(crate) invalidate: bool,
    /// How long what was read is served after its expiry while it is fetched anew, where the origin
    /// does not say.
    pub(crate) stale_while_revalidate: Duration,
    /// How long it is served after its expiry while the origin is down, where the origin does not
    /// say.
    pub(crate) stale_if_error: Duration,
    /// How long it is remembered that the origin knows no such user, or failed.
    pub(crate) negative_expire: Ttl,
}

/// One variable that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The variable.
    pub(crate) variable: &'static str,
    /// What it accepts.
    pub(crate) accepts: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "variable `{}` must be {}", self.variable, self.accepts)
    }
}

impl Config {
    /// Validates the variables that `lookup` returns by name.
    ///
    /// # Errors
    /// All faults at once, so that a deployment is put right in one go.
    pub(crate) fn from_variables<'a>(
        lookup: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(lookup);
        let tokens = reader.tokens();
        let redis_timeout = reader.seconds("redis_timeout", 10, 60_000);
        let config = Self {
            redis_address: reader.redis_address(),
            redis_timeout,
            key_prefix: reader.key_prefix(),
            user_ids: reader.user_ids(),
            lock_timeout: reader.seconds("lock_timeout", 0, MAX_WAIT_MS),
            lock_expire: reader.ttl("lock_expire"),
            max_hold: reader.seconds("max_hold", MIN_TTL_MS, MAX_TTL_MS),
            cache_expire: reader.ttl("cache_expire"),
            request_limit: reader.request_limit(redis_timeout),
            max_body_bytes: reader.integer("max_body_bytes", 1, 64 << 20) as usize,
            idempotency_expire: reader.ttl("idempotency_expire"),
            api_token: tokens.api,
            api_token_previous: tokens.api_previous,
            admin_token: tokens.admin,
            origin: reader.origin().map(Arc::new),
            log_requests: reader.boolean("log_requests"),
            log_key: reader.log_key(),
        };
        reader.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::variables::VARIABLES;
    use super::*;
    use proptest::prelude::*;

    fn default_of(variable: &str) -> Option<&'static str> {
        Some(match variable {
            "redis_host" => "127.0.0.1",
            "redis_port" => "6379",
            "redis_user" | "redis_pwd" | "key_prefix" | "log_key" => "",
            "api_token" | "api_token_previous" | "admin_token" => "",
            "redis_db" => "0",
            "redis_nodes" => "redis://nodes.invalid:6379",
            "redis_tls" | "log_requests" | "require_token" => "false",
            "redis_timeout" => "1",
            "user_ids" => "integer",
            "lock_timeout" => "5",
            "lock_expire" => "10",
            "max_hold" => "60",
            "cache_expire" => "3600",
            "max_body_bytes" => "1048576",
            "request_limit" => "0",
            "idempotency_expire" => "86400",
            "origin" => NO_ORIGIN,
            "origin_action_path" => "/users/{user_id}/{action}",
            "origin_user_path" => "/users/{user_id}",
            "origin_timeout" => "30",
            "origin_passthrough" => "false",
            "origin_invalidate" => "true",
            "stale_while_revalidate" => "30",
            "stale_if_error" => "300",
            "negative_expire" => "5",
            _ => return None,
        })
    }

    fn with(changes: &[(&str, &str)]) -> Result<Config, Vec<Fault>> {
        Config::from_variables(|name| {
            let changed = changes.iter().find(|(variable, _)| *variable == name);
            changed
                .map(|(_, value)| *value)
                .or_else(|| default_of(name))
        })
    }

    fn address(changes: &[(&str, &str)]) -> Option<String> {
        with(changes).ok().map(|config| config.redis_address)
    }

    #[test]
    fn the_address_is_built_from_its_parts() {
        assert_eq!(address(&[]).as_deref(), Some("redis://127.0.0.1:6379/0"));
        assert_eq!(
            address(&[
                ("redis_tls", "true"),
                ("redis_host", "[::1]"),
                ("redis_user", "an@na"),
                ("redis_pwd", "p:/ä%"),
                ("redis_db", "3")
            ])
            .as_deref(),
            Some("rediss://an%40na:p%3A%2F%C3%A4%25@[::1]:6379/3")
        );
        assert_eq!(
            address(&[("redis_pwd", "x")]).as_deref(),
            Some("redis://:x@127.0.0.1:6379/0")
        );
        assert_eq!(
            address(&[("redis_user", "anna")]).as_deref(),
            Some("redis://anna:nopass@127.0.0.1:6379/0")
        );
    }

    #[test]
    fn every_bad_value_is_refused_by_name_and_never_shown() {
        for (variable, bad) in [
            ("redis_host", "a/b"),
            ("redis_host", ""),
            ("redis_port", "0"),
            ("redis_port", "65536"),
            ("redis_port", "+1"),
            ("redis_db", "-1"),
            ("redis_nodes", "redis://h:1/0"),
            ("redis_tls", "yes"),
            ("redis_timeout", "0"),
            ("key_prefix", "a{b"),
            ("user_ids", "email"),
            ("user_ids", ""),
            ("user_ids", "UUID"),
            ("lock_timeout", "61"),
            ("lock_expire", "0"),
            ("max_hold", "soon"),
            ("cache_expire", "2592001"),
            ("max_body_bytes", "0"),
            ("request_limit", "2.999"),
            ("request_limit", "3600.001"),
            ("request_limit", "-1"),
            ("api_token", "se cret"),
            ("api_token", "fifteen-letters"),
            ("require_token", "yes"),
            ("log_requests", "1"),
            ("log_key", "se cret"),
            ("origin", "ftp://x"),
            ("origin", "http://x/path"),
            ("origin", "http://u@x"),
            ("origin", "http://x:0"),
            ("origin", "http://x:abc"),
            ("origin", "http://x:9//"),
            ("origin", ""),
            ("origin_action_path", "users"),
            ("origin_action_path", "/{user}"),
            ("origin_action_path", "//other"),
            ("origin_user_path", "/{action}"),
            ("origin_timeout", "-1"),
            ("origin_passthrough", "yes"),
            ("origin_invalidate", "1"),
            ("stale_while_revalidate", "-1"),
            ("stale_if_error", "2592001"),
            ("negative_expire", "0"),
        ] {
            let faults = with(&[(variable, bad)]).err().unwrap_or_default();
            assert_eq!(faults.len(), 1, "{variable}={bad}");
            assert_eq!(faults[0].variable, variable);
            assert!(bad.len() < 4 || !faults[0].to_string().contains(bad));
        }
    }

    #[test]
    fn tokens_are_long_and_differ_and_need_the_first() {
        const A: &str = "sixteen-letters-";
        const B: &str = "sixteen-letters.";
        let refused = |changes: &[(&str, &str)]| {
            let faults = with(changes).err().unwrap_or_default();
            faults.first().map(|fault| fault.variable)
        };
        for other in ["api_token_previous", "admin_token"] {
            assert_eq!(refused(&[("api_token", A), (other, B)]), None);
            assert_eq!(refused(&[("api_token", A), (other, A)]), Some(other));
            assert_eq!(refused(&[("api_token", A), (other, "short")]), Some(other));
            assert_eq!(refused(&[(other, B)]), Some(other));
        }
        let same = [
            ("api_token", A),
            ("api_token_previous", B),
            ("admin_token", B),
        ];
        assert_eq!(refused(&same), Some("admin_token"));
        assert_eq!(refused(&[("require_token", "true")]), Some("api_token"));
        assert_eq!(
            refused(&[("require_token", "true"), ("api_token", A)]),
            None
        );
    }

    #[test]
    fn all_faults_are_listed_at_once_and_once_each() {
        let faults = with(&[("redis_port", "x"), ("lock_expire", "x")]).err();
        assert_eq!(faults.map(|faults| faults.len()), Some(2));
        let faults = Config::from_variables(|_| None).err().unwrap_or_default();
        assert_eq!(faults.len(), VARIABLES.len());
    }

    #[test]
    fn the_invalid_host_means_no_origin() {
        assert_eq!(with(&[]).ok().and_then(|config| config.origin), None);
        let slash = with(&[("origin", "http://127.0.0.1:8000/")]).ok();
        let base = slash
            .and_then(|config| config.origin)
            .map(|origin| origin.base.clone());
        assert_eq!(base.as_deref(), Some("http://127.0.0.1:8000"));
        assert!(with(&[("origin", "HTTP://Origin.Invalid")]).is_ok_and(|c| c.origin.is_none()));
    }

    proptest! {
        #[test]
        fn any_login_makes_an_address_of_plain_characters(user in "\\PC{0,30}", password in "\\PC{0,30}") {
            let address = address(&[("redis_user", &user), ("redis_pwd", &password)]).unwrap_or_default();
            let after = address.strip_prefix("redis://").unwrap_or_default();
            let host = after.rsplit_once('@').map_or(after, |(_, host)| host);
            prop_assert_eq!(host, "127.0.0.1:6379/0");
            prop_assert!(address.bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn no_value_makes_it_panic(value in "\\PC{0,60}", index in 0..VARIABLES.len()) {
            let _ = with(&[(VARIABLES[index], &value)]);
        }
    }
}
