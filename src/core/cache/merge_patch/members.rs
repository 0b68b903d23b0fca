//! The members of a text's objects, as places in the text: some forty bytes of memory for each.
//!
//! One hash table has those of all objects, so an object of one member costs no table of its own.
//! It grows in pieces, with breaks.

use std::num::NonZeroUsize;

use super::Malformed;
use super::names::{Hashing, Name, are_same};
use super::pieces::Pieces;
use super::reader::Reader;
use crate::platform::long_work::Pace;

/// The number of a member, from 1 on.
pub(super) type Link = Option<NonZeroUsize>;

/// A member of an object. Of several with one name it is the last, at the place of the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Where its object begins.
    object: usize,
    hash: u32,
    /// Where its name begins.
    pub(super) name: usize,
    /// Where its value begins.
    pub(super) value: usize,
    /// The next member of its object.
    pub(super) next: Link,
    /// The first member of its value, if that is an object whose members are known.
    pub(super) first: Link,
    /// Of a target's member: what the patch does to it. Of a patch's: what it was done to.
    pub(super) counterpart: Link,
}

/// What a member needs at most, in bytes: there are 4/3 to 8/3 slots for each, and when the table
/// grows, half as many besides.
pub(super) const BYTES_EACH: usize = size_of::<Member>() + 4 * size_of::<Link>();

/// As much work as so many bytes of text.
pub(super) const WORK_EACH: usize = 64;

/// The members of the objects of one text that are known.
pub(super) struct Members<'a> {
    pub(super) text: &'a str,
    hashing: &'a Hashing,
    all: Pieces<Member>,
    /// Who is where in the hash table. There are as many slots as a power of two, or none.
    slots: Pieces<Link>,
}

impl<'a> Members<'a> {
    pub(super) fn new(text: &'a str, hashing: &'a Hashing) -> Self {
        Self {
            text,
            hashing,
            all: Pieces::new(),
            slots: Pieces::new(),
        }
    }

    pub(super) fn get(&self, link: NonZeroUsize) -> Result<Member, Malformed> {
        self.all.get(link.get() - 1).ok_or(Malformed)
    }

    pub(super) fn get_mut(&mut self, link: NonZeroUsize) -> Result<&mut Member, Malformed> {
        self.all.get_mut(link.get() - 1).ok_or(Malformed)
    }

    /// Where a member's value begins, if that is an object.
    pub(super) fn object(&self, link: NonZeroUsize) -> Option<usize> {
        let value = self.all.get(link.get() - 1)?.value;
        let first = self.text.as_bytes().get(value);
        (first == Some(&b'{')).then_some(value)
    }

    /// The member of this name in the object that begins at `object`. `hash` is the name's.
    pub(super) async fn find(
        &self,
        object: usize,
        (name, hash): (Name<'_>, u64),
        pace: &mut Pace,
    ) -> Result<Link, Malformed> {
        let hash = self.hashing.member(object, hash);
        let (_, found) = self.look_up(object, (name, hash), pace).await?;
        Ok(found)
    }

    /// Adds a member with this name and value, or puts it at the place of the earlier one with this
    /// name. Returns its number, and whether its place is new.
    pub(super) async fn add(
        &mut self,
        object: usize,
        (name, hash): (Name<'_>, u64),
        value: usize,
        pace: &mut Pace,
    ) -> Result<(NonZeroUsize, bool), Malformed> {
        if (self.all.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow(pace).await;
        }
        let hash = self.hashing.member(object, hash);
        let (slot, found) = self.look_up(object, (name, hash), pace).await?;
        if let Some(link) = found {
            let member = self.get_mut(link)?;
            (member.name, member.value) = (name.at, value);
            (member.first, member.counterpart) = (None, None);
            return Ok((link, false));
        }
        self.all.push(Member {
            object,
            hash,
            name: name.at,
            value,
            next: None,
            first: None,
            counterpart: None,
        });
        let link = NonZeroUsize::new(self.all.len()).ok_or(Malformed)?;
        *self.slots.get_mut(slot).ok_or(Malformed)? = Some(link);
        Ok((link, true))
    }

    /// The slot of a member, or the free one that would be its slot. `hash` is the member's.
    async fn look_up(
        &self,
        object: usize,
        (name, hash): (Name<'_>, u32),
        pace: &mut Pace,
    ) -> Result<(usize, Link), Malformed> {
        pace.after(WORK_EACH).await;
        for slot in probes(hash, self.slots.len()) {
            let Some(link) = self.slots.get(slot).flatten() else {
                return Ok((slot, None));
            };
            let member = self.get(link)?;
            if member.hash == hash && member.object == object {
                let there = self.text.as_bytes().get(member.name..);
                if there.is_some_and(|there| there.starts_with(name.spelled.as_bytes())) {
                    return Ok((slot, Some(link)));
                }
                let other = Reader::at(self.text, member.name, pace).name().await?;
                if are_same(name, other.ok_or(Malformed)?, pace).await {
                    return Ok((slot, Some(link)));
                }
            }
        }
        Ok((0, None))
    }

    /// Makes twice as many slots.
    async fn grow(&mut self, pace: &mut Pace) {
        let count = (2 * self.slots.len()).max(8);
        let mut slots = Pieces::new();
        for _ in 0..count {
            slots.push(None);
            pace.after(size_of::<Link>()).await;
        }
        for index in 0..self.all.len() {
            let (member, link) = (self.all.get(index), NonZeroUsize::new(index + 1));
            let hash = member.map_or(0, |member| member.hash);
            let mut free = probes(hash, count).filter(|slot| slots.get(*slot) == Some(None));
            if let Some(slot) = free.next().and_then(|slot| slots.get_mut(slot)) {
                *slot = link;
            }
            pace.after(WORK_EACH).await;
        }
        self.slots = slots;
    }
}

/// The slots where a member with this hash may be, in their order.
fn probes(hash: u32, slots: usize) -> impl Iterator<Item = usize> {
    (0..slots).map(move |step| (hash as usize).wrapping_add(step) & (slots - 1))
}
