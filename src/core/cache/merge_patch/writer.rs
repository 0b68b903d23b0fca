//! Writes what came of a merge.

use std::borrow::Cow;

use indexmap::map::Values;

use super::{Change, Members, Merged};
use crate::platform::long_work::Pace;

/// A value to write.
#[derive(Clone, Copy)]
enum Value<'m> {
    Merged(&'m Merged<'m>),
    Change(&'m Change<'m>),
}

/// The members of an object that are still to be written.
enum Rest<'m> {
    Merged(Values<'m, Cow<'m, str>, (&'m str, Merged<'m>)>),
    Changes(Values<'m, Cow<'m, str>, (&'m str, Change<'m>)>),
}

impl<'m> Rest<'m> {
    fn merged(members: &'m Members<'m, Merged<'m>>) -> Self {
        Self::Merged(members.values())
    }

    fn changes(members: &'m Members<'m, Change<'m>>) -> Self {
        Self::Changes(members.values())
    }

    /// The next member that is not removed.
    fn next(&mut self) -> Option<(&'m str, Value<'m>)> {
        match self {
            Self::Merged(members) => {
                let (name, value) = members.next()?;
                Some((name, Value::Merged(value)))
            }
            Self::Changes(changes) => {
                let present = |(_, change): &&(_, Change<'m>)| !matches!(change, Change::Remove);
                let (name, change) = changes.find(present)?;
                Some((name, Value::Change(change)))
            }
        }
    }
}

/// Writes a value; `room` is how many bytes it may come to.
pub(super) async fn write(value: &Merged<'_>, room: usize, pace: &mut Pace) -> String {
    let mut text = String::with_capacity(room);
    let mut objects: Vec<Rest<'_>> = Vec::new();
    let mut value = Value::Merged(value);
    loop {
        let before = text.len();
        match value {
            Value::Merged(Merged::Same(same)) => text.push_str(same),
            Value::Merged(Merged::Patched(Change::Replace(new)))
            | Value::Change(Change::Replace(new)) => text.push_str(new),
            Value::Merged(Merged::Object(members)) => {
                text.push('{');
                objects.push(Rest::merged(members));
            }
            Value::Merged(Merged::Patched(Change::Merge(changes)))
            | Value::Change(Change::Merge(changes)) => {
                text.push('{');
                objects.push(Rest::changes(changes));
            }
            // Removals are not members of what is written.
            Value::Merged(Merged::Patched(Change::Remove)) | Value::Change(Change::Remove) => {}
        }
        pace.after(text.len() - before).await;
        value = loop {
            let Some(members) = objects.last_mut() else {
                return text;
            };
            match members.next() {
                Some((name, value)) => {
                    if !text.ends_with('{') {
                        text.push(',');
                    }
                    text.push_str(name);
                    text.push(':');
                    break value;
                }
                None => {
                    text.push('}');
                    objects.pop();
                }
            }
        };
    }
}
