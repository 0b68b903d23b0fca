//! What is done about a command that failed: which errors are met with a second try, where and
//! when, and which with a new connection.

use super::{Code, RedisErrorKind};

/// Whether a command may be sent a second time when its first answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing, or the second time finds by its token what the first one did.
    Safe,
    /// The second time might undo what others did in between.
    Unsafe,
}

/// What a failed command calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Send it to the node that the redirection names.
    FollowRedirection,
    /// Send it to the node that the redirection names, this once, behind `ASKING`.
    Ask,
    /// Send it again a little later: its keys are on their way to another node.
    TryLater,
    /// Send it once more over a new connection, if that is [`Repeat::Safe`].
    RepeatOnNewConnection,
    /// Tell the error. The next command gets a new connection: after a failover, or where the login
    /// is gone, that may do better.
    ReconnectForOthers,
    /// Tell the error.
    Nothing,
}

/// What an error of this kind calls for. A time-out calls for nothing: the command may still be
/// carried out.
pub(super) fn remedy(kind: RedisErrorKind) -> Remedy {
    match kind {
        RedisErrorKind::Refused(Code::Moved) => Remedy::FollowRedirection,
        RedisErrorKind::Refused(Code::Ask) => Remedy::Ask,
        RedisErrorKind::Refused(Code::TryAgain) => Remedy::TryLater,
        RedisErrorKind::Unreachable => Remedy::RepeatOnNewConnection,
        RedisErrorKind::Refused(Code::ReadOnly | Code::NoAuth | Code::MasterDown) => {
            Remedy::ReconnectForOthers
        }
        RedisErrorKind::TimedOut | RedisErrorKind::Refused(_) | RedisErrorKind::Unexpected => {
            Remedy::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broken_connection_is_met_with_a_second_try() {
        for (kind, expected) in [
            (RedisErrorKind::Unreachable, Remedy::RepeatOnNewConnection),
            (RedisErrorKind::TimedOut, Remedy::Nothing),
            (RedisErrorKind::Refused(Code::Loading), Remedy::Nothing),
            (
                RedisErrorKind::Refused(Code::ReadOnly),
                Remedy::ReconnectForOthers,
            ),
            (
                RedisErrorKind::Refused(Code::Moved),
                Remedy::FollowRedirection,
            ),
        ] {
            assert_eq!(remedy(kind), expected, "{kind:?}");
        }
    }
}
