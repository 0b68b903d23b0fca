//! The gate that every outbound connection of a component goes through: its `allowed_outbound_hosts`.
//!
//! Follows Spin's `OutboundAllowedHosts` and the handler for disallowed hosts in `crates/runtime-factors`.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::allowed_hosts::{AllowedHosts, Destination};
use crate::variables::Variables;

/// The allowed hosts of one instance. Its variables' values are those of its first connection.
pub(crate) struct Gate {
    component: String,
    entries: Arc<[String]>,
    variables: Arc<Variables>,
    /// An error when the variables' values do not make a list; every connection is then refused with it.
    hosts: OnceCell<Result<AllowedHosts, String>>,
}

impl Gate {
    /// The gate of a new instance, with the entries of its component's `allowed_outbound_hosts`.
    pub(crate) fn new(component: &str, entries: Arc<[String]>, variables: Arc<Variables>) -> Self {
        Self {
            component: component.to_owned(),
            entries,
            variables,
            hosts: OnceCell::new(),
        }
    }

    /// Whether the component may connect to `address`, a URL or, without a scheme, one with `scheme`. A refusal
    /// is told on stderr, since the component only learns that the address is not valid.
    pub(crate) async fn allows(&self, address: &str, scheme: &str) -> Result<bool, String> {
        // The address itself is not shown: it may hold a password.
        let Ok(destination) = Destination::parse(address, scheme) else {
            eprintln!(
                "Component {:?} asked for a {scheme} address that cannot be read.",
                self.component
            );
            return Ok(false);
        };
        let allowed = self.hosts().await?.allows(&destination);
        if !allowed {
            let pattern = destination.pattern();
            eprintln!(
                "Component {:?} may not connect to {pattern}. To allow it, add \"{pattern}\" to its allowed_outbound_hosts in spin.toml.",
                self.component
            );
        }
        Ok(allowed)
    }

    /// Whether the component may send requests to its own application.
    pub(crate) async fn allows_itself(&self) -> Result<bool, String> {
        let allowed = self.hosts().await?.allows_itself();
        if !allowed {
            eprintln!(
                "Component {:?} may not send requests to its own application. To allow it, add \"http://self\" to its allowed_outbound_hosts in spin.toml.",
                self.component
            );
        }
        Ok(allowed)
    }

    async fn hosts(&self) -> Result<&AllowedHosts, String> {
        let resolve = async || {
            let hosts = AllowedHosts::resolve(&self.entries, &self.variables).await;
            hosts.map_err(|error| format!("{error:#}"))
        };
        let hosts = self.hosts.get_or_init(resolve).await;
        hosts.as_ref().map_err(|error| {
            eprintln!(
                "Component {:?} may not connect anywhere: {error}",
                self.component
            );
            error.clone()
        })
    }
}
