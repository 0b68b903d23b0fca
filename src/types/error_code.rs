//! The name of an error, the same for a caller, in the log and in a span.

/// An error with a name.
pub(crate) trait ErrorCode {
    /// The name: lower case, with hyphens. A caller reads it at the end of a problem's `type`, the
    /// log has it as `outcome`, a span as `error.type`.
    fn code(&self) -> &'static str;
}
