//! Writes what comes of a merge.

use super::members::{Link, Member, Members, WORK_EACH};
use super::reader::Reader;
use super::{Malformed, MergeError};
use crate::platform::long_work::Pace;

/// How many bytes are copied without a break.
const COPIED_PIECE: usize = 1 << 20;

/// What a patch does to a member.
enum Change<'a> {
    Remove,
    Replace(&'a str),
    Merge,
}

/// The members of an object that are still to be written.
enum Rest {
    /// Those of the target, and then those that the patch adds.
    OfTarget {
        next: Link,
        changes: Link,
    },
    OfPatch {
        next: Link,
    },
}

/// Writes a merged text of `longest` bytes at the most.
pub(super) struct Writer<'p> {
    text: Vec<u8>,
    longest: usize,
    pace: &'p mut Pace,
}

impl<'p> Writer<'p> {
    /// `room` is how many bytes the text may come to.
    pub(super) fn new(room: usize, longest: usize, pace: &'p mut Pace) -> Self {
        Self {
            text: Vec::with_capacity(room.min(longest)),
            longest,
            pace,
        }
    }

    /// Writes a value as it is.
    pub(super) async fn value(mut self, value: &str) -> Result<Vec<u8>, MergeError> {
        self.copy(value).await?;
        Ok(self.text)
    }

    /// Writes the object that the patch is, without what that removes.
    pub(super) async fn patch(
        self,
        mut patch: Members<'_>,
        first: Link,
    ) -> Result<Vec<u8>, MergeError> {
        let rest = Rest::OfPatch { next: first };
        self.objects(None, &mut patch, rest).await
    }

    /// Writes the object that the patch was merged into.
    pub(super) async fn merged(
        self,
        (target, next): (Members<'_>, Link),
        (mut patch, changes): (Members<'_>, Link),
    ) -> Result<Vec<u8>, MergeError> {
        let rest = Rest::OfTarget { next, changes };
        self.objects(Some(&target), &mut patch, rest).await
    }

    async fn objects(
        mut self,
        target: Option<&Members<'_>>,
        patch: &mut Members<'_>,
        outermost: Rest,
    ) -> Result<Vec<u8>, MergeError> {
        self.put("{")?;
        let mut objects = vec![outermost];
        while let Some(rest) = objects.last_mut() {
            // Short names and values make no break of their own.
            self.pace.after(WORK_EACH).await;
            let inner = match rest {
                Rest::OfTarget {
                    next: Some(link), ..
                } => {
                    let target = target.ok_or(Malformed)?;
                    let member = target.get(*link)?;
                    if let Rest::OfTarget { next, .. } = rest {
                        *next = member.next;
                    }
                    self.targets_member(target, member, patch).await?
                }
                Rest::OfTarget {
                    next: None,
                    changes,
                } => {
                    *rest = Rest::OfPatch { next: *changes };
                    continue;
                }
                Rest::OfPatch { next: Some(link) } => {
                    let member = patch.get(*link)?;
                    *rest = Rest::OfPatch { next: member.next };
                    self.patchs_member(patch, member).await?
                }
                Rest::OfPatch { next: None } => {
                    objects.pop();
                    self.put("}")?;
                    continue;
                }
            };
            if let Some(inner) = inner {
                self.put("{")?;
                objects.push(inner);
            }
        }
        Ok(self.text)
    }

    /// Writes a member of the target, with what the patch does to it. Returns what is to be written
    /// of its value, if that is an object that changes.
    async fn targets_member(
        &mut self,
        target: &Members<'_>,
        member: Member,
        patch: &mut Members<'_>,
    ) -> Result<Option<Rest>, MergeError> {
        let Some(link) = member.counterpart else {
            self.name(target, member).await?;
            let value = Reader::at(target.text, member.value, self.pace)
                .value()
                .await?;
            self.copy(value).await?;
            return Ok(None);
        };
        let change = patch.get_mut(link)?;
        change.counterpart = Some(link);
        let change = *change;
        match self.change(patch, change).await? {
            Change::Remove => Ok(None),
            Change::Replace(value) => {
                self.name(target, member).await?;
                self.copy(value).await?;
                Ok(None)
            }
            Change::Merge => {
                self.name(target, member).await?;
                let before = Reader::at(target.text, member.value, self.pace)
                    .next_value()
                    .await;
                let (_, was_object) = before;
                Ok(Some(if was_object {
                    let (next, changes) = (member.first, change.first);
                    Rest::OfTarget { next, changes }
                } else {
                    // RFC 7396, section 2: as if it were an empty object.
                    Rest::OfPatch { next: change.first }
                }))
            }
        }
    }

    /// Writes a member that the patch adds.
    async fn patchs_member(
        &mut self,
        patch: &Members<'_>,
        member: Member,
    ) -> Result<Option<Rest>, MergeError> {
        if member.counterpart.is_some() {
            return Ok(None);
        }
        match self.change(patch, member).await? {
            Change::Remove => Ok(None),
            Change::Replace(value) => {
                self.name(patch, member).await?;
                self.copy(value).await?;
                Ok(None)
            }
            Change::Merge => {
                self.name(patch, member).await?;
                Ok(Some(Rest::OfPatch { next: member.first }))
            }
        }
    }

    async fn change<'a>(
        &mut self,
        patch: &Members<'a>,
        member: Member,
    ) -> Result<Change<'a>, Malformed> {
        let mut reader = Reader::at(patch.text, member.value, self.pace);
        if let (_, true) = reader.next_value().await {
            return Ok(Change::Merge);
        }
        Ok(match reader.value().await? {
            "null" => Change::Remove,
            value => Change::Replace(value),
        })
    }

    async fn name(&mut self, members: &Members<'_>, member: Member) -> Result<(), MergeError> {
        let mut reader = Reader::at(members.text, member.name, self.pace);
        let name = reader.value().await?;
        if !self.text.ends_with(b"{") {
            self.put(",")?;
        }
        self.copy(name).await?;
        self.put(":")
    }

    async fn copy(&mut self, part: &str) -> Result<(), MergeError> {
        if part.len() <= COPIED_PIECE {
            return self.put(part);
        }
        self.check_room(part)?;
        for piece in part.as_bytes().chunks(COPIED_PIECE) {
            self.text.extend_from_slice(piece);
            self.pace.after(Pace::PIECE).await;
        }
        Ok(())
    }

    /// Copies something short.
    fn put(&mut self, part: &str) -> Result<(), MergeError> {
        self.check_room(part)?;
        self.text.extend_from_slice(part.as_bytes());
        Ok(())
    }

    fn check_room(&self, part: &str) -> Result<(), MergeError> {
        if self.text.len() + part.len() > self.longest {
            return Err(MergeError::TooLong);
        }
        Ok(())
    }
}
