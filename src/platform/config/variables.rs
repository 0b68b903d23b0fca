//! The texts of Spin's variables, before anything is made of them.

use futures::future::join_all;
use spin_sdk::variables;

use super::VARIABLES;
use bindings::wasi::config::store::get_all;

/// What the SDK does not have, generated.
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "configuration", generate_all });
}

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
            let index = VARIABLES.iter().position(|variable| *variable == name);
            if let Some(variable) = index.and_then(|index| variables.get_mut(index)) {
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
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let index = VARIABLES.iter().position(|variable| *variable == name)?;
        self.0.get(index).cloned().flatten()
    }
}
