//! Where a scan is in a text's grammar.

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Value,
    /// A value, or the end of an array that has just begun.
    FirstItem,
    Name,
    /// A name, or the end of an object that has just begun.
    FirstName,
    /// The rest of a string that is a value.
    RestOfString,
    /// The rest of a string that is a name.
    RestOfName,
    /// The colon between a name and its value.
    Colon,
    /// The rest of a number that is long, or may be too great.
    RestOfNumber,
    /// A comma, or the end of what the value is in.
    AfterValue,
}
