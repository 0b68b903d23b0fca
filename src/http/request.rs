//! Reading requests: parameters of the path and the query, headers, bodies.

pub(crate) mod body;
pub mod conditions;
mod context;
pub(crate) mod headers;
pub(crate) mod query;
pub(crate) mod values;

use http::{HeaderMap, Method, Uri};

use super::problem::Problem;
use super::wasi::RequestBody;
pub(crate) use context::RequestContext;
use query::Query;

/// A request, as handlers get it.
pub(crate) struct Request {
    /// The settings and connections, on the account of this request.
    pub(crate) context: RequestContext,
    /// The method: a HEAD has the handler of GET.
    pub(crate) method: Method,
    /// The URI, as it was sent.
    pub(crate) uri: Uri,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The route, with its parameters in braces.
    pub(crate) route: &'static str,
    /// What the route found in the path.
    pub(crate) path: PathParameters,
    /// The body, not read yet.
    pub(crate) body: RequestBody,
}

/// The variable segments of a path, still percent-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PathParameters {
    /// `{user_id}`.
    pub(crate) user_id: Option<String>,
    /// `{name}` of a lock or `{key}` of a cache entry.
    pub(crate) name: Option<String>,
}

/// For a route that has no query parameters.
///
/// # Errors
/// 422 that lists those that are there.
pub fn refuse_parameters(uri: &Uri) -> Result<(), Problem> {
    Query::new(uri).finish(Some(()))
}
