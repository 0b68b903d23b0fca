//! Every Redis key, built in one place, and the names that go into them.
//!
//! The lock of a user is `user:{id}:lock`, the key of the FastAPI service that this one grew out of, so that both
//! exclude each other on one Redis. Everything else of that user carries the lock's key as its hash tag
//! (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>), so that one script may
//! touch all of it in one slot of a Redis Cluster. No name can hold a brace, so no two of these keys can collide.

use std::fmt;

/// The longest lock or cache name, in bytes.
pub(crate) const MAX_NAME: usize = 128;

/// What a name may hold beside letters and digits.
pub(crate) const NAME_MARKS: &str = "._~:-";

/// A user's number: any i64, written canonically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId(i64);

impl UserId {
    /// A user id from its number.
    pub fn new(id: i64) -> Self {
        Self(id)
    }

    /// Reads a decimal integer that fits i64, written canonically: `7`, `-7`, but not `+7`, `007` or `-0`.
    /// `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let id: i64 = text.parse().ok()?;
        // Two spellings of one number would be one user to us and two to anybody who compares texts.
        (id.to_string() == text).then_some(Self(id))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cache entry that actions write.
pub const LAST_ACTION: &str = "last-action";

/// The name of a lock or of a cache entry: 1 to 128 of `A-Z a-z 0-9 . _ ~ : -`, but not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a name after percent-decoding. `None` where it breaks the rule above.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || NAME_MARKS.as_bytes().contains(&byte);
        let fits = (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(allowed)
            && text != "."
            && text != "..";
        fits.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keys of one lock: where its owner's token is kept, where its fencing token is counted, and where those who wait for it are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockKey {
    lock: String,
    fence: String,
    queue: String,
}

impl LockKey {
    fn new(lock: String) -> Self {
        let beside = format!("{{{lock}}}");
        Self::beside(lock, &beside)
    }

    /// With the other keys under `tag`.
    fn beside(lock: String, tag: &str) -> Self {
        Self {
            lock,
            fence: format!("{tag}:fence"),
            queue: format!("{tag}:queue"),
        }
    }

    /// The key that holds the owner's token while the lock is held.
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// The key that remembers the last fencing token.
    pub fn fence(&self) -> &str {
        &self.fence
    }

    /// The key of those who wait, in the order in which they came.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// The key at which whoever waits with this call is woken.
    pub(crate) fn wake(&self, call: &str) -> String {
        let beside = self.queue.trim_end_matches("queue");
        format!("{beside}wake:{call}")
    }
}

/// Builds keys under one prefix.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys that all begin with `prefix` (inside the hash tag, where there is one). The prefix must not hold `{`
    /// or `}`: [`crate::config`] refuses such a one.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// The user's own lock: the one that actions take.
    pub fn user_lock(&self, user: UserId) -> LockKey {
        LockKey::new(self.user_lock_key(user))
    }

    /// Another lock of the user, by name.
    pub fn named_lock(&self, user: UserId, name: &Name) -> LockKey {
        LockKey::new(format!("{}:{name}", self.user_lock_key(user)))
    }

    /// An entry of the user's cache.
    pub fn cache(&self, user: UserId, name: &Name) -> String {
        format!("{{{}}}:cache:{name}", self.user_lock_key(user))
    }

    /// Where the result of the user's last action is kept: the cache entry `last-action`.
    pub fn last_action(&self, user: UserId) -> String {
        format!("{{{}}}:cache:{LAST_ACTION}", self.user_lock_key(user))
    }

    /// Where the answer to an idempotent request is kept; `hash` is of its path and key.
    pub(crate) fn idempotent(&self, user: UserId, hash: &str) -> String {
        format!("{{{}}}:idem:{hash}", self.user_lock_key(user))
    }

    /// What was read of the user from the origin.
    pub(crate) fn read_through(&self, user: UserId) -> String {
        format!("{{{}}}:origin", self.user_lock_key(user))
    }

    /// What came of the last reading where there was nothing to keep.
    pub(crate) fn read_outcome(&self, user: UserId) -> String {
        format!("{{{}}}:origin:outcome", self.user_lock_key(user))
    }

    /// The lock of whoever is reading the user from the origin. No lock of a client's can have this name.
    pub(crate) fn read_lock(&self, user: UserId) -> LockKey {
        let tag = format!("{{{}}}:origin", self.user_lock_key(user));
        LockKey::beside(format!("{tag}:lock"), &tag)
    }

    fn user_lock_key(&self, user: UserId) -> String {
        format!("{}user:{user}:lock", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_those_of_the_design() {
        let keys = Keys::new("p-");
        let user = UserId::new(42);
        let lock = keys.user_lock(user);
        assert_eq!(lock.lock(), "p-user:42:lock");
        assert_eq!(lock.fence(), "{p-user:42:lock}:fence");
        assert_eq!(keys.last_action(user), "{p-user:42:lock}:cache:last-action");
        let named = Name::parse("build").map(|name| keys.named_lock(user, &name));
        assert_eq!(
            named.as_ref().map(LockKey::lock),
            Some("p-user:42:lock:build")
        );
        assert_eq!(
            named.as_ref().map(LockKey::fence),
            Some("{p-user:42:lock:build}:fence")
        );
    }

    #[test]
    fn only_canonical_integers_are_user_ids() {
        for good in [
            "0",
            "7",
            "-7",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert!(UserId::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "+7",
            "007",
            "-0",
            " 7",
            "7 ",
            "7.0",
            "1e3",
            "0x7",
            "٧",
            "--7",
            "-",
            "9223372036854775808",
            "-9223372036854775809",
            "7\0",
        ] {
            assert!(UserId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        assert!(Name::parse(&"n".repeat(128)).is_some());
        for bad in ["", ".", "..", "a/b", "a b", "é", "a{b", "a\n", "a%62"] {
            assert!(Name::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Name::parse(&"n".repeat(129)).is_none());
    }

    proptest! {
        #[test]
        fn every_i64_is_a_user_and_keeps_its_text(id in any::<i64>()) {
            prop_assert_eq!(UserId::parse(&id.to_string()).map(|user| user.to_string()), Some(id.to_string()));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,200}") {
            let _ = UserId::parse(&text);
            let _ = Name::parse(&text);
        }

        #[test]
        fn different_locks_never_share_a_key(
            (a, b) in (any::<i64>(), any::<i64>()),
            (x, y) in ("[A-Za-z0-9._~:-]{1,12}", "[A-Za-z0-9._~:-]{1,12}"),
        ) {
            let keys = Keys::new("");
            let (Some(x), Some(y)) = (Name::parse(&x), Name::parse(&y)) else { return Ok(()) };
            let (a, b) = (UserId::new(a), UserId::new(b));
            let all = [
                keys.user_lock(a), keys.user_lock(b), keys.named_lock(a, &x), keys.named_lock(b, &y),
            ];
            let owners = [(a, None), (b, None), (a, Some(&x)), (b, Some(&y))];
            for i in 0..4 {
                for j in 0..4 {
                    prop_assert_eq!(all[i] == all[j], owners[i] == owners[j]);
                    prop_assert!(all[i].lock() != all[j].fence());
                }
            }
        }
    }
}
