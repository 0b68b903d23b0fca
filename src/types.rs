//! Small types with private fields, and pure functions. They are parsed once, at the edge; nothing
//! inside checks them again. This layer imports no other.

pub(crate) mod backoff;
pub(crate) mod digest;
pub(crate) mod error_code;
pub mod etag;
pub(crate) mod header_names;
pub(crate) mod json;
pub mod keys;
pub(crate) mod media_type;
pub mod name;
pub(crate) mod random;
pub mod request_id;
pub(crate) mod seconds;
pub mod ttl;
pub mod user_id;
