//! The same functions as in `spans.rs`, for a component without the feature `otel`: all of them do nothing.

use std::borrow::Cow;

use http::HeaderMap;

use super::Acquired;
use crate::answer::{RequestHead, Response};
use crate::lock::{FencingToken, LockError};
use crate::log::Log;
use crate::problem::Problem;

#[derive(Clone)]
pub(crate) struct Trace;

impl Trace {
    pub(crate) fn span(&self, _: &'static str) -> Span {
        Span
    }
}

pub(crate) struct Span;

impl Span {
    pub(crate) fn of_request(_: &HeaderMap) -> Self {
        Self
    }

    pub(crate) fn trace(&self) -> Trace {
        Trace
    }

    pub(crate) fn under(self, _: FencingToken) -> Self {
        self
    }

    pub(crate) fn headers<'a>(&self, of: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        Cow::Borrowed(of)
    }

    pub(crate) fn acquired<T: Acquired>(self, _: &Result<T, LockError>) {}

    pub(crate) fn ended<T, E: Clone + Into<Problem>>(self, _: &Result<T, E>) {}

    pub(crate) fn answered(self, _: &RequestHead, _: &Response, _: Log<'_>) {}
}
