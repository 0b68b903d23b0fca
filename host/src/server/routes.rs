//! Finds the route of a path.
//!
//! An exact route wins over a wildcard, and a longer prefix over a shorter one. `/...` at the end
//! matches any path below, and `:name` matches one segment. Of two triggers with the same route the
//! later one is used, as in Spin.
//!
//! Follows Spin's `crates/routes/src/lib.rs`, with the same crate `routefinder`.

use anyhow::{Result, anyhow};
use routefinder::{Captures, RouteSpec};

use crate::config::manifest::{Target, Trigger};

/// Paths that start with this are the host's own.
pub(super) const HOST_PATHS: &str = "/.well-known/spin/";

/// The application's routes.
pub(crate) struct Routes(routefinder::Router<Route>);

/// One route.
struct Route {
    /// As in the manifest.
    raw: String,
    /// With a slash at the start and none at the end (Spin's "based route").
    based: String,
    target: Target,
}

/// A path and its route.
pub(super) struct RouteMatch<'routes, 'path> {
    route: &'routes Route,
    captures: Captures<'routes, 'path>,
    path: &'path str,
}

impl Routes {
    /// The routes of `triggers`. Reports on stderr the routes that no request can reach.
    pub(crate) fn new(triggers: &[Trigger]) -> Result<Self> {
        let mut routes: Vec<Route> = Vec::new();
        for trigger in triggers {
            let Some(raw) = &trigger.route else { continue };
            let absolute = if raw.starts_with('/') {
                raw.clone()
            } else {
                format!("/{raw}")
            };
            let based = absolute.strip_suffix('/').unwrap_or(&absolute).to_owned();
            if based.starts_with(HOST_PATHS) {
                eprintln!(
                    "Route {raw:?} is never reached: paths under {HOST_PATHS} are the host's own."
                );
            }
            let route = Route {
                raw: raw.clone(),
                based,
                target: trigger.target.clone(),
            };
            match routes.iter_mut().find(|other| other.raw == *raw) {
                Some(other) => {
                    eprintln!("Route {raw:?} is defined twice: the later one is used.");
                    *other = route;
                }
                None => routes.push(route),
            }
        }
        let mut router = routefinder::Router::new();
        for route in routes {
            let pattern = match route.based.strip_suffix("/...") {
                Some(prefix) => format!("{prefix}/*"),
                None => route.based.clone(),
            };
            let pattern = RouteSpec::try_from(pattern)
                .map_err(|error| anyhow!("route {:?}: {error}", route.raw))?;
            let raw = route.raw.clone();
            router
                .add(pattern, route)
                .map_err(|error| anyhow!("route {raw:?}: {error}"))?;
        }
        Ok(Self(router))
    }

    /// The route of `path`.
    pub(super) fn find<'routes, 'path>(
        &'routes self,
        path: &'path str,
    ) -> Option<RouteMatch<'routes, 'path>>
    where
        'routes: 'path,
    {
        let found = self.0.best_match(path)?;
        Some(RouteMatch {
            route: found.handler(),
            captures: found.captures(),
            path,
        })
    }
}

impl RouteMatch<'_, '_> {
    /// What handles the request.
    pub(super) fn target(&self) -> &Target {
        &self.route.target
    }

    /// The route as in the manifest.
    pub(super) fn raw_route(&self) -> &str {
        &self.route.raw
    }

    /// The route as in the manifest, without the wildcard at its end.
    pub(super) fn raw_prefix(&self) -> &str {
        self.route
            .raw
            .strip_suffix("/...")
            .unwrap_or(&self.route.raw)
    }

    /// The route with a slash at the start and none at the end.
    pub(super) fn based_route(&self) -> &str {
        &self.route.based
    }

    /// The names and values of the `:name` segments.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.captures.iter()
    }

    /// The path that the wildcard matched, with the slashes that routefinder leaves out.
    pub(super) fn trailing(&self) -> String {
        let Some(rest) = self.captures.wildcard() else {
            return String::new();
        };
        let start = if rest.is_empty() { "" } else { "/" };
        let end = if self.path.ends_with('/') { "/" } else { "" };
        format!("{start}{rest}{end}")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn routes(list: &[(&str, &str)]) -> Routes {
        let triggers: Vec<_> = list
            .iter()
            .map(|(route, id)| Trigger {
                route: Some((*route).to_owned()),
                target: Target::Component((*id).to_owned()),
            })
            .collect();
        Routes::new(&triggers).unwrap()
    }

    fn component(routes: &Routes, path: &str) -> Option<String> {
        routes.find(path).map(|found| match found.target() {
            Target::Component(id) => id.clone(),
            Target::Static(_) => String::new(),
        })
    }

    #[test]
    fn the_closest_route_wins() {
        let routes = routes(&[
            ("/...", "all"),
            ("/a/...", "a"),
            ("/a/b", "ab"),
            ("/u/:id", "user"),
        ]);
        for (path, id) in [
            ("/", "all"),
            ("/x/y", "all"),
            ("/a", "a"),
            ("/a/", "a"),
            ("/a/c", "a"),
            ("/a/b", "ab"),
            ("/u/7", "user"),
        ] {
            assert_eq!(component(&routes, path).as_deref(), Some(id), "{path}");
        }
    }

    #[test]
    fn of_two_equal_routes_the_later_one_is_used() {
        let routes = routes(&[("/a", "first"), ("/a", "second")]);
        assert_eq!(component(&routes, "/a").as_deref(), Some("second"));
        assert_eq!(component(&routes, "/b"), None);
    }

    #[test]
    fn the_values_of_wildcards() {
        let routes = routes(&[("/a/...", "a"), ("/u/:id/...", "u")]);
        for (path, rest) in [("/a", ""), ("/a/", "/"), ("/a/b", "/b"), ("/a/b/", "/b/")] {
            assert_eq!(routes.find(path).unwrap().trailing(), rest, "{path}");
        }
        let found = routes.find("/u/7/x").unwrap();
        assert_eq!(found.named().collect::<Vec<_>>(), [("id", "7")]);
        assert_eq!(found.raw_prefix(), "/u/:id");
    }
}
