//! The key layout: every Redis key is built here.
//!
//! The lock of a user is `user:{id}:lock`, the key of the FastAPI service that this one grew out
//! of, so that both exclude each other on one Redis. Every other key of that user carries the
//! lock's key as its hash tag
//! (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>), so
//! that one script may touch all of them in one slot of a Redis Cluster. No name can hold a brace
//! and no user id a colon, so no two of these keys collide.
//!
//! | key | holds |
//! |---|---|
//! | `user:{id}:lock`, `user:{id}:lock:{name}` | the owner's token while the lock is held |
//! | `{lock}:fence` | the last fencing token, its acquisition, its owner and the owner's name |
//! | `{lock}:queue` | the waiters, in order of arrival |
//! | `{lock}:seen` | when each waiter last looked, and its name |
//! | `{lock}:cancelled:{id}` | the mark of acquisitions that were cancelled: of one, or of a token's |
//! | `{lock}:wake:{call}` | the signal for one waiter |
//! | `{lock}:ended:{id}` | the proof that a release, a commit or a break happened |
//! | `{lock}:cache:{name}` | a cache entry |
//! | `{lock}:staged:{id}` | a long value on its way to its entry |
//! | `{lock}:compute:{name}` and what begins with it and a slash | the lock of its computing |
//! | `{lock}:idem:{hash}` | the stored answer to an idempotent request |
//! | `user::lock` | the lock of no user, for `/readyz` |
//! | `{lock}:origin` and what begins with it | a reading from the origin, its outcome and its lock |
//!
//! `{lock}` stands for the lock's key in braces. What the values look like is said where they are
//! written: `core/lock/formats.lua` and `queue.lua`, `core/cache/format.rs`, `core/idempotency.rs`
//! and the files of `core/read_through/`.

use std::sync::Arc;

use super::name::{LAST_ACTION, Name};
use super::user_id::UserId;

/// The keys of one lock. A clone is of the same text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockKey {
    /// All parts, one behind the other: one allocation.
    text: Arc<str>,
    /// Where each [`Part`] ends.
    ends: [usize; PARTS],
}

/// A part of a [`LockKey`], and its place.
#[derive(Clone, Copy)]
enum Part {
    Lock,
    Fence,
    Queue,
    CancelledPrefix,
    /// The second of the three lines that follow: see [`LockKey::waiters`].
    WakePrefix = 5,
}

const PARTS: usize = 7;

/// What follows the tag in each part behind the lock's own key.
const AFTER_TAG: [&str; PARTS - 1] = [
    ":fence",
    ":queue",
    ":cancelled:",
    ":seen\n",
    ":wake:\n",
    ":ended:\n",
];

impl LockKey {
    fn new(lock: &str) -> Self {
        Self::under(lock, &["{", lock, "}"].concat())
    }

    /// The lock at the key `lock`, with its other keys under `tag`.
    fn under(lock: &str, tag: &str) -> Self {
        let length: usize = AFTER_TAG.iter().map(|after| tag.len() + after.len()).sum();
        let mut text = String::with_capacity(lock.len() + length);
        let mut ends = [lock.len(); PARTS];
        text.push_str(lock);
        for (after, end) in AFTER_TAG.iter().zip(&mut ends[1..]) {
            text.push_str(tag);
            text.push_str(after);
            *end = text.len();
        }
        Self {
            text: text.into(),
            ends,
        }
    }

    fn part(&self, part: Part) -> &str {
        let part = part as usize;
        let begin = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(begin..self.ends[part]).unwrap_or_default()
    }

    /// The key that holds the owner's token while the lock is held.
    pub fn lock(&self) -> &str {
        self.part(Part::Lock)
    }

    /// The key that remembers the last fencing token.
    pub(crate) fn fence(&self) -> &str {
        self.part(Part::Fence)
    }

    /// The key of the waiters, in order of arrival.
    pub(crate) fn queue(&self) -> &str {
        self.part(Part::Queue)
    }

    /// The key of the mark that an acquisition was cancelled; `id` is the acquisition's, or that of
    /// a token, which may have several.
    pub(crate) fn cancelled(&self, id: &str) -> String {
        [self.part(Part::CancelledPrefix), id].concat()
    }

    /// What scripts need only where somebody waits, as lines: the key of the times at which each
    /// waiter last looked, what the keys of signals begin with, and what those of proofs begin with.
    /// A signal's key ends with its waiter's call, and a proof's with what ended.
    pub(crate) fn waiters(&self) -> &str {
        let begin = self.ends[Part::CancelledPrefix as usize];
        self.text.get(begin..).unwrap_or_default()
    }

    /// What the key of every waiter's signal begins with.
    pub(crate) fn wake_prefix(&self) -> &str {
        self.part(Part::WakePrefix).trim_end()
    }

    /// The key of the signal for the waiter with this call.
    pub(crate) fn wake(&self, call: &str) -> String {
        [self.wake_prefix(), call].concat()
    }
}

/// Builds keys under one prefix.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys that all begin with `prefix` (inside the hash tag, where there is one). The prefix must
    /// not hold `{`, `}` or a line break: the configuration refuses such a one.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// The user's own lock: the one that actions take.
    pub fn user_lock(&self, user: UserId) -> LockKey {
        LockKey::new(&self.user_lock_key(user))
    }

    /// Another lock of the user, by name.
    pub fn named_lock(&self, user: UserId, name: &Name) -> LockKey {
        LockKey::new(&format!("{}:{name}", self.user_lock_key(user)))
    }

    /// An entry of the user's cache.
    pub(crate) fn cache(&self, user: UserId, name: &Name) -> String {
        format!("{{{}}}:cache:{name}", self.user_lock_key(user))
    }

    /// Where a long value is put before a script moves it to its entry; `id` is random.
    pub(crate) fn staged(&self, user: UserId, id: &str) -> String {
        format!("{{{}}}:staged:{id}", self.user_lock_key(user))
    }

    /// The lock of whoever computes an entry of the user's cache. No name holds a slash, so no
    /// entry's key is another's.
    pub(crate) fn compute_lock(&self, user: UserId, name: &Name) -> LockKey {
        let lock = format!("{{{}}}:compute:{name}", self.user_lock_key(user));
        let tag = format!("{lock}/");
        LockKey::under(&lock, &tag)
    }

    /// Where the result of the user's last action is kept: the cache entry `last-action`.
    pub(crate) fn last_action(&self, user: UserId) -> String {
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

    /// The lock of whoever is reading the user from the origin. No lock of a client's can have this
    /// name.
    pub(crate) fn read_lock(&self, user: UserId) -> LockKey {
        let tag = format!("{{{}}}:origin", self.user_lock_key(user));
        LockKey::under(&format!("{tag}:lock"), &tag)
    }

    /// The lock that is taken to see whether one can be. Its user has the empty id, which no
    /// request can name. `name` tells one from others, and may be empty.
    pub(crate) fn probe_lock(&self, name: &str) -> LockKey {
        LockKey::new(&self.probe_lock_key(name))
    }

    /// The result that is written under [`Keys::probe_lock`].
    pub(crate) fn probe_result(&self, name: &str) -> String {
        format!("{{{}}}:cache:{LAST_ACTION}", self.probe_lock_key(name))
    }

    fn probe_lock_key(&self, name: &str) -> String {
        let separator = if name.is_empty() { "" } else { ":" };
        format!("{}user::lock{separator}{name}", self.prefix)
    }

    fn user_lock_key(&self, user: UserId) -> String {
        [&self.prefix, "user:", user.as_str(), ":lock"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::user_id::UserIds;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn keys_are_those_of_the_design() {
        let keys = Keys::new("p-");
        let user = UserId::new(42);
        let lock = keys.user_lock(user);
        assert_eq!(lock.lock(), "p-user:42:lock");
        assert_eq!(lock.fence(), "{p-user:42:lock}:fence");
        assert_eq!(lock.queue(), "{p-user:42:lock}:queue");
        assert_eq!(lock.cancelled("x"), "{p-user:42:lock}:cancelled:x");
        assert_eq!(lock.wake("x"), "{p-user:42:lock}:wake:x");
        let waiters = "{p-user:42:lock}:seen\n{p-user:42:lock}:wake:\n{p-user:42:lock}:ended:\n";
        assert_eq!(lock.waiters(), waiters);
        assert_eq!(keys.last_action(user), "{p-user:42:lock}:cache:last-action");
        assert_eq!(keys.probe_lock("").lock(), "p-user::lock");
        assert_eq!(keys.probe_lock("a").lock(), "p-user::lock:a");
        assert_eq!(keys.probe_result(""), "{p-user::lock}:cache:last-action");
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

    /// Every key of one user and one name, each with the role that it has.
    fn keys_of(keys: &Keys, user: UserId, name: &Name, id: &str) -> Vec<(String, String)> {
        let locks = [
            ("user", keys.user_lock(user)),
            ("named", keys.named_lock(user, name)),
            ("compute", keys.compute_lock(user, name)),
            ("read", keys.read_lock(user)),
        ];
        let of_locks = locks.into_iter().flat_map(|(role, lock)| {
            // The role says whose the key is: that of the user, or of one name.
            let owner = match role {
                "named" | "compute" => format!("{role} {name}"),
                role => role.to_owned(),
            };
            let mut waiters = lock.waiters().lines();
            let all = [
                ("lock", lock.lock().to_owned()),
                ("fence", lock.fence().to_owned()),
                ("queue", lock.queue().to_owned()),
                ("seen", waiters.next().unwrap_or_default().to_owned()),
                ("cancelled", lock.cancelled(id)),
                ("wake", lock.wake(id)),
                ("ended", [waiters.nth(1).unwrap_or_default(), id].concat()),
            ];
            all.map(|(part, key)| (format!("{owner} {part}"), key))
        });
        let others = [
            (format!("cache {name}"), keys.cache(user, name)),
            ("staged".to_owned(), keys.staged(user, id)),
            ("idem".to_owned(), keys.idempotent(user, id)),
            ("reading".to_owned(), keys.read_through(user)),
            ("outcome".to_owned(), keys.read_outcome(user)),
        ];
        of_locks.chain(others).collect()
    }

    /// A text that is a user of the kind or is refused: anything, and what comes near to a key.
    fn user_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<i64>().prop_map(|id| id.to_string()),
            (-3i64..3).prop_map(|id| id.to_string()),
            any::<u128>().prop_map(|bits| UserId::uuid(bits).to_string()),
            any::<u128>().prop_map(|bits| UserId::uuid(bits).to_string().to_uppercase()),
            "[a-c._~-]{1,3}",
            "[A-Za-z0-9._~-]{1,64}",
            "(user|lock|cache|fence|origin|[ab.]|:){1,5}",
            "\\PC{0,10}",
        ]
    }

    fn name() -> impl Strategy<Value = Name> {
        let text = prop_oneof![
            "(lock|fence|cache|origin|compute|user|[ab]|:){1,5}",
            "[A-Za-z0-9._~:-]{1,12}"
        ];
        text.prop_filter_map("not a name", |text| Name::parse(&text))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_two_users_share_a_key_and_none_is_anothers_named_lock(
            prefix in prop_oneof!["", "(user|lock|[ab]|:){1,5}", "[!-z|~]{0,20}"],
            kind in prop::sample::select(UserIds::ALL.to_vec()),
            (a, b) in (user_text(), user_text()),
            (x, y) in (name(), name()),
            id in "[0-9a-f]{8}",
        ) {
            let keys = Keys::new(prefix);
            let (Some(a), Some(b)) = (kind.read(&a), kind.read(&b)) else { return Ok(()) };
            let mut owners = HashMap::new();
            let parts = [keys.probe_lock("").lock().to_owned(), keys.probe_result("")];
            let probe = parts.map(|key| ("probe".to_owned(), key));
            let mut all = vec![(None, probe.to_vec())];
            for user in [a, b] {
                for name in [&x, &y] {
                    all.push((Some(user), keys_of(&keys, user, name, &id)));
                }
            }
            for (user, of_user) in all {
                for (role, key) in of_user {
                    let owner = (user, role);
                    let before = owners.insert(key.clone(), owner.clone());
                    let is_one = before.as_ref().is_none_or(|before| *before == owner);
                    prop_assert!(is_one, "{key}: {before:?} and {owner:?}");
                }
            }
        }
    }
}
