//! Every route on one screen.

use std::borrow::Cow;
use std::pin::Pin;

use http::{HeaderValue, Method, StatusCode, header};

use super::handlers::{actions, cache, health, locks, users};
use super::problem::Problem;
use super::request::{PathParameters, Request};
use super::response::{Answer, empty};

type Answering = Pin<Box<dyn Future<Output = Result<Answer, Problem>>>>;
type Handler = fn(Request) -> Answering;

macro_rules! to {
    ($handler:path) => {
        |request| Box::pin($handler(request))
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

/// A user, read through the cache.
const USER: &str = "/api/v1/users/{user_id}";

/// An entry of the cache.
const ENTRY: &str = "/api/v1/users/{user_id}/cache/{key}";

/// What there is, and who answers it: the first whose template fits. Each answers with and without
/// a slash at its end, and never with a redirect.
#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    Route { template: "/api/v1/users/perform-action", methods: &[(Method::POST, to!(actions::perform))] },
    Route { template: "/api/v1/users/attempt-action", methods: &[(Method::POST, to!(actions::attempt))] },
    Route { template: USER, methods: &[(Method::GET, to!(users::get))] },
    Route { template: "/api/v1/users/{user_id}/lock", methods: LOCK },
    Route { template: "/api/v1/users/{user_id}/locks/{name}", methods: LOCK },
    Route { template: ENTRY, methods: CACHE },
    Route { template: "/healthz", methods: &[(Method::GET, to!(health::live))] },
    Route { template: "/readyz", methods: &[(Method::GET, to!(health::ready))] },
];

/// A path with its unreserved characters decoded, so that two spellings of one path are one path
/// (RFC 3986, section 6.2.2.2). What else is encoded stays so, and a `%` that encodes nothing
/// becomes `%25`: decoding the result gives what decoding the path itself gives.
pub(super) fn normalized(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut pieces = path.split('%');
    let mut normal = String::with_capacity(path.len());
    normal.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| is_hexadecimal(digits));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if is_unreserved(byte) => {
                normal.push(char::from(byte));
                normal.push_str(&piece[2..]);
            }
            Some(_) => {
                normal.push('%');
                normal.push_str(piece);
            }
            None => {
                normal.push_str("%25");
                normal.push_str(piece);
            }
        }
    }
    Cow::Owned(normal)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The route of a normalized path, and what is variable in it. The first that fits is it: there is
/// nothing to set up, which a fresh instance would do for each request.
pub(super) fn find(path: &str) -> Option<(&'static Route, PathParameters)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let fitting = |route: &'static Route| Some((route, route.parameters(path)?));
    ROUTES.iter().find_map(fitting)
}

impl Route {
    /// What is variable in a path; `None` if this is not its route. Only the last part of a path
    /// must not be empty.
    fn parameters(&self, path: &str) -> Option<PathParameters> {
        // Where nothing is variable, as in the paths of actions, there is nothing to take apart.
        if path == self.template && !path.contains('{') {
            return Some(PathParameters::default());
        }
        let (mut user_id, mut name) = (None, None);
        let mut parts = path.split('/');
        for expected in self.template.split('/') {
            let part = parts.next()?;
            match expected {
                "{user_id}" => user_id = Some(part),
                "{name}" | "{key}" => name = Some(part),
                _ if part == expected => {}
                _ => return None,
            }
        }
        (parts.next().is_none() && !path.ends_with('/')).then(|| PathParameters {
            user_id: user_id.map(str::to_owned),
            name: name.map(str::to_owned),
        })
    }

    /// The parameter with which a request does more than its method says. A GET with `compute`
    /// takes the task of computing, which a HEAD does not. A read of a user with `expire` decides
    /// for how long others are served what it stores.
    pub(super) fn decisive_parameter(&self, method: &Method) -> Option<&'static str> {
        match (method, self.template) {
            (&Method::GET, ENTRY) => Some("compute"),
            (&Method::GET | &Method::HEAD, USER) => Some("expire"),
            _ => None,
        }
    }

    /// Answers a request for this route.
    ///
    /// # Errors
    /// The handler's; 405 where the route does not take the method.
    pub(super) async fn answer(&self, request: Request) -> Result<Answer, Problem> {
        let served = match &request.method {
            &Method::HEAD => &Method::GET,
            method => method,
        };
        if let Some((_, handler)) = self.methods.iter().find(|(method, _)| method == served) {
            return handler(request).await;
        }
        let allow = self.allow()?;
        if request.method != Method::OPTIONS {
            return Err(Problem::method_not_allowed().with_header(header::ALLOW, allow));
        }
        let mut response = empty(StatusCode::NO_CONTENT);
        response.headers_mut().insert(header::ALLOW, allow);
        Ok(response.into())
    }

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
    use super::*;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    #[test]
    fn a_path_has_its_route_and_parameters() {
        let found = |path| {
            let (route, path) = find(path)?;
            Some((route.template, path.user_id, path.name))
        };
        let some = |text: &str| Some(text.to_owned());
        for (path, template, user_id, name) in [
            ("/healthz/", "/healthz", None, None),
            (
                "/api/v1/users/perform-action",
                "/api/v1/users/perform-action",
                None,
                None,
            ),
            (
                "/api/v1/users/7/",
                "/api/v1/users/{user_id}",
                some("7"),
                None,
            ),
            (
                "/api/v1/users/-7/lock/",
                "/api/v1/users/{user_id}/lock",
                some("-7"),
                None,
            ),
            (
                "/api/v1/users/7/locks/a%20b",
                "/api/v1/users/{user_id}/locks/{name}",
                some("7"),
                some("a%20b"),
            ),
            (
                "/api/v1/users/7/cache/k/",
                "/api/v1/users/{user_id}/cache/{key}",
                some("7"),
                some("k"),
            ),
            // The handler says what is wrong with a user that is empty.
            (
                "/api/v1/users//lock",
                "/api/v1/users/{user_id}/lock",
                some(""),
                None,
            ),
        ] {
            assert_eq!(found(path), Some((template, user_id, name)), "{path}");
        }
        assert_eq!(normalized("/%6Cock%2f%41%c3%A4"), "/lock%2fA%c3%A4");
        assert_eq!(normalized("/a%"), "/a%25");
        assert_eq!(normalized("/a%4"), "/a%254");
        assert_eq!(normalized("/a%+4"), "/a%25+4");
        assert_eq!(normalized("/%%34%31"), "/%2541");
        assert_eq!(normalized("/%2534"), "/%2534");
        assert_eq!(normalized("/%ää"), "/%25ää");
        for path in [
            "/",
            "/healthz/x",
            "/healthz//",
            "//healthz",
            "",
            "/api/v1/users",
            "/api/v1/users/",
            "/api/v1/users//",
            "/api/v1/users/7/locks",
            "/api/v1/users/7/locks//",
            "/api/v1/users/7/locks/a/b",
            "/api/v1/users/7/lock/a",
        ] {
            assert_eq!(found(path), None, "{path:?}");
        }
    }

    #[test]
    fn every_route_can_be_reached_and_has_parameters_that_are_known() {
        for route in ROUTES {
            let found = find(route.template).map(|(found, _)| found.template);
            assert_eq!(found, Some(route.template));
            let known = ["{user_id}", "{name}", "{key}"];
            let mut parts = route.template.split('/');
            assert!(parts.all(|part| !part.contains('{') || known.contains(&part)));
        }
    }

    proptest! {
        #[test]
        fn normalizing_changes_no_meaning(path in "(/|%|%25|%41|%2f|%c3|[0-9A-Fa-f]|\\PC){0,40}") {
            let normal = normalized(&path);
            let decoded = |path: &str| percent_decode_str(path).collect::<Vec<u8>>();
            prop_assert_eq!(decoded(&normal), decoded(&path));
            prop_assert_eq!(normalized(&normal), normal.clone());
        }
    }
}
