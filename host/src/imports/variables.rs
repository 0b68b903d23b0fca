//! `spin:variables@3.0.0` and `wasi:config/store`: a component's variables.
//!
//! Follows Spin's `crates/factor-variables/src/host.rs`.

use std::sync::Arc;

use wasmtime::component::{Accessor, HasData};

use super::bindings::store;
use super::bindings::variables::{Error, Host, HostWithStore};
use crate::config::variables::{VariableError, Variables};

/// The variables of one component.
pub(crate) struct ComponentVariables {
    component: String,
    variables: Arc<Variables>,
}

impl ComponentVariables {
    pub(crate) fn new(component: String, variables: Arc<Variables>) -> Self {
        Self {
            component,
            variables,
        }
    }
}

/// Selects [`ComponentVariables`] in the store for the generated code.
pub(crate) struct HasVariables;

impl HasData for HasVariables {
    type Data<'a> = &'a mut ComponentVariables;
}

impl Host for ComponentVariables {}

impl<T: Send> HostWithStore<T> for HasVariables {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        let (variables, component) = accessor.with(|mut access| {
            let own = access.get();
            (own.variables.clone(), own.component.clone())
        });
        let value = variables.get(&component, &name).await;
        value.map_err(|error| match error {
            VariableError::InvalidName(text) => Error::InvalidName(text),
            VariableError::Undefined(text) => Error::Undefined(text),
            VariableError::Provider(text) => Error::Provider(text),
        })
    }
}

impl store::Host for ComponentVariables {
    async fn get(&mut self, name: String) -> Result<Option<String>, store::Error> {
        match self.variables.get(&self.component, &name).await {
            Ok(value) => Ok(Some(value)),
            Err(VariableError::InvalidName(_) | VariableError::Undefined(_)) => Ok(None),
            Err(VariableError::Provider(text)) => Err(store::Error::Upstream(text)),
        }
    }

    async fn get_all(&mut self) -> Result<Vec<(String, String)>, store::Error> {
        let values = self.variables.all(&self.component).await;
        values.map_err(|error| match error {
            VariableError::InvalidName(text) | VariableError::Undefined(text) => {
                store::Error::Io(text)
            }
            VariableError::Provider(text) => store::Error::Upstream(text),
        })
    }
}
