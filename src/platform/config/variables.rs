//! The names of Spin's variables, and their texts before they are validated. **A new variable begins
//! here.** Its default is in `spin.toml`.

use std::fmt::Display;

use futures::future::{join, join_all};
use spin_sdk::variables;

use bindings::wasi::config::store::{self, get_all};

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

const API_TOKEN: &str = "api_token";
const API_TOKEN_PREVIOUS: &str = "api_token_previous";

/// How often two tokens that are equal are read again before they are taken to be what somebody
/// set.
const MAX_REREADS: usize = 3;

/// All variables in the order of [`VARIABLES`]; `None` for one that `spin.toml` does not give to
/// the component.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Variables(Vec<Option<String>>);

impl Variables {
    /// Reads them in one call of the host instead of one for each, and one more where there is a
    /// token. The whole instance waits for it, so this is for an instance that has nothing else to
    /// do yet.
    ///
    /// # Errors
    /// A sentence for the log, without any value.
    pub(crate) async fn read_at_once() -> Result<Self, String> {
        let all = get_all().map_err(|error| format!("the variables could not be read: {error}"))?;
        let mut variables = Self(vec![None; VARIABLES.len()]);
        for (name, value) in all {
            variables.set(&name, Some(value));
        }
        if variables
            .get(API_TOKEN)
            .is_some_and(|token| !token.is_empty())
        {
            let known = variables.get(API_TOKEN).map(str::to_owned);
            let get = async |name: &str| store::get(name).map_err(|error| unreadable(name, &error));
            variables.set_tokens(tokens(Some(known), get).await?);
        }
        Ok(variables)
    }

    /// Reads them while other requests go on: a provider may be far away.
    ///
    /// # Errors
    /// A sentence for the log, without any value.
    pub(crate) async fn read() -> Result<Self, String> {
        // All at once but for the tokens: each read may be a round trip.
        let reads = VARIABLES.iter().map(|name| async move {
            match *name {
                API_TOKEN | API_TOKEN_PREVIOUS => Ok(None),
                name => value_of(name).await,
            }
        });
        let tokens = tokens(None, async |name: &str| value_of(name).await);
        let (all, tokens) = join(join_all(reads), tokens).await;
        let mut variables = Self(all.into_iter().collect::<Result<_, _>>()?);
        variables.set_tokens(tokens?);
        Ok(variables)
    }

    /// The variable of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(index_of(name)?)?.as_deref()
    }

    fn set(&mut self, name: &str, value: Option<String>) {
        if let Some(variable) = index_of(name).and_then(|index| self.0.get_mut(index)) {
            *variable = value;
        }
    }

    fn set_tokens(&mut self, [token, previous]: [Option<String>; 2]) {
        self.set(API_TOKEN, token);
        self.set(API_TOKEN_PREVIOUS, previous);
    }
}

/// Reads `api_token` and `api_token_previous`, which a provider may change in one step. The second
/// is asked for when the first is known, so it is never older: a token that became the previous one
/// is in one of the two. It may be in both, if the step was in between; then both are read again.
///
/// `known` is the first, if it is read already.
async fn tokens(
    known: Option<Option<String>>,
    get: impl AsyncFn(&str) -> Result<Option<String>, String>,
) -> Result<[Option<String>; 2], String> {
    let mut token = match known {
        Some(token) => token,
        None => get(API_TOKEN).await?,
    };
    let mut previous = get(API_TOKEN_PREVIOUS).await?;
    for _ in 0..MAX_REREADS {
        let is_set = token.as_ref().is_some_and(|token| !token.is_empty());
        if !is_set || token != previous {
            break;
        }
        token = get(API_TOKEN).await?;
        previous = get(API_TOKEN_PREVIOUS).await?;
    }
    Ok([token, previous])
}

/// Asks for one variable.
async fn value_of(name: &str) -> Result<Option<String>, String> {
    match variables::get(name).await {
        Ok(value) => Ok(Some(value)),
        Err(variables::Error::Undefined(_)) => Ok(None),
        Err(error) => Err(unreadable(name, &error)),
    }
}

fn unreadable(name: &str, error: &impl Display) -> String {
    format!("variable `{name}` could not be read: {error}")
}

fn index_of(name: &str) -> Option<usize> {
    VARIABLES.binary_search(&name).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::cell::RefCell;

    use futures::FutureExt as _;

    use super::*;

    /// The tokens that are read while these values are answered in turn.
    fn tokens_of(known: Option<&str>, answers: &[(&str, &str)]) -> [String; 2] {
        let left = RefCell::new(answers.iter());
        let get = async |name: &str| match left.borrow_mut().next() {
            Some((expected, value)) if *expected == name => Ok(Some((*value).to_owned())),
            _ => Err(format!("{name} is not asked for now")),
        };
        let known = known.map(|token| Some(token.to_owned()));
        let tokens = tokens(known, get).now_or_never().unwrap().unwrap();
        assert_eq!(left.into_inner().len(), 0);
        tokens.map(Option::unwrap_or_default)
    }

    #[test]
    fn tokens_that_are_equal_are_read_again_a_few_times() {
        let (token, previous) = (API_TOKEN, API_TOKEN_PREVIOUS);
        let answers = [(token, "new"), (previous, "old")];
        assert_eq!(tokens_of(None, &answers), ["new", "old"]);
        assert_eq!(tokens_of(Some("new"), &answers[1..]), ["new", "old"]);
        let torn = [(token, "old"), (previous, "old")];
        let read_again = [torn, answers].concat();
        assert_eq!(tokens_of(None, &read_again), ["new", "old"]);
        assert_eq!(tokens_of(None, &torn.repeat(4)), ["old", "old"]);
        let none = [(token, ""), (previous, "")];
        assert_eq!(tokens_of(None, &none), ["", ""]);
    }

    #[test]
    fn they_are_in_order() {
        assert!(VARIABLES.is_sorted());
    }
}
