//! Which service, which user, and who we are: the arguments that all subcommands share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use url::Url;

use crate::exit::{Code, Failure};

/// The variable with the token. It is read here and not by clap, which would print it.
pub(crate) const TOKEN: &str = "EDGELATCH_TOKEN";

/// The variables with what options say. One that is empty says nothing.
const OPTIONS: [&str; 5] = [
    "EDGELATCH_USER_ID",
    "EDGELATCH_URL",
    "EDGELATCH_TOKEN_FILE",
    "EDGELATCH_CACERT",
    "EDGELATCH_OWNER",
];

/// The longest time to live, in seconds: 30 days.
const LONGEST_EXPIRE: f64 = 2_592_000.0;

/// The longest time to wait, in seconds: a year.
const LONGEST_WAIT: f64 = 31_536_000.0;

/// The heading of these arguments in `--help`.
const HEADING: &str = "Service";

/// What every subcommand needs to know.
#[derive(Args, Clone)]
pub(crate) struct Service {
    /// The user's id, as the service's variable `user_ids` wants it
    #[arg(
        short,
        long,
        value_name = "ID",
        env = "EDGELATCH_USER_ID",
        help_heading = HEADING,
        allow_negative_numbers = true,
        value_parser = segment
    )]
    pub(crate) user: String,
    /// The address of the service
    #[arg(
        long,
        default_value = "http://127.0.0.1:9001",
        env = "EDGELATCH_URL",
        hide_env_values = true,
        help_heading = HEADING,
        value_parser = url
    )]
    pub(crate) url: Url,
    /// A file with the service's token. Without one, the variable EDGELATCH_TOKEN has it
    #[arg(long, value_name = "FILE", env = "EDGELATCH_TOKEN_FILE", help_heading = HEADING)]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with the certificates (PEM) that are trusted instead of the well-known authorities
    #[arg(long, value_name = "FILE", env = "EDGELATCH_CACERT", help_heading = HEADING)]
    pub(crate) cacert: Option<PathBuf>,
}

impl Service {
    /// The value of `Authorization`: the token, or else the login in the address.
    pub(crate) fn authorization(&self) -> Result<Option<String>, Failure> {
        let token = match &self.token_file {
            Some(file) => Some((
                String::from_utf8(read(file)?).ok(),
                file.display().to_string(),
            )),
            None => std::env::var_os(TOKEN).map(|token| (token.into_string().ok(), TOKEN.into())),
        };
        match token {
            Some((text, source)) => match text.as_deref().map(str::trim) {
                Some(text) if is_token(text) => Ok(Some(format!("Bearer {text}"))),
                // What it has instead is not shown: it may be most of a token.
                _ => {
                    let why = format!("no token in {source}");
                    Err(Failure::new(Code::Unauthorized, why))
                }
            },
            None => Ok(self.login().map(|login| format!("Basic {login}"))),
        }
    }

    fn login(&self) -> Option<String> {
        let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
        let (user, password) = (self.url.username(), self.url.password());
        if user.is_empty() && password.is_none() {
            return None;
        }
        let mut login = decode(user);
        login.push(b':');
        login.extend(decode(password.unwrap_or_default()));
        Some(STANDARD.encode(login))
    }

    /// The address without the user and the password that it may have.
    pub(crate) fn public_url(&self) -> Url {
        let mut url = self.url.clone();
        // An address with a host may have them, so they can be taken out.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    }
}

/// Visible ASCII: anything else cannot be in the header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Has empty variables count as unset, here and for a command under a lock. clap would take them for
/// values, and name the options instead of the variables. Only before there is another thread.
pub(crate) fn forget_empty_variables() {
    for name in OPTIONS {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            #[expect(unsafe_code, reason = "the environment belongs to all threads")]
            // SAFETY: there is no other thread yet.
            unsafe {
                std::env::remove_var(name);
            }
        }
    }
}

/// Reads a file that the command line names.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| {
        Failure::new(
            Code::NoInput,
            format!("cannot read {}: {error}", file.display()),
        )
    };
    std::fs::read(file).map_err(unreadable)
}

/// A text in which addresses have no user and no password. A password may be anything in a malformed
/// address, so all up to the last @ goes.
pub(crate) fn without_logins(text: &str) -> String {
    let scheme_ends = ["http:", "https:", "://"].into_iter();
    // Its bytes are where those of the text are.
    let lower_case = text.to_ascii_lowercase();
    let address = scheme_ends
        .filter_map(|scheme| Some(lower_case.find(scheme)? + scheme.len()))
        .min();
    match address.zip(text.rfind('@')) {
        Some((address, at)) if address <= at => {
            let rest = text[address..].trim_start_matches('/');
            let login = text.len() - rest.len();
            format!("{}{}", &text[..login], &text[at + 1..])
        }
        _ => text.to_owned(),
    }
}

/// Whether an address seems to have a login with a slash in it. A part of that would be the host
/// and the rest the path, which are printed.
pub(crate) fn has_broken_login(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = rest.find(['/', '\\', '?', '#']);
    path.is_some_and(|path| rest[path..].contains('@'))
}

pub(crate) fn expire(text: &str) -> Result<Duration, String> {
    seconds(text, 0.001, LONGEST_EXPIRE)
}

pub(crate) fn wait(text: &str) -> Result<Duration, String> {
    seconds(text, 0.0, LONGEST_WAIT)
}

fn seconds(text: &str, least: f64, most: f64) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (least..=most).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("seconds from {least} to {most}")),
    }
}

/// Seconds as they were written: 2.554, where [`Duration::as_secs_f64`] adds a fraction to the
/// seconds and gives 2.5540000000000003, which the service rounds up to the next millisecond.
pub(crate) fn decimal(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e9
}

/// A part of a path. Without it the address would be that of something else.
pub(crate) fn segment(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it must not be empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// What `Lock-Owner` may say.
pub(crate) fn owner(text: &str) -> Result<String, String> {
    let text = text.trim();
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if printable && (1..=128).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("1 to 128 visible ASCII characters and spaces".to_owned())
    }
}

fn url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.path().contains('@') || has_broken_login(text) => {
            Err("an address with @ after its login only".to_owned())
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            Err("an address without ? and #".to_owned())
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("an address that begins with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_numbers_within_bounds() {
        assert_eq!(expire("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-1", "NaN", "inf", "2592001", "ten", ""] {
            assert!(expire(wrong).is_err(), "{wrong}");
        }
        assert_eq!(wait("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn seconds_are_sent_as_they_were_written() {
        for text in ["0.001", "1.997", "2.554", "66.651", "10", "2591999.999"] {
            let sent = expire(text).map(|time| decimal(time).to_string());
            assert_eq!(sent.as_deref(), Ok(text));
        }
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        assert!(url("https://locks.example/base/").is_ok());
        assert!(url("127.0.0.1:9001").is_err());
        assert!(url("redis://127.0.0.1").is_err());
        assert!(url("http://h/?x=1").is_err() && url("http://h/#f").is_err());
        assert!(url("http://a:p%2Fw@h/b").is_ok() && url("http://h/a%40b").is_ok());
        for broken in [
            "http://a:1/w@h",
            r"http://a:1\w@h",
            "http:/a/w@h",
            "http:a/w@h",
        ] {
            assert!(url(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_text_loses_its_logins() {
        for (text, safe) in [
            ("'http://anna:pw@h/x' is", "'http://h/x' is"),
            (
                "http://anna:p/w@x@h and https://h2",
                "http://h and https://h2",
            ),
            ("a://b@c d@e ://", "a://e ://"),
            ("'http:/anna:p w@h'", "'http:/h'"),
            ("https:anna:pw@h", "https:h"),
            ("'HTTP:anna:pw@h'", "'HTTP:h'"),
            ("Https:anna:pw@h", "Https:h"),
            ("http:///@h", "http:///h"),
            ("me@home at http://h", "me@home at http://h"),
            ("no address, me@home", "no address, me@home"),
        ] {
            assert_eq!(without_logins(text), safe);
        }
    }
}
