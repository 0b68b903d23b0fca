//! Converts between the requests and answers of `wasi:http` and those of the `http` crate.
//!
//! The SDK's own conversions serve bodies of any kind. These rely on two facts: every answer is whole
//! before it is sent, and most requests have no body. So they make fewer host calls: five instead of
//! eleven for the head of a request.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields};
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use spin_sdk::wasip3::{wit_future, wit_stream};

use super::response::{Response, Undelivered};

/// A request whose head has been read.
pub(crate) type Request = http::Request<RequestBody>;

/// The body of a request that has not been read.
pub(crate) struct RequestBody(types::Request);

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum ReadBodyError {
    /// It is longer than allowed.
    TooLong,
    /// It broke off.
    Failed(ErrorCode),
}

/// The largest buffer allocated before any byte of a body has arrived. An announced body may never
/// come.
const FIRST_ROOM: usize = 128 << 10;

impl RequestBody {
    /// The `Host` of the request, or the authority that stood for it.
    pub(super) fn authority(&self) -> Option<String> {
        self.0.get_authority()
    }

    /// Reads the body, to its announced `Content-Length` or to its end. A length of 0 costs no host
    /// call.
    ///
    /// # Errors
    /// Where it is longer than `limit` bytes, or can't be read.
    ///
    /// # Cancellation
    /// Dropping the future loses what was read, and the rest is not read.
    pub(crate) async fn read(
        self,
        announced: Option<usize>,
        limit: usize,
    ) -> Result<Bytes, ReadBodyError> {
        if announced == Some(0) {
            return Ok(Bytes::new());
        }
        let (_read, outcome) = wit_future::new(|| Ok(()));
        let (mut contents, trailers) = types::Request::consume_body(self.0, outcome);
        let mut body = Vec::with_capacity(announced.unwrap_or(0).clamp(1 << 10, FIRST_ROOM));
        loop {
            let (result, so_far) = contents.read(body).await;
            body = so_far;
            if body.len() > limit {
                return Err(ReadBodyError::TooLong);
            }
            if announced == Some(body.len()) {
                // Only the end follows. Waiting for it would take two more host calls.
                return Ok(body.into());
            }
            if result == StreamResult::Dropped {
                break;
            }
            if body.len() == body.capacity() {
                body.reserve(body.len());
            }
        }
        trailers.await.map_err(ReadBodyError::Failed)?;
        Ok(body.into())
    }
}

/// What the names of the headers begin with that Spin adds: the route and its parts, mostly.
const OF_SPIN: &str = "spin-";

/// The one of them that tells what can't be had otherwise.
const CLIENT_ADDRESS: &str = "spin-client-addr";

/// Reads the head of a request. Its URI is that of the request line, without the authority. Most of
/// Spin's own headers are left out: there are six, and parsing them took longer than the others.
///
/// # Errors
/// Where the host hands over what is no HTTP.
pub(crate) fn request(request: types::Request) -> Result<Request, ErrorCode> {
    // `CONNECT` has none.
    let mut uri = request.get_path_with_query().unwrap_or_default();
    // `http://host?query` has an empty path, which is `/` (RFC 9110, section 4.2.3).
    if !uri.starts_with(['/', '*']) {
        uri.insert(0, '/');
    }
    let uri = Uri::try_from(uri).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let method =
        Method::try_from(request.get_method()).map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let mut entries = request.get_headers().copy_all();
    entries.retain(|(name, _)| !name.starts_with(OF_SPIN) || name == CLIENT_ADDRESS);
    let mut headers = HeaderMap::try_with_capacity(entries.len()).map_err(invalid)?;
    for (name, value) in entries {
        let name = HeaderName::try_from(name).map_err(invalid)?;
        let value = HeaderValue::try_from(value).map_err(invalid)?;
        headers.try_append(name, value).map_err(invalid)?;
    }
    let mut request = http::Request::new(RequestBody(request));
    *request.uri_mut() = uri;
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Hands over an answer. The body's write starts before the head is returned, so the host has both
/// when it begins to send. If the client has hung up, the host takes no body. Then this does what
/// the answer's [`Undelivered`] says.
///
/// # Errors
/// Where a header is one that the host does not let through.
///
/// # Cancellation
/// Dropping the future drops the answer.
pub(crate) async fn response(response: Response) -> Result<types::Response, ErrorCode> {
    let (mut head, body) = response.into_parts();
    let undelivered: Option<Undelivered> = head.extensions.remove();
    let entries = head.headers.iter();
    let entries: Vec<_> = entries
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let fields = Fields::from_list(&entries).map_err(invalid)?;
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, sending): (_, Pin<Box<dyn Future<Output = ()>>>) = if body.is_empty() {
        let (response, _) = types::Response::new(fields, None, no_trailers);
        (
            response,
            Box::pin(async { drop(trailers.write(Ok(None)).await) }),
        )
    } else {
        let (mut contents, content) = wit_stream::new();
        let (response, _) = types::Response::new(fields, Some(content), no_trailers);
        let sending = async move {
            // The host reads both by then, so the second write ends at once. Started together, each
            // would end with a host call of its own.
            let left = contents.write_all(body.into()).await;
            if let Some(undelivered) = undelivered.filter(|_| !left.is_empty()) {
                undelivered.undo();
            }
            drop(contents);
            drop(trailers.write(Ok(None)).await);
        };
        (response, Box::pin(sending))
    };
    if head.status != StatusCode::OK {
        response
            .set_status_code(head.status.as_u16())
            .map_err(|()| ErrorCode::InternalError(None))?;
    }
    if let Some(sending) = begun(sending).await {
        wit_bindgen::spawn(sending);
    }
    Ok(response)
}

/// Polls a future once; `None` if that ended it.
async fn begun<F: Future<Output = ()> + Unpin>(mut future: F) -> Option<F> {
    let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut future).poll(context))).await;
    polled.is_pending().then_some(future)
}

fn invalid(error: impl ToString) -> ErrorCode {
    ErrorCode::InternalError(Some(error.to_string()))
}
