//! Application variables: `{{ templates }}`, and the providers of values.
//!
//! Each read of a variable asks the providers in their order, then takes the manifest's default.
//! The command line, the environment, a `.env` file and a static table do not change while the host
//! runs, as in Spin; Vault is asked each time. No value ever appears in a message.
//!
//! Follows Spin's `crates/expressions`.

mod provider;
mod template;
mod vault;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;

use super::manifest::App;
use super::variable_name::check_name;
use provider::ENV_PREFIX;
pub(crate) use provider::Provider;
pub(crate) use template::Template;
pub(crate) use vault::Vault;

/// Why a variable has no value. Each is the `error` case of the same name in the WIT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum VariableError {
    /// A variable cannot have this name.
    InvalidName(String),
    /// The component has no variable of that name.
    Undefined(String),
    /// A provider failed, or none has a value for a required variable.
    Provider(String),
}

impl fmt::Display for VariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::InvalidName(text) | Self::Undefined(text) | Self::Provider(text)) = self;
        f.write_str(text)
    }
}

/// Every variable of the application and of its components.
pub(crate) struct Variables {
    /// Name to default.
    defaults: BTreeMap<String, Option<String>>,
    /// Component id to name to template.
    components: BTreeMap<String, BTreeMap<String, Template>>,
    /// In the order they are asked.
    providers: Vec<Provider>,
}

impl Variables {
    /// Fails on a malformed template, on a template with an unknown variable, and on a required
    /// variable that no provider has.
    pub(crate) fn new(app: &App, providers: Vec<Provider>) -> Result<Self> {
        let defaults: BTreeMap<_, _> = app
            .variables
            .iter()
            .map(|(name, variable)| (name.clone(), variable.default.clone()))
            .collect();
        let mut components = BTreeMap::new();
        for (id, component) in &app.components {
            let mut templates = BTreeMap::new();
            for (name, text) in &component.variables {
                check_name(name)
                    .map_err(|reason| anyhow::anyhow!("[component.{id}.variables] {reason}"))?;
                let template = Template::parse(text)
                    .with_context(|| format!("[component.{id}.variables] {name}"))?;
                for variable in template.variables() {
                    ensure!(
                        defaults.contains_key(variable),
                        "[component.{id}.variables] {name} uses variable {variable:?}, \
                         which [variables] lacks"
                    );
                }
                templates.insert(name.clone(), template);
            }
            components.insert(id.clone(), templates);
        }
        let variables = Self {
            defaults,
            components,
            providers,
        };
        variables.check_required()?;
        Ok(variables)
    }

    /// Names all missing variables in one message, as Spin's `VariablesValidatorHook`.
    fn check_required(&self) -> Result<()> {
        let provided = |name: &str| {
            self.providers
                .iter()
                .any(|provider| provider.may_have(name))
        };
        let missing: Vec<&str> = self
            .defaults
            .iter()
            .filter(|(name, default)| default.is_none() && !provided(name))
            .map(|(name, _)| name.as_str())
            .collect();
        ensure!(
            missing.is_empty(),
            "required variable(s) without a value: {}; \
             set {ENV_PREFIX}_<NAME> or pass --variable <name>=<value>",
            missing.join(", ")
        );
        Ok(())
    }

    /// The value of a component's variable.
    pub(crate) async fn get(&self, component: &str, name: &str) -> Result<String, VariableError> {
        check_name(name).map_err(VariableError::InvalidName)?;
        let template = self
            .components
            .get(component)
            .and_then(|templates| templates.get(name))
            .ok_or_else(|| {
                VariableError::Undefined(format!("no variable for {component:?}.{name:?}"))
            })?;
        self.expand(template).await
    }

    /// The names and values of all variables of a component.
    pub(crate) async fn all(
        &self,
        component: &str,
    ) -> Result<Vec<(String, String)>, VariableError> {
        let templates = self.components.get(component).into_iter().flatten();
        let values = templates.map(|(name, template)| async move {
            let value = self.expand(template).await?;
            Ok((name.clone(), value))
        });
        // Concurrently, as in Spin: each value may cost a round trip to a provider.
        try_join_all(values).await
    }

    /// Expands a template with the current values.
    pub(crate) async fn expand(&self, template: &Template) -> Result<String, VariableError> {
        let mut values = BTreeMap::new();
        for name in template.variables() {
            values.insert(name, self.value(name).await?);
        }
        template.expand(|name| {
            let value = values.get(name).cloned();
            value.ok_or_else(|| VariableError::InvalidName(name.to_owned()))
        })
    }

    /// Expands a template with the manifest's defaults; `None` if a variable in it has no default.
    pub(crate) fn expand_defaults(&self, template: &Template) -> Option<String> {
        template
            .expand(|name| self.defaults.get(name).cloned().flatten().ok_or(()))
            .ok()
    }

    async fn value(&self, name: &str) -> Result<String, VariableError> {
        for provider in &self.providers {
            if let Some(value) = provider
                .get(name)
                .await
                .map_err(|error| VariableError::Provider(error.to_string()))?
            {
                return Ok(value);
            }
        }
        match self.defaults.get(name) {
            Some(Some(default)) => Ok(default.clone()),
            Some(None) => Err(VariableError::Provider(format!(
                "no provider resolved required variable {name:?}"
            ))),
            None => Err(VariableError::InvalidName(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use std::path::Path;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        application = { name = "app" }
        [variables]
        host = { default = "localhost" }
        password = { required = true, secret = true }
        [[trigger.http]]
        route = "/"
        component = "app"
        [component.app]
        source = "app.wasm"
        [component.app.variables]
        plain = "literal"
        address = "redis://{{host}}:{{ password }}/"
    "#;

    fn table(values: &[(&str, &str)]) -> Provider {
        Provider::Static(
            values
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    fn variables(manifest: &str, providers: Vec<Provider>) -> Result<Variables> {
        Variables::new(&App::parse(manifest, Path::new(".")).unwrap(), providers)
    }

    #[tokio::test]
    async fn the_first_provider_wins_and_defaults_come_last() {
        let all = variables(
            MANIFEST,
            vec![
                table(&[("password", "one")]),
                table(&[("password", "two"), ("host", "h")]),
            ],
        );
        assert_eq!(
            all.unwrap().get("app", "address").await,
            Ok("redis://h:one/".into())
        );
        let least = variables(MANIFEST, vec![table(&[("password", "p")])]).unwrap();
        assert_eq!(
            least.get("app", "address").await,
            Ok("redis://localhost:p/".into())
        );
        assert_eq!(least.get("app", "plain").await, Ok("literal".into()));
    }

    #[tokio::test]
    async fn all_variables_of_a_component_or_an_error() {
        let all = variables(MANIFEST, vec![table(&[("password", "p")])]).unwrap();
        let address = ("address".to_owned(), "redis://localhost:p/".to_owned());
        let plain = ("plain".to_owned(), "literal".to_owned());
        assert_eq!(all.all("app").await, Ok(vec![address, plain]));
        assert_eq!(all.all("other").await, Ok(vec![]));
        // As if the provider had lost the value since the start.
        let lost = Variables {
            providers: vec![],
            ..all
        };
        assert!(matches!(
            lost.all("app").await,
            Err(VariableError::Provider(_))
        ));
    }

    #[tokio::test]
    async fn errors() {
        let message = variables(MANIFEST, vec![]).err().unwrap().to_string();
        assert!(message.contains("password"), "{message}");
        let all = variables(MANIFEST, vec![table(&[("password", "p")])]).unwrap();
        assert!(matches!(
            all.get("app", "host").await,
            Err(VariableError::Undefined(_))
        ));
        assert!(matches!(
            all.get("other", "host").await,
            Err(VariableError::Undefined(_))
        ));
        assert!(matches!(
            all.get("app", "No").await,
            Err(VariableError::InvalidName(_))
        ));
        let unknown = MANIFEST.replace("{{host}}", "{{hots}}");
        let message = variables(&unknown, vec![table(&[("password", "p")])])
            .err()
            .unwrap()
            .to_string();
        assert!(message.contains("hots"), "{message}");
    }
}
