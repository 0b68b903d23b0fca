//! Which entries are long, as far as this instance knows. A mistake costs time alone.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{LazyLock, Mutex, PoisonError};

/// How many entries are remembered. Where there are more, it begins anew.
const MOST: usize = 4096;

/// The hashes of the keys of long entries.
pub(super) struct LongEntries(LazyLock<Mutex<HashSet<u64, Hasher>>>);

type Hasher = BuildHasherDefault<DefaultHasher>;

impl LongEntries {
    pub(super) const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.with(|hashes| !hashes.is_empty() && hashes.contains(&hash(key)))
    }

    pub(super) fn insert(&self, key: &str) {
        self.with(|hashes| {
            if hashes.len() >= MOST {
                hashes.clear();
            }
            hashes.insert(hash(key));
        });
    }

    pub(super) fn remove(&self, key: &str) {
        self.with(|hashes| {
            if !hashes.is_empty() {
                hashes.remove(&hash(key));
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashSet<u64, Hasher>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn hash(key: &str) -> u64 {
    Hasher::default().hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_can_be_forgotten() {
        let long = LongEntries::new();
        assert!(!long.contains("a"));
        long.insert("a");
        assert!(long.contains("a") && !long.contains("b"));
        long.remove("a");
        assert!(!long.contains("a"));
        for number in 0..2 * MOST {
            long.insert(&number.to_string());
        }
        assert!(long.with(|hashes| hashes.len()) <= MOST);
    }
}
