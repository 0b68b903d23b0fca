//! `spin:redis@3.0.0`: a component's Redis connections.
//!
//! As in Spin:
//! - `open` makes a new TCP connection each time. It has no time limit, and neither have commands.
//! - A broken connection stays broken: time limits and reconnecting are up to the component.
//! - Replies are flattened into one list. Errors have the text of the `redis` crate.
//! - An instance has at most 1024 connections; `[outbound_redis] max_connections` caps those of the
//!   whole host.
//!
//! Follows Spin's `crates/factor-outbound-redis/src/host.rs`.

mod reply;

use std::collections::HashMap;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig, ErrorKind, RedisError};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Accessor, HasData, Resource};

use super::bindings::redis::{
    Connection, Error, Host, HostConnection, HostConnectionWithStore, Payload, RedisParameter,
    RedisResult,
};
use super::outbound_policy::OutboundPolicy;
use crate::net::connection_cap::ConnectionCap;

/// Connections that one instance may have open.
const MAX_CONNECTIONS_PER_INSTANCE: usize = 1024;

/// The Redis connections of one instance.
pub(crate) struct Connections {
    policy: Arc<OutboundPolicy>,
    /// Shared by the whole host.
    cap: ConnectionCap,
    /// By the number of the component's handle.
    open: HashMap<u32, OpenConnection>,
    next_key: u32,
}

/// A connection and its permit under the cap. Both end when the component drops its handle, or with
/// the instance.
struct OpenConnection {
    connection: MultiplexedConnection,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connections {
    pub(crate) fn new(policy: Arc<OutboundPolicy>, cap: ConnectionCap) -> Self {
        Self {
            policy,
            cap,
            open: HashMap::new(),
            next_key: 0,
        }
    }

    fn push(&mut self, connection: OpenConnection) -> Result<Resource<Connection>, Error> {
        if self.open.len() >= MAX_CONNECTIONS_PER_INSTANCE {
            return Err(Error::TooManyConnections);
        }
        // A key is not reused at once, so that a stale handle does not name another connection.
        while self.open.contains_key(&self.next_key) {
            self.next_key = self.next_key.wrapping_add(1);
        }
        let key = self.next_key;
        self.next_key = key.wrapping_add(1);
        self.open.insert(key, connection);
        Ok(Resource::new_own(key))
    }
}

/// Selects [`Connections`] in the store for the generated code.
pub(crate) struct HasConnections;

impl HasData for HasConnections {
    type Data<'a> = &'a mut Connections;
}

fn other(error: RedisError) -> Error {
    Error::Other(error.to_string())
}

fn connection<T: Send>(
    accessor: &Accessor<T, HasConnections>,
    handle: &Resource<Connection>,
) -> Result<MultiplexedConnection, Error> {
    accessor.with(|mut access| {
        let open = access.get().open.get(&handle.rep());
        open.map(|open| open.connection.clone())
            .ok_or_else(|| Error::Other("could not find connection for resource".to_owned()))
    })
}

impl Host for Connections {}

impl HostConnection for Connections {}

impl<T: Send> HostConnectionWithStore<T> for HasConnections {
    async fn open(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        let (policy, cap) = accessor.with(|mut access| {
            let own = access.get();
            (own.policy.clone(), own.cap.clone())
        });
        let allowed = policy.allows(&address, "redis").await;
        if !allowed.map_err(Error::Other)? {
            return Err(Error::InvalidAddress);
        }
        // Before the address is parsed: in Spin an invalid address waits under the cap, too.
        let permit = cap.acquire().await;
        let permit = permit.map_err(|_| Error::TooManyConnections)?;
        let connection = redis::Client::open(address.as_str())
            .map_err(|_| Error::InvalidAddress)?
            .get_multiplexed_async_connection_with_config(&AsyncConnectionConfig::new())
            .await
            .map_err(other)?;
        accessor.with(|mut access| {
            access.get().push(OpenConnection {
                connection,
                _permit: permit,
            })
        })
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        channel: String,
        payload: Payload,
    ) -> Result<(), Error> {
        connection(accessor, &handle)?
            .publish(&channel, &payload)
            .await
            .map_err(other)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
    ) -> Result<Option<Payload>, Error> {
        let value = connection(accessor, &handle)?.get(&key).await;
        let value: Option<Vec<u8>> = value.map_err(other)?;
        reply::check_value(value.as_ref())?;
        Ok(value)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
        value: Payload,
    ) -> Result<(), Error> {
        connection(accessor, &handle)?
            .set(&key, &value)
            .await
            .map_err(other)
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
    ) -> Result<i64, Error> {
        connection(accessor, &handle)?
            .incr(&key, 1)
            .await
            .map_err(other)
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<u32, Error> {
        connection(accessor, &handle)?
            .del(&keys)
            .await
            .map_err(other)
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        // Spin uses the `type-error` case for this function only.
        connection(accessor, &handle)?
            .sadd(&key, &values)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::TypeError => Error::TypeError,
                _ => other(error),
            })
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        connection(accessor, &handle)?
            .smembers(&key)
            .await
            .map_err(other)
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        connection(accessor, &handle)?
            .srem(&key, &values)
            .await
            .map_err(other)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let mut connection = connection(accessor, &handle)?;
        let mut request = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => request.arg(number),
                RedisParameter::Binary(bytes) => request.arg(bytes),
            };
        }
        let reply = request.query_async(&mut connection).await.map_err(other)?;
        reply::flatten(reply)
    }

    async fn drop(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
    ) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().open.remove(&handle.rep()));
        Ok(())
    }
}
