//! Every problem of this service, by name.

use http::StatusCode;

use super::{InputFault, Problem, retry_after_seconds};
use crate::core::lock::{COULD_NOT_ACQUIRE, HeldBy};

impl Problem {
    /// 401: the bearer token is missing or wrong (RFC 6750, section 3).
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Authentication required",
            "This needs the header `Authorization: Bearer <api_token>` with the right token",
        )
        .refusing()
    }

    /// 404: there is nothing at this path.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            "There is nothing at this path",
        )
    }

    /// 404: there is no such cache entry.
    pub(crate) fn nothing_cached() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            "There is no such entry: it was never stored, was deleted, or expired",
        )
    }

    /// 404: there is no such cache entry, and it is for this caller to compute it.
    pub(crate) fn compute_granted() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "compute-granted",
            "Yours to compute",
            "There is no such entry and nobody computes it: compute it and send it by PUT with this answer's Compute-Token",
        )
    }

    /// 409: the `Compute-Token` is not that of the entry's computing, or no longer.
    pub(crate) fn not_computing() -> Self {
        Self {
            detail: "This Compute-Token is not that of who computes the entry now: its time was up, it was used or given up, or the entry was stored without it; nothing was stored".into(),
            ..Self::not_lock_owner()
        }
    }

    /// 404: there is a value, but it is not JSON. The caller is told of none; the log has why.
    pub(crate) fn not_json_cached() -> Self {
        Self::nothing_cached().caused_by("the value in Redis is not JSON")
    }

    /// 423: others kept writing in between.
    pub(crate) fn overtaken() -> Self {
        Self::entry_contended("Others kept changing this entry; nothing of this request was stored")
    }

    /// 423: this instance had so much to merge that no time was left.
    pub(crate) fn too_much_to_merge() -> Self {
        Self::entry_contended(
            "This service had too much to merge at once; nothing of this request was stored",
        )
    }

    fn entry_contended(detail: &'static str) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::LOCKED,
                "entry-contended",
                "Too many at once",
                detail,
            )
        }
    }

    /// 405: the path does not take this method. The router adds `Allow`.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Method not allowed",
            "This path does not take this method; the header `Allow` lists those that it takes",
        )
    }

    /// 422: parameters that break their rules, all of them.
    pub fn invalid_request(errors: Vec<InputFault>) -> Self {
        let total = errors.len();
        Self::invalid_request_of(errors, total)
    }

    /// 422: `total` parameters break their rules. `errors` has all of them or the first ones.
    pub(crate) fn invalid_request_of(errors: Vec<InputFault>, total: usize) -> Self {
        let sentences: Vec<_> = errors
            .iter()
            .map(|fault| format!("{} {}: {}", fault.loc[0], fault.loc[1], fault.msg))
            .collect();
        let sentences = sentences.join("; ");
        let detail = if total > errors.len() {
            format!(
                "{total} faults, of which {} are listed: {sentences}",
                errors.len()
            )
        } else {
            sentences
        };
        Self {
            errors: errors.into(),
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-request",
                "Invalid request",
                detail,
            )
        }
    }

    /// 403: a page of another site sent this, in a browser that can reach the service.
    pub(crate) fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross-site",
            "Cross-site request",
            "A page of another site sent this, and the service has no api_token; nothing was done",
        )
        .refusing()
    }

    /// 403: this is for whoever has the `admin_token`.
    pub(crate) fn admin_only() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "admin-only",
            "For administrators only",
            "This needs the header `Authorization: Bearer <admin_token>`, and a service with an admin_token; nothing was done",
        )
        .refusing()
    }

    /// 413: the body is longer than `max_body_bytes`.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "Body too large",
            format!("The request body is longer than {limit} bytes"),
        )
    }

    /// 413: what comes of a merge is longer than `max_body_bytes`, so that it could not have been
    /// put.
    pub(crate) fn merged_too_large(limit: usize) -> Self {
        Self {
            detail: format!("The entry with this patch applied is longer than {limit} bytes; nothing was changed")
                .into(),
            ..Self::body_too_large(limit)
        }
    }

    /// 415: the body says that it is not JSON.
    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            "The body must be JSON: send `Content-Type: application/json` (with curl: `--json` instead of `-d`)",
        )
    }

    /// 415: the body of a PATCH is not a merge patch.
    pub(crate) fn not_a_merge_patch() -> Self {
        Self {
            detail: "The body must be a JSON merge patch: send `Content-Type: application/merge-patch+json`".into(),
            ..Self::unsupported_media_type()
        }
    }

    /// 400: the body is not JSON.
    pub(crate) fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed-json",
            "Malformed JSON",
            detail,
        )
    }

    /// 423: somebody else holds the lock (RFC 4918, section 11.3).
    pub(crate) fn lock_held(by: HeldBy) -> Self {
        Self {
            retry_after: Some(retry_after_seconds(by.remaining)),
            held_by: Some(Box::new(by)),
            ..Self::new(
                StatusCode::LOCKED,
                "lock-held",
                "Lock held",
                COULD_NOT_ACQUIRE,
            )
        }
    }

    /// 409: the lock was lost while the action ran.
    pub(crate) fn lock_lost() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "lock-lost",
            "Lock lost",
            "The lock expired or was taken while the action ran; the action was stopped and its result was not kept",
        )
    }

    /// 409: the `Lock-Token` does not hold the lock, or no longer.
    pub(crate) fn not_lock_owner() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "not-lock-owner",
            "Not the lock's owner",
            "This Lock-Token does not hold the lock: it expired, was given back, or is somebody else's",
        )
    }

    /// 428: there is no `Lock-Token` (RFC 6585, section 3).
    pub(crate) fn lock_token_required() -> Self {
        Self::new(
            StatusCode::PRECONDITION_REQUIRED,
            "lock-token-required",
            "Lock-Token required",
            "Send the token that the lock was acquired with in the header `Lock-Token`",
        )
    }

    /// 400: the `Lock-Token` is malformed.
    pub(crate) fn lock_token_invalid() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "lock-token-invalid",
            "Lock-Token invalid",
            "The header `Lock-Token` must be there once and hold 16 to 128 visible ASCII characters",
        )
    }

    /// 409: the entry is written by actions alone.
    pub(crate) fn reserved_key() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "reserved-key",
            "Reserved key",
            "`last-action` is written by actions; it can be read and deleted",
        )
    }

    /// 412: `If-Match` or `If-None-Match` does not hold.
    pub(crate) fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "Precondition failed",
            "If-Match or If-None-Match does not hold for what is stored; nothing was changed",
        )
    }

    /// 400: the `Idempotency-Key` is malformed.
    pub(crate) fn idempotency_key_invalid() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "idempotency-key-invalid",
            "Idempotency-Key invalid",
            "The header `Idempotency-Key` must be there once and hold 1 to 255 visible ASCII characters",
        )
    }

    /// 422: the `Idempotency-Key` belongs to another request.
    pub(crate) fn idempotency_key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "Idempotency-Key reused",
            "This Idempotency-Key was used for a request with another body or another expire",
        )
    }

    /// 503: somebody else has written at the key of the stored answer.
    pub(crate) fn strange_answer() -> Self {
        let problem = Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "redis-unavailable",
                "Redis unavailable",
                "Another program has written over the answer stored for this Idempotency-Key: \
                 whether the action ran is not known, and it did not run now",
            )
        };
        problem.caused_by("what is stored for an Idempotency-Key is no answer of this service")
    }

    /// 500: the settings are wrong. Which ones, the log says.
    pub(crate) fn misconfigured() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "misconfigured",
            "Misconfigured",
            "A variable of this service has a value that it can't take; its log names the variable",
        )
    }

    /// 500: something that should not happen.
    pub(crate) fn internal(cause: impl ToString) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "Something unforeseen went wrong; the log has the cause under this request's id",
        )
        .caused_by(cause)
    }
}
