//! Every route on one screen.

use std::pin::Pin;

use http::{HeaderValue, Method, StatusCode, header};

use crate::answer::{self, Response};
use crate::handlers::{actions, cache, health, locks, users};
use crate::problem::Problem;
use crate::request::RequestContext;
use crate::wasi_http::Request;

type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>>>>;
type Handler = fn(RequestContext, Request) -> Answer;

macro_rules! to {
    ($handler:path) => {
        |context, request| Box::pin($handler(context, request))
    };
}

/// A path, and who answers which method. `HEAD` is answered as `GET` is, and `OPTIONS` of itself.
pub(crate) struct Route {
    /// The path, with its parameters in braces.
    pub(crate) template: &'static str,
    methods: &'static [(Method, Handler)],
}

const LOCK: &[(Method, Handler)] = &[
    (Method::GET, to!(locks::inspect)),
    (Method::POST, to!(locks::acquire)),
    (Method::PUT, to!(locks::renew)),
    (Method::DELETE, to!(locks::release)),
];
const CACHE: &[(Method, Handler)] = &[
    (Method::GET, to!(cache::get)),
    (Method::PUT, to!(cache::put)),
    (Method::PATCH, to!(cache::patch)),
    (Method::DELETE, to!(cache::delete)),
];

/// What there is, and who answers it. Each answers with and without a slash at its end, and never with a redirect.
#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    Route { template: "/api/v1/users/perform-action", methods: &[(Method::POST, to!(actions::perform))] },
    Route { template: "/api/v1/users/attempt-action", methods: &[(Method::POST, to!(actions::attempt))] },
    Route { template: "/api/v1/users/{user_id}", methods: &[(Method::GET, to!(users::get))] },
    Route { template: "/api/v1/users/{user_id}/lock", methods: LOCK },
    Route { template: "/api/v1/users/{user_id}/locks/{name}", methods: LOCK },
    Route { template: "/api/v1/users/{user_id}/cache/{key}", methods: CACHE },
    Route { template: "/healthz", methods: &[(Method::GET, to!(health::live))] },
    Route { template: "/readyz", methods: &[(Method::GET, to!(health::ready))] },
];

/// Finds routes by their paths.
pub(crate) struct Router(matchit::Router<&'static Route>);

impl Router {
    /// All routes.
    ///
    /// # Errors
    /// Where two of them are the same, which a test excludes.
    pub(crate) fn new() -> Result<Self, matchit::InsertError> {
        let mut router = matchit::Router::new();
        for route in ROUTES {
            router.insert(route.template, route)?;
        }
        Ok(Self(router))
    }

    /// The route of a path.
    pub(crate) fn find(&self, path: &str) -> Option<&'static Route> {
        let path = path.strip_suffix('/').unwrap_or(path);
        Some(self.0.at(path).ok()?.value)
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        context: RequestContext,
        request: Request,
    ) -> Result<Response, Problem> {
        let Some(route) = self.find(request.uri().path()) else {
            return Err(Problem::not_found());
        };
        let method = match *request.method() {
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        let mut methods = route.methods.iter();
        if let Some((_, handler)) = methods.find(|(served, _)| served == method) {
            return handler(context, request).await;
        }
        let mut response = match *method {
            Method::OPTIONS => answer::empty(StatusCode::NO_CONTENT),
            _ => Problem::method_not_allowed().into_response(),
        };
        response.headers_mut().insert(header::ALLOW, route.allow()?);
        Ok(response)
    }
}

impl Route {
    /// The methods of the route (RFC 9110, section 10.2.1).
    fn allow(&self) -> Result<HeaderValue, Problem> {
        let mut all = Vec::new();
        for (method, _) in self.methods {
            all.push(method.as_str());
            if *method == Method::GET {
                all.push("HEAD");
            }
        }
        all.push("OPTIONS");
        HeaderValue::try_from(all.join(", ")).map_err(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_path_is_of_its_route() {
        let router = Router::new().unwrap();
        let route = |path| router.find(path).map(|route| route.template);
        assert_eq!(route("/healthz/"), Some("/healthz"));
        let action = "/api/v1/users/perform-action";
        assert_eq!(route(action), Some(action));
        assert_eq!(route("/api/v1/users/7/"), Some("/api/v1/users/{user_id}"));
        let lock = "/api/v1/users/{user_id}/locks/{name}";
        assert_eq!(route("/api/v1/users/7/locks/a"), Some(lock));
        // The handler says what is wrong with a user that is empty.
        let empty = "/api/v1/users/{user_id}/lock";
        assert_eq!(route("/api/v1/users//lock"), Some(empty));
        for path in ["/", "/healthz/x", "/healthz//", "//healthz", ""] {
            assert_eq!(route(path), None, "{path:?}");
        }
    }
}
