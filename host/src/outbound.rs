//! The gate that every outbound connection of a component goes through: its `allowed_outbound_hosts`.
//!
//! Follows Spin's `OutboundAllowedHosts` and the handler for disallowed hosts in `crates/runtime-factors`.

use crate::allowed_hosts::{AllowedHosts, Destination};

/// The allowed hosts of one component, shared by its instances.
pub(crate) struct Gate {
    component: String,
    /// An error when the variables' values do not make a list; every connection is then refused with it.
    hosts: Result<AllowedHosts, String>,
}

impl Gate {
    pub(crate) fn new(component: &str, hosts: Result<AllowedHosts, String>) -> Self {
        Self {
            component: component.to_owned(),
            hosts,
        }
    }

    /// Whether the component may connect to `address`, a URL or, without a scheme, one with `scheme`. A refusal
    /// is told on stderr, since the component only learns that the address is not valid.
    pub(crate) fn allows(&self, address: &str, scheme: &str) -> Result<bool, String> {
        // The address itself is not shown: it may hold a password.
        let Ok(destination) = Destination::parse(address, scheme) else {
            eprintln!(
                "Component {:?} asked for a {scheme} address that cannot be read.",
                self.component
            );
            return Ok(false);
        };
        let allowed = self.hosts()?.allows(&destination);
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
    pub(crate) fn allows_itself(&self) -> Result<bool, String> {
        let allowed = self.hosts()?.allows_itself();
        if !allowed {
            eprintln!(
                "Component {:?} may not send requests to its own application. To allow it, add \"http://self\" to its allowed_outbound_hosts in spin.toml.",
                self.component
            );
        }
        Ok(allowed)
    }

    fn hosts(&self) -> Result<&AllowedHosts, String> {
        self.hosts.as_ref().map_err(|error| {
            eprintln!(
                "Component {:?} may not connect anywhere: {error}",
                self.component
            );
            error.clone()
        })
    }
}
