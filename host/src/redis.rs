//! `spin:redis@3.0.0`: a component's Redis connections.
//!
//! As in Spin: `open` makes a new TCP connection each time, without a limit on the time to connect or to answer,
//! and one that has died stays dead; the component sees to time and reconnecting. Replies are flattened into one
//! list, and whatever the server or the network answers arrives as the `redis` crate's own text. An instance holds
//! at most 1024 connections; `[outbound_redis] max_connections` caps those of the whole host.
//!
//! Follows Spin's `crates/factor-outbound-redis/src/host.rs`.

mod reply;

use std::collections::HashMap;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig, ErrorKind, RedisError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Accessor, HasData, Resource};

use crate::bindings::redis::{
    Connection, Error, Host, HostConnection, HostConnectionWithStore, Payload, RedisParameter,
    RedisResult,
};
use crate::outbound::Gate;

/// Connections that one instance may have open.
const MAX_CONNECTIONS_PER_INSTANCE: usize = 1024;

/// What an instance needs to talk to Redis.
pub(crate) struct Connections {
    gate: Arc<Gate>,
    /// Shared by the whole host; `None` is no cap.
    permits: Option<Arc<Semaphore>>,
    open: HashMap<u32, Held>,
    next_key: u32,
}

/// An open connection and its place under the host's cap, given back when the component drops the connection
/// or the instance ends.
struct Held {
    connection: MultiplexedConnection,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connections {
    pub(crate) fn new(gate: Arc<Gate>, permits: Option<Arc<Semaphore>>) -> Self {
        Self {
            gate,
            permits,
            open: HashMap::new(),
            next_key: 0,
        }
    }

    fn push(&mut self, held: Held) -> Result<Resource<Connection>, Error> {
        if self.open.len() >= MAX_CONNECTIONS_PER_INSTANCE {
            return Err(Error::TooManyConnections);
        }
        // Keys are not reused at once: a stale handle then names nothing instead of another connection.
        while self.open.contains_key(&self.next_key) {
            self.next_key = self.next_key.wrapping_add(1);
        }
        let key = self.next_key;
        self.next_key = key.wrapping_add(1);
        self.open.insert(key, held);
        Ok(Resource::new_own(key))
    }
}

/// Selects [`Connections`] in the store for the generated code.
pub(crate) struct HasConnections;

impl HasData for HasConnections {
    type Data<'a> = &'a mut Connections;
}

fn other(error: &RedisError) -> Error {
    Error::Other(error.to_string())
}

fn connection<T: Send>(
    accessor: &Accessor<T, HasConnections>,
    handle: &Resource<Connection>,
) -> Result<MultiplexedConnection, Error> {
    accessor.with(|mut access| {
        let held = access.get().open.get(&handle.rep());
        held.map(|held| held.connection.clone())
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
        let (gate, permits) = accessor.with(|mut access| {
            let state = access.get();
            (state.gate.clone(), state.permits.clone())
        });
        if !gate.allows(&address, "redis").await.map_err(Error::Other)? {
            return Err(Error::InvalidAddress);
        }
        // The order matters: at the cap `open` waits, and an address that the crate cannot read waits too.
        let permit = match permits {
            Some(permits) => Some(
                permits
                    .acquire_owned()
                    .await
                    .map_err(|_| Error::TooManyConnections)?,
            ),
            None => None,
        };
        let connection = redis::Client::open(address.as_str())
            .map_err(|_| Error::InvalidAddress)?
            .get_multiplexed_async_connection_with_config(&AsyncConnectionConfig::new())
            .await
            .map_err(|error| other(&error))?;
        accessor.with(|mut access| {
            access.get().push(Held {
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
        let mut connection = connection(accessor, &handle)?;
        connection
            .publish(&channel, &payload)
            .await
            .map_err(|error| other(&error))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
    ) -> Result<Option<Payload>, Error> {
        let mut connection = connection(accessor, &handle)?;
        let value: Option<Vec<u8>> = connection.get(&key).await.map_err(|error| other(&error))?;
        reply::check_value(value.as_ref())?;
        Ok(value)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
        value: Payload,
    ) -> Result<(), Error> {
        let mut connection = connection(accessor, &handle)?;
        connection
            .set(&key, &value)
            .await
            .map_err(|error| other(&error))
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
    ) -> Result<i64, Error> {
        let mut connection = connection(accessor, &handle)?;
        connection
            .incr(&key, 1)
            .await
            .map_err(|error| other(&error))
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = connection(accessor, &handle)?;
        connection.del(&keys).await.map_err(|error| other(&error))
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = connection(accessor, &handle)?;
        // The only function for which Spin uses the `type-error` case.
        connection
            .sadd(&key, &values)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::TypeError => Error::TypeError,
                _ => other(&error),
            })
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        let mut connection = connection(accessor, &handle)?;
        connection
            .smembers(&key)
            .await
            .map_err(|error| other(&error))
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = connection(accessor, &handle)?;
        connection
            .srem(&key, &values)
            .await
            .map_err(|error| other(&error))
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
        let reply = request
            .query_async(&mut connection)
            .await
            .map_err(|error| other(&error))?;
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
