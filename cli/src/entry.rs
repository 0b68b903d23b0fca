//! `get`, `put`, `patch` and `delete`: one entry of a user's cache.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ureq::http::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::exit::{self, Code, Failure};
use crate::service::{self, Service, decimal, expire, segment};

/// How long a call may take. Values may be large.
const LIMIT: Duration = Duration::from_secs(30);

/// Print a cache entry, byte for byte as it was stored
///
/// Exits with 1 if there is no such entry.
#[derive(Args)]
pub(crate) struct Get {
    #[command(flatten)]
    service: Service,
    /// The entry's key
    #[arg(value_parser = segment)]
    key: String,
    #[command(flatten)]
    etag: EtagFile,
}

/// Store a cache entry
#[derive(Args)]
pub(crate) struct Put {
    #[command(flatten)]
    service: Service,
    /// The entry's key
    #[arg(value_parser = segment)]
    key: String,
    /// The value: JSON, @FILE, or - for standard input. What else begins with a hyphen and is no
    /// number follows --
    #[arg(default_value = "-", allow_negative_numbers = true)]
    value: String,
    /// How long it is kept, in seconds [default: the service's `cache_expire`]
    #[arg(long, value_name = "SECONDS", value_parser = expire)]
    expire: Option<Duration>,
    /// Only if the entry has this entity tag; with *, only if there is an entry
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_match: Option<String>,
    /// With *, only if there is no entry; with an entity tag, only if the entry has another
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_none_match: Option<String>,
    #[command(flatten)]
    etag: EtagFile,
}

/// Merge a JSON merge patch (RFC 7396) into a cache entry, and print the result
///
/// Exits with 1 if there is no such entry.
#[derive(Args)]
pub(crate) struct Patch {
    #[command(flatten)]
    service: Service,
    /// The entry's key
    #[arg(value_parser = segment)]
    key: String,
    /// The patch: JSON, @FILE, or - for standard input. What else begins with a hyphen and is no
    /// number follows --
    #[arg(default_value = "-", allow_negative_numbers = true)]
    patch: String,
    /// How long the entry is kept from now on, in seconds [default: as before]
    #[arg(long, value_name = "SECONDS", value_parser = expire)]
    expire: Option<Duration>,
    /// Only if the entry has this entity tag
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_match: Option<String>,
    #[command(flatten)]
    etag: EtagFile,
}

/// Delete a cache entry, whether or not it exists
#[derive(Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    service: Service,
    /// The entry's key
    #[arg(value_parser = segment)]
    key: String,
    /// Only if the entry has this entity tag; with *, only if there is an entry
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_match: Option<String>,
}

#[derive(Args)]
struct EtagFile {
    /// Write the entry's entity tag to this file, for --if-match "$(cat FILE)"
    #[arg(long, value_name = "FILE")]
    etag_save: Option<PathBuf>,
}

/// The command line, where a value is no option, whatever it begins with.
pub(crate) fn with_any_value(command: clap::Command) -> clap::Command {
    let any = |command: clap::Command, value| {
        command.mut_arg(value, |value| {
            value
                .allow_negative_numbers(false)
                .allow_hyphen_values(true)
        })
    };
    command
        .mut_subcommand("put", |put| any(put, "value"))
        .mut_subcommand("patch", |patch| any(patch, "patch"))
}

impl Get {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let client = Client::of_entry(&self.service, &self.key)?;
        let call = Call {
            method: "GET",
            limit: LIMIT,
            ..Call::default()
        };
        let answer = ask(&client, &call, &[200], Answer::says_json)?;
        self.etag.save(&answer)?;
        exit::print(&answer.body)
    }
}

impl Put {
    /// Whether its value begins with a hyphen, and is no option.
    pub(crate) fn has_negative_number(&self) -> bool {
        is_negative_number(&self.value)
    }

    pub(crate) fn run(&self) -> Result<(), Failure> {
        let client = Client::of_entry(&self.service, &self.key)?;
        self.etag.check()?;
        let value = read_value(&self.value)?;
        let mut headers = vec![(CONTENT_TYPE, "application/json")];
        add(&mut headers, IF_MATCH, self.if_match.as_deref());
        add(&mut headers, IF_NONE_MATCH, self.if_none_match.as_deref());
        let call = Call {
            method: "PUT",
            query: expire_query(self.expire),
            headers,
            body: Some(&value),
            limit: LIMIT,
        };
        let is_empty = |answer: &Answer| answer.body.is_empty();
        let answer = ask(&client, &call, &[200, 201], is_empty)?;
        self.etag.save(&answer)
    }
}

impl Patch {
    /// Whether its value begins with a hyphen, and is no option.
    pub(crate) fn has_negative_number(&self) -> bool {
        is_negative_number(&self.patch)
    }

    pub(crate) fn run(&self) -> Result<(), Failure> {
        let client = Client::of_entry(&self.service, &self.key)?;
        self.etag.check()?;
        let patch = read_value(&self.patch)?;
        let mut headers = vec![(CONTENT_TYPE, "application/merge-patch+json")];
        add(&mut headers, IF_MATCH, self.if_match.as_deref());
        let call = Call {
            method: "PATCH",
            query: expire_query(self.expire),
            headers,
            body: Some(&patch),
            limit: LIMIT,
        };
        let answer = ask(&client, &call, &[200], Answer::says_json)?;
        self.etag.save(&answer)?;
        exit::print(&answer.body)
    }
}

impl Delete {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let client = Client::of_entry(&self.service, &self.key)?;
        let mut headers = Vec::new();
        add(&mut headers, IF_MATCH, self.if_match.as_deref());
        let call = Call {
            method: "DELETE",
            headers,
            limit: LIMIT,
            ..Call::default()
        };
        client.order(&call)
    }
}

impl EtagFile {
    /// Before a change, whose entity tag would be lost.
    fn check(&self) -> Result<(), Failure> {
        let Some(file) = &self.etag_save else {
            return Ok(());
        };
        let opened = OpenOptions::new().create(true).append(true).open(file);
        opened.map(drop).map_err(|error| unwritable(file, &error))
    }

    fn save(&self, answer: &Answer) -> Result<(), Failure> {
        let (Some(file), Some(etag)) = (&self.etag_save, answer.header("etag")) else {
            return Ok(());
        };
        let written = std::fs::write(file, format!("{etag}\n"));
        written.map_err(|error| unwritable(file, &error))
    }
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    let why = format!("cannot write {}: {error}", file.display());
    Failure::new(Code::Output, why)
}

/// Asks for an entry, or changes it. Anybody may answer with 200, and edgelatch tells the entity tag
/// and marks each of its answers.
fn ask(
    client: &Client,
    call: &Call<'_>,
    successes: &[u16],
    has_its_content: impl Fn(&Answer) -> bool,
) -> Result<Answer, Failure> {
    let answer = client.ask(call, successes)?;
    if has_its_content(&answer) && answer.header("etag").is_some() && answer.is_marked() {
        Ok(answer)
    } else {
        Err(client.stranger())
    }
}

fn add<'a>(headers: &mut Vec<(HeaderName, &'a str)>, name: HeaderName, value: Option<&'a str>) {
    headers.extend(value.map(|value| (name, value)));
}

fn expire_query(expire: Option<Duration>) -> String {
    expire.map_or_else(String::new, |expire| format!("?expire={}", decimal(expire)))
}

/// A value that is an argument, in a file, or comes from standard input.
fn read_value(text: &str) -> Result<Vec<u8>, Failure> {
    if text == "-" {
        let mut value = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut value);
        return match read {
            Ok(_) => Ok(value),
            Err(error) => Err(Failure::new(
                Code::NoInput,
                format!("standard input: {error}"),
            )),
        };
    }
    // clap takes -007 for a number. After `--`, the service says what it thinks.
    if text.starts_with('-')
        && !is_negative_number(text)
        && !std::env::args_os().any(|argument| argument == "--")
    {
        let why = format!("{text} is neither an option nor a number of JSON");
        return Err(Failure::new(Code::Usage, why));
    }
    match text.strip_prefix('@') {
        Some("") => Err(Failure::new(Code::Usage, "@ needs the name of a file")),
        Some(file) => service::read(file.as_ref()),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// Whether it is a number of JSON that begins with a hyphen.
fn is_negative_number(text: &str) -> bool {
    text.starts_with('-') && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// An entity tag as it is sent. A shell easily loses its quotes.
fn etag(text: &str) -> Result<String, String> {
    match text.trim() {
        text if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("an entity tag such as \"5f3a\", or *".to_owned())
        }
        text if text == "*" || text.ends_with('"') => Ok(text.to_owned()),
        text => Ok(format!("\"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_gets_its_quotes() {
        for (text, sent) in [("*", "*"), ("5f3a", "\"5f3a\""), ("\"5f3a\"\n", "\"5f3a\"")] {
            assert_eq!(etag(text).as_deref(), Ok(sent));
        }
        assert!(etag("").is_err());
        assert!(etag("a b").is_err());
    }
}
