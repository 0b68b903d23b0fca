//! How lines of a history are printed.

use std::fmt;

use super::{
    Execution, InjectedFault, LeaseInterval, Listening, LongHold, Operation, RegisterOperation,
};

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {} {:?} of user {} by service {}: {}",
            self.sent.as_secs_f64(),
            self.answered.as_secs_f64(),
            self.id,
            self.verb,
            self.user,
            self.service,
            self.answer.as_deref().unwrap_or("no answer"),
        )?;
        match self.fencing_token {
            Some(number) => write!(f, ", fencing token {number}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {} at the origin for user {}, fencing token {}",
            self.began.as_secs_f64(),
            self.ended.as_secs_f64(),
            self.id,
            self.user,
            self.fencing_token,
        )
    }
}

impl fmt::Display for RegisterOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {} {}: {:?}, {}",
            self.sent.as_secs_f64(),
            self.answered.as_secs_f64(),
            self.id,
            self.register,
            self.effect,
            match self.done {
                Some(true) => "done",
                Some(false) => "refused",
                None => "unknown",
            },
        )
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6} BLPOP {} by service {} over connection {}",
            self.at.as_secs_f64(),
            self.list,
            self.service,
            self.connection,
        )
    }
}

impl fmt::Display for LongHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} the lock of user {} was held under token {}",
            self.from.as_secs_f64(),
            self.to.as_secs_f64(),
            self.user,
            self.token,
        )
    }
}

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {:?}, service {}",
            self.from.as_secs_f64(),
            self.to.as_secs_f64(),
            self.kind,
            self.service,
        )
    }
}

impl fmt::Display for LeaseInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {} lease held for user {}, fencing token {}",
            self.from.as_secs_f64(),
            self.to.as_secs_f64(),
            self.id,
            self.user,
            self.fencing_token,
        )
    }
}
