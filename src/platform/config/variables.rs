//! The names of Spin's variables, and their texts before they are validated. **A new variable begins
//! here.** Its default is in `spin.toml`.

use futures::future::join_all;
use spin_sdk::variables;

use bindings::wasi::config::store::get_all;

/// What the SDK does not have, generated.
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "configuration", generate_all });
}

/// Every variable that the component reads, as `spin.toml` names them, in alphabetical order.
pub(crate) const VARIABLES: &[&str] = &[
    "admin_token",
    "api_token",
    "api_token_previous",
    "cache_expire",
    "idempotency_expire",
    "key_prefix",
    "lock_expire",
    "lock_timeout",
    "log_key",
    "log_requests",
    "max_body_bytes",
    "max_hold",
    "negative_expire",
    "origin",
    "origin_action_path",
    "origin_invalidate",
    "origin_passthrough",
    "origin_timeout",
    "origin_user_path",
    "redis_db",
    "redis_host",
    "redis_nodes",
    "redis_port",
    "redis_pwd",
    "redis_timeout",
    "redis_tls",
    "redis_user",
    "request_limit",
    "require_token",
    "stale_if_error",
    "stale_while_revalidate",
    "user_ids",
];

/// All variables in the order of [`VARIABLES`]; `None` for one that `spin.toml` does not give to
/// the component.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Variables(Vec<Option<String>>);

impl Variables {
    /// Reads them in one call of the host instead of one for each. The whole instance waits for it,
    /// so this is for an instance that has nothing else to do yet.
    ///
    /// # Errors
    /// A sentence for the log, without any value.
    pub(crate) fn read_at_once() -> Result<Self, String> {
        let all = get_all().map_err(|error| format!("the variables could not be read: {error}"))?;
        let mut variables = vec![None; VARIABLES.len()];
        for (name, value) in all {
            if let Some(variable) = index_of(&name).and_then(|index| variables.get_mut(index)) {
                *variable = Some(value);
            }
        }
        Ok(Self(variables))
    }

    /// Reads them while other requests go on: a provider may be far away.
    ///
    /// # Errors
    /// A sentence for the log, without any value.
    pub(crate) async fn read() -> Result<Self, String> {
        // All at once: each read may be a round trip.
        let reads = VARIABLES.iter().map(|name| async move {
            match variables::get(name).await {
                Ok(value) => Ok(Some(value)),
                Err(variables::Error::Undefined(_)) => Ok(None),
                Err(error) => Err(format!("variable `{name}` could not be read: {error}")),
            }
        });
        join_all(reads)
            .await
            .into_iter()
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The variable of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(index_of(name)?)?.as_deref()
    }
}

fn index_of(name: &str) -> Option<usize> {
    VARIABLES.binary_search(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_in_order() {
        assert!(VARIABLES.is_sorted());
    }
}
