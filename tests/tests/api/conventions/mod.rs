//! "Conventions" of the contract: what holds for every route.

mod bodies;
mod headers;
mod methods;
mod names;
mod order;
mod parameters;
mod problems;
mod raw;
mod slashes;

/// A route, and the methods that it has.
struct Route {
    path: &'static str,
    methods: &'static [&'static str],
}

/// Every route.
const ROUTES: [Route; 8] = [
    Route {
        path: "/api/v1/users/perform-action",
        methods: &["POST"],
    },
    Route {
        path: "/api/v1/users/attempt-action",
        methods: &["POST"],
    },
    Route {
        path: "/api/v1/users/7",
        methods: &["GET", "HEAD"],
    },
    Route {
        path: "/api/v1/users/7/lock",
        methods: &["DELETE", "GET", "HEAD", "POST", "PUT"],
    },
    Route {
        path: "/api/v1/users/7/locks/build",
        methods: &["DELETE", "GET", "HEAD", "POST", "PUT"],
    },
    Route {
        path: "/api/v1/users/7/cache/profile",
        methods: &["DELETE", "GET", "HEAD", "PATCH", "PUT"],
    },
    Route {
        path: "/healthz",
        methods: &["GET", "HEAD"],
    },
    Route {
        path: "/readyz",
        methods: &["GET", "HEAD"],
    },
];
