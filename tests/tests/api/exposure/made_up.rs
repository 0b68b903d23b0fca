//! Made-up requests: any method, path, query, headers and body, also of bytes that make no sense.

use std::fmt;

/// Pseudo-random numbers, the same for the same seed (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Some of these pieces, up to a length that is long now and then.
    fn repeated(&mut self, pieces: &[&str]) -> String {
        let most = [4, 40, 400, 4_000, 60_000][self.below(5)];
        let piece = self.pick(pieces);
        let mixed = self.one_in(2);
        let mut text = String::new();
        while text.len() < most {
            text.push_str(if mixed { self.pick(pieces) } else { piece });
            text.push_str(&self.below(1000).to_string());
        }
        text
    }

    /// Any byte here and there.
    fn spoil(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(4) {
            if !bytes.is_empty() {
                let place = self.below(bytes.len());
                bytes[place] = self.next().to_le_bytes()[0];
            }
        }
    }
}

const METHODS: &[&str] = &[
    "GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "X",
];

/// Paths that a token opens.
const GUARDED: &[&str] = &[
    "/api",
    "/api/",
    "/%61pi/v1/users/",
    "/api/v1/users/perform-action",
    "/api/v1/users/perform-action/",
    "/api/v1/users/attempt-action",
    "/api/v1/users/{id}",
    "/api/v1/users/{id}/lock",
    "/%61pi/v1/users/{id}/%6Cock",
    "/api/v1/users/{id}/locks/",
    "/api/v1/users/{id}/locks/build",
    "/api/v1/users/{id}/cache/k",
    "/api/v1/users/{id}/cache/last-action",
];

const OPEN: &[&str] = &[
    "/healthz",
    "/readyz",
    "/docs",
    "/docs/live",
    // The dearest: unpacked for a client that takes no compression.
    "/docs/swagger-ui.js",
    "/openapi.json",
    "/",
    "/apix",
    "/%2fapi",
];

const IDS: &[&str] = &[
    "7",
    "-7",
    "%37",
    "9223372036854775807",
    "9223372036854775808",
    "a.name~of_one-user",
    "0190163d-8694-739b-aea5-966c26f8ad91",
    "perform-action",
    "..",
];

const PARAMETERS: &[&str] = &[
    "user_id=7",
    "user_id=ada",
    "timeout=0",
    "timeout=0.05",
    "timeout=61",
    "expire=1",
    "expire=0.001",
    "expire=1e9",
    "wait=0.05",
    "wait=-1",
    "after=1",
    "after=18446744073709551616",
    "force=true",
    "force=yes",
    "compute=0.1",
    "compute=",
    "refresh=2",
    "refresh=2592001",
    "x=%00",
    "=",
];

const HEADERS: &[&str] = &[
    "If-Match",
    "If-None-Match",
    "Accept",
    "Accept-Encoding",
    "Cache-Control",
    "Forwarded",
    "traceparent",
    "tracestate",
    "Lock-Token",
    "Lock-Owner",
    "Compute-Token",
    "Idempotency-Key",
    "X-Request-Id",
    "Sec-Fetch-Site",
    "Origin",
    "Range",
    "Cookie",
    "spin-path-info",
];

const VALUES: &[&str] = &[
    "\"a\",",
    "W/\"",
    ",",
    ";q=0,",
    " ",
    "gzip,",
    "a=b,",
    "a=b; ",
    "00-",
    "\t",
    "é",
    "no-cache,",
    "a-token-of-somebody",
];

/// A request without its token.
pub(super) struct MadeUp {
    line: Vec<u8>,
    /// Without that of the host, each with its line end.
    headers: Vec<u8>,
    body: Vec<u8>,
    /// Whether the path is one that a token opens.
    pub(super) guarded: bool,
    /// Whether it asks for the readiness, which changes something for a moment.
    pub(super) probes: bool,
    /// Whether its headers are UTF-8.
    pub(super) text: bool,
    /// Whether its method is HEAD, so that its answer has no body.
    pub(super) head: bool,
    /// Whether it is said to end where it does.
    pub(super) whole: bool,
}

impl MadeUp {
    /// `GET /healthz`.
    pub(super) fn alive() -> Self {
        Self {
            line: b"GET /healthz HTTP/1.1\r\n".to_vec(),
            headers: b"Content-Length: 0\r\nConnection: close\r\n".to_vec(),
            body: Vec::new(),
            guarded: false,
            probes: false,
            text: true,
            head: false,
            whole: true,
        }
    }

    pub(super) fn new(random: &mut Random) -> Self {
        let method = random.pick(METHODS);
        let guarded = !random.one_in(4);
        let base = random.pick(if guarded { GUARDED } else { OPEN });
        let base = base.replace("{id}", random.pick(IDS));
        let mut rest = String::new();
        if random.one_in(5) && base.ends_with('/') {
            rest += &random.repeated(&["a", "%61", "%", "/", "%2f", ".", "%ff", "\"", "{"]);
        }
        if random.one_in(3) {
            let pieces = ["a&", "a=1&", "timeout=", "%", "%61&", "&", "=", "+", "é"];
            rest += &format!("?{}", random.repeated(&pieces));
        } else {
            for number in 0..random.below(5) {
                rest.push(if number == 0 { '?' } else { '&' });
                rest += random.pick(PARAMETERS);
            }
        }
        let mut headers = String::new();
        for _ in 0..random.below(6) {
            let name = random.pick(HEADERS);
            headers += &format!("{name}: {}\r\n", random.repeated(VALUES));
        }
        let mut made_up = Self {
            line: Vec::new(),
            headers: headers.into_bytes(),
            body: Vec::new(),
            guarded,
            probes: base == "/readyz",
            text: true,
            head: method == "HEAD",
            whole: true,
        };
        made_up.add_body(random);
        let mut rest = rest.into_bytes();
        rest.truncate(60_000);
        if random.one_in(6) {
            // Not the first byte, which ends the path.
            random.spoil(rest.get_mut(1..).unwrap_or_default());
            made_up.whole = false;
        }
        if random.one_in(6) {
            random.spoil(&mut made_up.headers);
            made_up.whole = false;
        }
        made_up.text = std::str::from_utf8(&made_up.headers).is_ok();
        let begin = format!("{method} {base}").into_bytes();
        made_up.line = [&begin[..], &rest, b" HTTP/1.1\r\n"].concat();
        made_up
    }

    fn add_body(&mut self, random: &mut Random) {
        if random.one_in(2) {
            let pieces = ["{\"a\":", "[", "1,", "\"", "\\u0000", "null", "é"];
            self.body = random.repeated(&pieces).into_bytes();
            if random.one_in(4) {
                random.spoil(&mut self.body);
            }
            let content = random.pick(&[
                "application/json",
                "application/merge-patch+json",
                "application/x-www-form-urlencoded",
                "application/json; charset=\"",
                "/",
            ]);
            let line = format!("Content-Type: {content}\r\n");
            self.headers.extend(line.into_bytes());
        }
        let length = self.body.len();
        let lengths = match random.below(8) {
            0 => {
                self.body = chunked(&self.body);
                "Transfer-Encoding: chunked\r\n".to_owned()
            }
            // The rest are lies.
            1 => {
                self.whole = false;
                "Transfer-Encoding: chunked\r\n".to_owned()
            }
            2 => {
                self.whole = false;
                format!(
                    "Content-Length: {}\r\n",
                    length + 1 + random.below(2_000_000)
                )
            }
            3 => {
                self.whole = false;
                format!("Content-Length: {}\r\n", random.below(length + 1))
            }
            4 => {
                self.whole = false;
                let value = random.pick(&["-1", "1, 2", "0x10", "99999999999999999999", ""]);
                format!("Content-Length: {value}\r\n")
            }
            5 => {
                self.whole = false;
                format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n")
            }
            _ => format!("Content-Length: {length}\r\n"),
        };
        self.headers.extend(lengths.into_bytes());
        self.headers.extend(b"Connection: close\r\n");
    }

    /// What is sent.
    pub(super) fn bytes(&self, token: Option<&str>) -> Vec<u8> {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        [
            &self.line[..],
            b"Host: x\r\n",
            token.as_bytes(),
            &self.headers,
            b"\r\n",
            &self.body,
        ]
        .concat()
    }
}

/// In chunks of 1000 bytes.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in body.chunks(1000) {
        all.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        all.extend(piece);
        all.extend(b"\r\n");
    }
    all.extend(b"0\r\n\r\n");
    all
}

impl fmt::Display for MadeUp {
    /// The beginnings of its parts.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |bytes: &[u8]| {
            let most = bytes.len().min(200);
            bytes[..most].escape_ascii().to_string()
        };
        let (line, headers) = (shown(&self.line), shown(&self.headers));
        write!(formatter, "{line} {headers} {}", shown(&self.body))
    }
}
