//! HTTP: one request to the service, with our token, and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::Agent;
use ureq::http::header::EXPECT;
use ureq::http::{HeaderName, Request};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};
use url::Url;

use crate::answer::Answer;
use crate::exit::{Code, Failure, Reach};
use crate::proxy;
use crate::service::{self, Service};

/// Who holds a lock, or breaks it.
pub(crate) const LOCK_OWNER: HeaderName = HeaderName::from_static("lock-owner");

/// How long a call may take beyond the wait that it asks for.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(5);

/// From this length on, a body is sent when the service wants it: a service that refuses it closes
/// the connection, and its answer may be lost while we send.
const LARGE: usize = 16 * 1024;

/// What RFC 3986 does not reserve stays as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One resource of one user.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    /// Its address, without parameters.
    url: String,
    /// The value of `Authorization`.
    authorization: Option<String>,
    /// What it means if the service does not find it.
    not_found: Code,
    /// What a failed connection is named after.
    peer: String,
    /// How many connections there were.
    connections: Arc<AtomicU64>,
}

/// Counts the connections: through the proxy, and with TLS where the address wants it. No
/// request is sent without one. The errors do not tell: a time-out may be before or after.
#[derive(Debug)]
struct Connected {
    count: Arc<AtomicU64>,
    /// Whether a proxy is asked for the connection. That to the proxy itself does not count.
    by_proxy: bool,
}

impl<In: Transport> Connector<In> for Connected {
    type Out = In;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        connection: Option<In>,
    ) -> Result<Option<In>, ureq::Error> {
        // ureq connects to a proxy as if it were a service without a proxy.
        let to_service = details.config.proxy().is_some() == self.by_proxy;
        if connection.is_some() && to_service {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(connection)
    }
}

/// A request, without what the [`Client`] knows.
#[derive(Default)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    /// With its `?`, or empty.
    pub(crate) query: String,
    pub(crate) headers: Vec<(HeaderName, &'a str)>,
    pub(crate) body: Option<&'a [u8]>,
    /// How long it may take.
    pub(crate) limit: Duration,
}

impl Client {
    /// For a user's entry in the cache.
    pub(crate) fn of_entry(service: &Service, key: &str) -> Result<Self, Failure> {
        Self::new(service, &["cache", key], Code::No)
    }

    /// For a user's own lock, or one that has a name.
    pub(crate) fn of_lock(service: &Service, name: Option<&str>) -> Result<Self, Failure> {
        // Every lock is there, held or free.
        let not_found = Code::Usage;
        match name {
            Some(name) => Self::new(service, &["locks", name], not_found),
            None => Self::new(service, &["lock"], not_found),
        }
    }

    fn new(service: &Service, path: &[&str], not_found: Code) -> Result<Self, Failure> {
        let proxy = proxy::of_environment(&service.url)?;
        let url = address(&service.public_url(), &service.user, path);
        let peer = match &proxy {
            Some(proxy) => format!("{url}, by the proxy {}:{}", proxy.host(), proxy.port()),
            None => url.clone(),
        };
        let by_proxy = proxy.is_some();
        let mut config = Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            // The API never redirects. The token must not go elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Calls are seconds apart: an idle connection would often be closed.
            .max_idle_connections(0);
        if let Some(file) = &service.cacert {
            let mut trusted = Vec::new();
            for item in parse_pem(&service::read(file)?) {
                match item {
                    Ok(PemItem::Certificate(certificate)) => trusted.push(certificate),
                    Ok(_) => {}
                    Err(error) => {
                        let why = format!("{}: {error}", file.display());
                        return Err(Failure::new(Code::NoInput, why));
                    }
                }
            }
            if trusted.is_empty() {
                let why = format!("{}: no certificate in PEM", file.display());
                return Err(Failure::new(Code::NoInput, why));
            }
            let trusted = RootCerts::Specific(Arc::new(trusted));
            config = config.tls_config(TlsConfig::builder().root_certs(trusted).build());
        }
        let connections = Arc::new(AtomicU64::new(0));
        let connected = Connected {
            count: Arc::clone(&connections),
            by_proxy,
        };
        let connector = DefaultConnector::new().chain(connected);
        Ok(Self {
            agent: Agent::with_parts(config.build(), connector, DefaultResolver::default()),
            url,
            authorization: service.authorization()?,
            not_found,
            peer,
            connections,
        })
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request. `Err` says why there is no answer.
    pub(crate) fn send(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let Self { url, peer, .. } = self;
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{url}{}", call.query));
        for (name, value) in &call.headers {
            request = request.header(name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if call.body.is_some_and(|body| body.len() >= LARGE) {
            request = request.header(EXPECT, "100-continue");
        }
        let connections = self.connections.load(Ordering::Relaxed);
        // A POST or PUT without a body would be sent in chunks, and not every proxy takes those.
        let empty = matches!(call.method, "POST" | "PUT").then_some([].as_slice());
        let sent = match call.body.or(empty) {
            Some(body) => request
                .body(body)
                .map(|request| self.run(request, call.limit)),
            None => request
                .body(())
                .map(|request| self.run(request, call.limit)),
        };
        // The error of a header does not show its value.
        sent.map_err(|error| no_answer(format!("{url}: {error}"), Reach::Unsent))?
            .map_err(|error| no_answer(format!("{peer}: {error}"), self.reach_since(connections)))
    }

    fn run(
        &self,
        request: Request<impl ureq::AsSendBody>,
        limit: Duration,
    ) -> Result<Answer, ureq::Error> {
        let request = self.agent.configure_request(request);
        let request = request.timeout_global(Some(limit)).build();
        Answer::read(self.agent.run(request)?)
    }

    /// Sends a request, once. An answer with another status than these is a failure: what else looks
    /// like a success is from somebody else, a login page for one.
    pub(crate) fn ask(&self, call: &Call<'_>, successes: &[u16]) -> Result<Answer, Failure> {
        let answer = self.send(call)?;
        if successes.contains(&answer.status) {
            Ok(answer)
        } else {
            Err(self.failure(&answer))
        }
    }

    /// Sends a request that is answered with nothing, once. Anybody may answer so, and edgelatch
    /// marks each of its answers.
    pub(crate) fn order(&self, call: &Call<'_>) -> Result<(), Failure> {
        let answer = self.ask(call, &[204])?;
        if answer.is_marked() {
            Ok(())
        } else {
            Err(self.stranger())
        }
    }

    /// How far a request without an answer came: there were so many connections before it.
    fn reach_since(&self, connections: u64) -> Reach {
        if self.connections.load(Ordering::Relaxed) == connections {
            Reach::Unsent
        } else {
            Reach::Sent
        }
    }

    /// For a success whose content is not edgelatch's.
    pub(crate) fn stranger(&self) -> Failure {
        let why = format!("{}: not an answer of edgelatch", self.url);
        Failure::new(Code::Unavailable, why)
    }

    /// What an answer that is no success means.
    pub(crate) fn failure(&self, answer: &Answer) -> Failure {
        let code = match answer.status {
            401 | 403 => Code::Unauthorized,
            // Not from edgelatch.
            _ if !answer.is_problem() => Code::Unavailable,
            404 if answer.is_of_api() => self.not_found,
            412 | 423 => Code::No,
            400..500 => Code::Usage,
            _ => Code::Unavailable,
        };
        let mut failure = Failure::new(code, self.why(answer));
        failure.is_lasting = (300..400).contains(&answer.status);
        failure.tells_outcome = answer.is_problem() && !answer.is_internal();
        failure
    }

    /// What an answer that is no success says, with the address that it is from.
    pub(crate) fn why(&self, answer: &Answer) -> String {
        let stranger = if answer.status < 400 {
            ", not an answer of edgelatch"
        } else {
            ""
        };
        format!("{}: {}{stranger}", self.url, answer.problem())
    }
}

fn no_answer(why: String, reach: Reach) -> Failure {
    let mut failure = Failure::new(Code::Unavailable, why);
    failure.reach = reach;
    failure
}

fn address(base: &Url, user: &str, path: &[&str]) -> String {
    let mut address = format!("{}/api/v1/users", base.as_str().trim_end_matches('/'));
    for segment in [user].iter().chain(path) {
        address.push('/');
        address.extend(utf8_percent_encode(segment, ENCODED));
    }
    address
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_segment_is_encoded() {
        let base = Url::parse("https://h.example/base/").unwrap();
        assert_eq!(
            address(&base, "a b/c", &["locks", "x:y?z"]),
            "https://h.example/base/api/v1/users/a%20b%2Fc/locks/x%3Ay%3Fz"
        );
        let base = Url::parse("http://h:1").unwrap();
        assert_eq!(
            address(&base, "-7", &["lock"]),
            "http://h:1/api/v1/users/-7/lock"
        );
    }
}
