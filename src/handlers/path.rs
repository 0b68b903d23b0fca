//! What is variable in a path, still percent-encoded.

use http::Uri;

/// The variable segments of `/api/v1/users/{user_id}[/<resource>[/{name}]]`.
pub(super) struct UserPath<'a> {
    pub(super) user_id: &'a str,
    pub(super) name: Option<&'a str>,
}

/// The segments of a path that the router has matched.
pub(super) fn of(uri: &Uri) -> UserPath<'_> {
    let mut segments = uri.path().split('/').skip(4);
    let user_id = segments.next().unwrap_or_default();
    // The resource, which the router has read.
    segments.next();
    UserPath {
        user_id,
        name: segments.next().filter(|name| !name.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_with_and_without_a_slash_at_the_end() {
        for (path, user_id, name) in [
            ("/api/v1/users/7", "7", None),
            ("/api/v1/users/7/", "7", None),
            ("/api/v1/users/7/lock", "7", None),
            ("/api/v1/users/-7/lock/", "-7", None),
            ("/api/v1/users/7/locks/a%20b", "7", Some("a%20b")),
            ("/api/v1/users/7/cache/k/", "7", Some("k")),
        ] {
            let uri = Uri::from_static(path);
            let found = of(&uri);
            assert_eq!((found.user_id, found.name), (user_id, name), "{path}");
        }
    }
}
