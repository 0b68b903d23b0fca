//! A fresh instance for each request, whose Redis wants TLS and a password: a connection is then a
//! handshake and a login.

use crate::cases::starts::{FreshInstanceTimes, instances};
use crate::plan::Bench;
use crate::secured::SecuredRedis;
use crate::server::StartOptions;

/// Measures both components.
///
/// # Errors
/// If there is no such Redis, or one does not serve.
pub(crate) async fn secured(bench: &Bench) -> anyhow::Result<Vec<FreshInstanceTimes>> {
    let SecuredRedis {
        redis,
        login,
        tls_port,
        folder: _folder,
    } = SecuredRedis::start(&bench.programs).await?;
    let own = Bench {
        redis,
        programs: bench.programs.clone(),
        plan: bench.plan,
    };
    let options = StartOptions {
        redis_port: tls_port,
        secured: Some(&login),
        ..StartOptions::default()
    };
    instances(&own, options).await
}
