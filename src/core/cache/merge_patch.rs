//! JSON merge patch (RFC 7396) on JSON texts, in one pass over each.
//!
//! What a patch does not touch keeps its bytes: order, spelling of numbers however long, escapes. A
//! library that merges parsed values would round a number with more digits than an f64 has.
//!
//! Of an object that a patch touches, and only of such a one, the members are read: a name that is
//! there twice has its last value, at its first place. They are kept as places in the text
//! ([`members`]), since a text of a megabyte may have 200 000 of them.

mod members;
mod names;
mod pieces;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use crate::platform::long_work::Pace;
use members::{BYTES_EACH, Link, Members};
use names::Hashing;
use reader::Reader;
use writer::Writer;

/// A text that is not JSON after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Why a merge came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeError {
    /// One of the texts is no JSON.
    Malformed,
    /// The merged text would be longer than allowed.
    TooLong,
}

impl From<Malformed> for MergeError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// An object that is being read.
struct Open {
    /// Where it begins.
    at: usize,
    /// Where the patch's object that changes it begins.
    changes: usize,
    /// The member that has it as its value.
    holder: Link,
    /// Its last member so far.
    last: Link,
}

/// Applies `patch` to `target`, both JSON, for a merged text of `longest` bytes at the most.
///
/// # Errors
/// [`MergeError`].
///
/// # Cancellation
/// Dropping the future loses the work.
pub(crate) async fn merge(
    target: Option<&str>,
    patch: &str,
    longest: usize,
) -> Result<Vec<u8>, MergeError> {
    let pace = &mut Pace::default();
    let mut reader = Reader::at(patch, 0, pace);
    let (at, is_object) = reader.next_value().await;
    if !is_object {
        let value = reader.value().await?;
        return Writer::new(value.len(), longest, pace).value(value).await;
    }
    let hashing = Hashing::new();
    let (patch_members, changes) = read(patch, &hashing, None, pace).await?;
    let target = match target {
        Some(target) if Reader::at(target, 0, pace).next_value().await.1 => target,
        // RFC 7396, section 2: as if it were an empty object.
        _ => {
            let writer = Writer::new(patch.len(), longest, pace);
            return writer.patch(patch_members, changes).await;
        }
    };
    let read = read(target, &hashing, Some((&patch_members, at)), pace).await?;
    let writer = Writer::new(target.len() + patch.len(), longest, pace);
    writer.merged(read, (patch_members, changes)).await
}

/// How much memory a merge takes besides the texts, in bytes, at the most. That it is a member, no
/// text tells without a colon.
pub(crate) async fn memory(target: &str, patch: &str) -> usize {
    let pace = &mut Pace::default();
    let mut colons = 0;
    for piece in [target, patch]
        .iter()
        .flat_map(|text| text.as_bytes().chunks(Pace::PIECE))
    {
        colons += piece.iter().filter(|byte| **byte == b':').count();
        pace.after(piece.len() / 4).await;
    }
    colons * BYTES_EACH
}

/// Reads the members of a text which is an object: of all objects in it, or of those that change.
/// `changes` has the members of the patch, and where its outermost object begins. Returns the first
/// member of the outermost object too.
async fn read<'a>(
    text: &'a str,
    hashing: &'a Hashing,
    changes: Option<(&Members<'_>, usize)>,
    pace: &mut Pace,
) -> Result<(Members<'a>, Link), Malformed> {
    let mut members = Members::new(text, hashing);
    let mut reader = Reader::at(text, 0, pace);
    let (at, _) = reader.next_value().await;
    reader.enter();
    let (mut first, mut outer) = (None, Vec::new());
    let mut open = Open {
        at,
        changes: changes.map_or(0, |(_, at)| at),
        holder: None,
        last: None,
    };
    loop {
        let Some(name) = reader.name().await? else {
            let Some(around) = outer.pop() else {
                return Ok((members, first));
            };
            open = around;
            continue;
        };
        let name = (name, hashing.name(name, reader.pace()).await);
        let counterpart = match changes {
            Some((patch, _)) => patch.find(open.changes, name, reader.pace()).await?,
            None => None,
        };
        let (value, is_object) = reader.next_value().await;
        let (link, is_new) = members.add(open.at, name, value, reader.pace()).await?;
        members.get_mut(link)?.counterpart = counterpart;
        if is_new {
            match (open.last.replace(link), open.holder) {
                (Some(before), _) => members.get_mut(before)?.next = Some(link),
                (None, Some(holder)) => members.get_mut(holder)?.first = Some(link),
                (None, None) => first = Some(link),
            }
        }
        let inner_changes = match (changes, counterpart) {
            (None, _) => Some(0),
            (Some((patch, _)), Some(change)) => patch.object(change),
            (Some(_), None) => None,
        };
        if let Some(changes) = inner_changes.filter(|_| is_object) {
            reader.enter();
            let inner = Open {
                at: value,
                changes,
                holder: Some(link),
                last: None,
            };
            outer.push(std::mem::replace(&mut open, inner));
        } else {
            reader.value().await?;
        }
    }
}
