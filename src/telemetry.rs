//! Spans: what a request did and how long each part of it took, for the host to export (`wasi:otel/tracing`), with the feature
//! `otel`. Without it there is nothing of this: the types are empty, and so are their functions.
//!
//! Owns what stands in a span, and what may not: the same as in a line of the log ([`crate::log`]). How spans are sampled, gathered
//! and sent is the host's business. The interface is experimental: Spin 4.1 has it only with `--experimental-wasi-otel`.

#[cfg(any(feature = "otel", test))]
mod context;
#[cfg(not(feature = "otel"))]
mod nothing;
#[cfg(feature = "otel")]
mod spans;

#[cfg(not(feature = "otel"))]
pub(crate) use nothing::{Span, Trace};
#[cfg(feature = "otel")]
pub(crate) use spans::{Span, Trace};

use crate::lock::{Acquisition, FencingToken, Grant};

/// What waiting for a lock can come to.
pub(crate) trait Acquired {
    /// The number of the acquisition; `None` where the lock was not needed.
    #[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "for spans alone"))]
    fn fencing_token(&self) -> Option<FencingToken>;
}

impl Acquired for Acquisition {
    fn fencing_token(&self) -> Option<FencingToken> {
        match self {
            Self::Lease(lease) => Some(lease.fencing_token()),
            Self::Done(_) => None,
        }
    }
}

impl Acquired for Grant {
    fn fencing_token(&self) -> Option<FencingToken> {
        Some(self.fencing_token)
    }
}
