//! A Redis that wants TLS and a password, and what a server needs to log in.
//!
//! Its certificate is from an authority that exists for this run only. A runner trusts the
//! authorities in the file that SSL_CERT_FILE names: there we put those of the machine, which a
//! runner reads for each new connection, and ours behind them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use edgelatch_tests::RedisServer;

use crate::programs::Programs;
use crate::server::free_port;

/// Where systems keep the certificates of authorities: Debian and its kind, Fedora and its kind.
const AUTHORITIES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// The password of the Redis.
const PASSWORD: &str = "a-password-of-the-benchmark";

/// How to log in.
pub(crate) struct Login {
    pub(crate) password: String,
    /// The certificates of the authorities that are trusted.
    pub(crate) authorities: PathBuf,
}

/// A Redis with TLS and a password. It also has a port without TLS, for the benchmark itself.
pub(crate) struct SecuredRedis {
    pub(crate) redis: RedisServer,
    pub(crate) login: Login,
    pub(crate) tls_port: u16,
    /// The certificates. It is removed on drop.
    pub(crate) folder: tempfile::TempDir,
}

impl SecuredRedis {
    /// Starts one.
    ///
    /// # Errors
    /// If certificates can't be made.
    pub(crate) async fn start(programs: &Programs) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        certify(programs.openssl()?, at)?;
        let authorities = at.join("authorities.pem");
        let machine = AUTHORITIES.iter().find_map(|file| fs::read(file).ok());
        let own = fs::read(at.join("authority.pem"))?;
        fs::write(
            &authorities,
            [machine.unwrap_or_default(), own].join(&b'\n'),
        )?;
        let tls_port = free_port()?;
        let file = |name: &str| at.join(name).display().to_string();
        let redis = RedisServer::start_with(&[
            "--requirepass",
            PASSWORD,
            "--tls-port",
            &tls_port.to_string(),
            "--tls-cert-file",
            &file("redis.pem"),
            "--tls-key-file",
            &file("redis.key"),
            "--tls-ca-cert-file",
            &file("authority.pem"),
            "--tls-auth-clients",
            "no",
        ])
        .await;
        let login = Login {
            password: PASSWORD.to_owned(),
            authorities,
        };
        Ok(Self {
            redis,
            login,
            tls_port,
            folder,
        })
    }
}

/// Makes an authority, and a certificate of it for 127.0.0.1, in this folder.
fn certify(openssl: &Path, folder: &Path) -> anyhow::Result<()> {
    fs::write(
        folder.join("names"),
        "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for arguments in [
        format!("req -x509 {key} -days 2 -subj /CN=bench -keyout authority.key -out authority.pem"),
        format!("req -new {key} -subj /CN=redis -keyout redis.key -out redis.csr"),
        "x509 -req -in redis.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 \
         -extfile names -out redis.pem"
            .to_owned(),
    ] {
        let output = Command::new(openssl)
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .output()
            .context("openssl could not be run")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "openssl {arguments} failed: {complaint}"
        );
    }
    Ok(())
}
