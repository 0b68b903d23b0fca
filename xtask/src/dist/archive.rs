//! A `.tar.gz` with the same bytes wherever it is made: fixed times, owners and modes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::step;

/// The size of a block of tar.
const BLOCK: usize = 512;

/// A file in an archive.
pub(super) struct Entry {
    /// Its path in the archive: at most 100 bytes.
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    /// Whether it is a program.
    pub(super) runs: bool,
}

/// Packs files into a compressed archive.
pub(super) fn pack(entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut tar = Vec::new();
    for entry in entries {
        tar.extend(header(entry)?);
        tar.extend(&entry.bytes);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    // The end of an archive: two empty blocks.
    tar.resize(tar.len() + 2 * BLOCK, 0);
    // `-n`: no name and no time.
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = step::start(&mut gzip)?;
    let mut stdin = process.stdin.take().context("no input to write")?;
    let writer = std::thread::spawn(move || stdin.write_all(&tar));
    let output = process.wait_with_output()?;
    let written = writer.join().is_ok_and(|written| written.is_ok());
    ensure!(written && output.status.success(), "gzip failed");
    Ok(output.stdout)
}

/// The header of a file in the format of POSIX.1-1988 (`ustar`).
fn header(entry: &Entry) -> anyhow::Result<[u8; BLOCK]> {
    let mode = if entry.runs { "0000755" } else { "0000644" };
    let size = format!("{:011o}", entry.bytes.len());
    let mut header = [0; BLOCK];
    for (at, longest, text) in [
        (0, 100, entry.path.as_str()),
        (100, 7, mode),
        (108, 7, "0000000"),
        (116, 7, "0000000"),
        (124, 11, size.as_str()),
        (136, 11, "00000000000"),
        // The checksum is of a header with spaces here.
        (148, 8, "        "),
        (156, 1, "0"),
        (257, 5, "ustar"),
        (263, 2, "00"),
        (265, 31, "root"),
        (297, 31, "root"),
    ] {
        ensure!(text.len() <= longest, "`{text}` is too long for a tar file");
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn tar_can_read_an_archive() {
        let entry = |path: &str, bytes: &[u8], runs| Entry {
            path: path.to_owned(),
            bytes: bytes.to_vec(),
            runs,
        };
        let entries = [
            entry("a/program", b"#!/bin/sh\necho run\n", true),
            entry("a/text", &[b'x'; BLOCK], false),
        ];
        let packed = pack(&entries).unwrap();
        assert_eq!(packed, pack(&entries).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.gz");
        std::fs::write(&file, packed).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&file).current_dir(folder.path());
        assert!(tar.status().unwrap().success());
        let ran = Command::new(folder.path().join("a/program")).output();
        assert_eq!(ran.unwrap().stdout, b"run\n");
        let text = std::fs::read(folder.path().join("a/text")).unwrap();
        assert_eq!(text, entries[1].bytes);
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        let path = "a".repeat(101);
        let entry = Entry {
            path,
            bytes: Vec::new(),
            runs: false,
        };
        assert!(pack(&[entry]).is_err());
    }
}
