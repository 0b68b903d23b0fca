//! A shell at a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use edgelatch_tests::{App, until};
use nix::pty::openpty;

use crate::program::{edgelatch, path, url};

pub(crate) struct Shell {
    shell: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    folder: tempfile::TempDir,
}

impl Shell {
    /// It finds `edgelatch`, which finds this service.
    pub(crate) fn start(app: &App) -> Self {
        let pty = openpty(None, None).unwrap();
        // The copies are closed in other programs.
        let end = || pty.slave.as_fd().try_clone_to_owned().unwrap();
        let keyboard = File::from(pty.master.try_clone().unwrap());
        let program = edgelatch(&url(app), "");
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let own = std::path::PathBuf::from(path());
        let own = own.parent().unwrap().to_owned();
        let folders = [own].into_iter().chain(std::env::split_paths(&folders));
        let mut shell = Command::new("setsid");
        shell
            .args([
                "--ctty",
                "bash",
                "--norc",
                "--noprofile",
                "--noediting",
                "-i",
            ])
            .env("PS1", "> ")
            .env("PATH", std::env::join_paths(folders).unwrap())
            .stdin(Stdio::from(end()))
            .stdout(Stdio::from(end()))
            .stderr(Stdio::from(end()));
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let shell = shell.spawn().unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (shown, mut output) = (screen.clone(), keyboard.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            // An error is the end of the shell.
            while let Ok(length @ 1..) = output.read(&mut part) {
                shown.lock().unwrap().extend(&part[..length]);
            }
        });
        Self {
            shell,
            keyboard,
            screen,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A file of this shell only.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    pub(crate) fn enter(&mut self, line: &str) {
        self.press(format!("{line}\n").as_bytes());
    }

    /// All that was shown, which is also what was entered.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    pub(crate) async fn shows(&self, text: &str) {
        until(text, async || self.shown().contains(text)).await;
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
