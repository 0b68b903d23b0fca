//! `edgelatch completions`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::program::edgelatch;

#[test]
fn every_shell_gets_a_script_with_all_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = edgelatch("http://h", &format!("completions {shell}")).output();
        let script = String::from_utf8(output.unwrap().stdout).unwrap();
        for word in [
            "lock", "get", "put", "patch", "delete", "status", "break", "nonblock",
        ] {
            assert!(script.contains(word), "{word} for {shell}");
        }
        assert!(!script.contains("guardian"), "{shell}");
    }
}

#[test]
fn bash_can_read_its_script() {
    let output = edgelatch("http://h", "completions bash").output().unwrap();
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(&output.stdout)
        .unwrap();
    assert!(bash.wait().unwrap().success());
}
