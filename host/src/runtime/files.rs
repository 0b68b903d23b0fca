//! `files` of a component: copied to a temporary folder at the start, which is the component's
//! read-only `/`.
//!
//! With a copy, globs and exclusions need no file system of their own, and the component sees the
//! files as they were at the start.
//!
//! Follows `copy_file_mounts` and the functions it calls in Spin's `crates/loader/src/local.rs`.

use std::fs;
use std::path::{Component as Part, Path};

use anyhow::{Context as _, Result, bail, ensure};
use glob::Pattern;
use tempfile::TempDir;

use crate::config::manifest::{Component, Mount};

/// Copies the files of `component`, whose paths start at `root`. `None` if it has none.
pub(crate) fn mount(component: &Component, root: &Path) -> Result<Option<TempDir>> {
    if component.files.is_empty() {
        return Ok(None);
    }
    let folder =
        TempDir::with_prefix("edgelatch-host-").context("cannot make a folder for `files`")?;
    let exclude = component
        .exclude_files
        .iter()
        .map(|pattern| {
            Pattern::new(pattern)
                .with_context(|| format!("`exclude_files`: {pattern:?} is not a glob"))
        })
        .collect::<Result<Vec<_>>>()?;
    // The paths that a glob finds have no `.` in them, so their prefix must not have one either.
    let root = Path::new(".")
        .join(root)
        .canonicalize()
        .with_context(|| format!("cannot find {}", root.display()))?;
    let copier = Copier {
        root: &root,
        exclude: &exclude,
    };
    for mount in &component.files {
        copier
            .mount(mount, folder.path())
            .with_context(|| format!("`files`: {mount:?}"))?;
    }
    Ok(Some(folder))
}

/// Copies files from the folder of the manifest.
struct Copier<'a> {
    root: &'a Path,
    exclude: &'a [Pattern],
}

impl Copier<'_> {
    fn mount(&self, mount: &Mount, folder: &Path) -> Result<()> {
        match mount {
            Mount::Pattern(pattern) => {
                let source = self.root.join(pattern);
                check_inside(pattern)?;
                if source.is_file() {
                    copy(&source, &folder.join(pattern))
                } else if source.is_dir() {
                    self.glob(&source.join("**/*"), self.root, folder)
                } else {
                    ensure!(
                        pattern.contains(['*', '?', '[']),
                        "it does not exist and is not a glob"
                    );
                    self.glob(&source, self.root, folder)
                }
            }
            Mount::Placement {
                source,
                destination,
            } => {
                check_inside(source)?;
                let destination = destination.trim_start_matches('/');
                check_inside(destination)?;
                let (source, destination) = (self.root.join(source), folder.join(destination));
                if source.is_dir() {
                    fs::create_dir_all(&destination)?;
                    self.glob(&source.join("**/*"), &source, &destination)
                } else {
                    ensure!(source.is_file(), "{} does not exist", source.display());
                    copy(&source, &destination)
                }
            }
        }
    }

    /// Copies the files that match `pattern`, each to its path relative to `prefix`.
    fn glob(&self, pattern: &Path, prefix: &Path, folder: &Path) -> Result<()> {
        let pattern = pattern.to_str().context("the path is not UTF-8")?;
        for path in glob::glob(pattern)? {
            let path = path?;
            if !path.is_file() {
                continue;
            }
            let inside = path.strip_prefix(self.root)?;
            if self
                .exclude
                .iter()
                .any(|pattern| pattern.matches_path(inside))
            {
                continue;
            }
            copy(&path, &folder.join(path.strip_prefix(prefix)?))?;
        }
        Ok(())
    }
}

/// Fails if a path leaves the folder that it starts from.
fn check_inside(path: &str) -> Result<()> {
    if Path::new(path)
        .components()
        .any(|part| !matches!(part, Part::Normal(_) | Part::CurDir))
    {
        bail!("{path:?} leads out of the folder");
    }
    Ok(())
}

fn copy(source: &Path, destination: &Path) -> Result<()> {
    if let Some(parent) = destination.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(source, destination).with_context(|| format!("cannot copy {}", source.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn application() -> TempDir {
        let root = TempDir::new().unwrap();
        for file in [
            "assets/a.txt",
            "assets/deep/b.txt",
            "assets/secret.txt",
            "one.txt",
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        root
    }

    fn mounted(files: Vec<Mount>) -> Result<Vec<String>> {
        let root = application();
        let component = Component {
            files,
            exclude_files: vec!["assets/secret*".into()],
            ..Component::default()
        };
        let Some(folder) = mount(&component, root.path())? else {
            return Ok(vec![]);
        };
        let mut names: Vec<String> = glob::glob(folder.path().join("**/*").to_str().unwrap())?
            .map(Result::unwrap)
            .filter(|path| path.is_file())
            .map(|path| {
                path.strip_prefix(folder.path())
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        names.sort();
        Ok(names)
    }

    fn placed(source: &str, destination: &str) -> Mount {
        Mount::Placement {
            source: source.into(),
            destination: destination.into(),
        }
    }

    #[test]
    fn patterns_and_placements() {
        assert_eq!(mounted(vec![]).unwrap(), Vec::<String>::new());
        assert_eq!(
            mounted(vec![Mount::Pattern("one.txt".into())]).unwrap(),
            ["one.txt"]
        );
        for pattern in ["assets", "assets/**/*"] {
            let names = mounted(vec![Mount::Pattern(pattern.into())]).unwrap();
            assert_eq!(names, ["assets/a.txt", "assets/deep/b.txt"], "{pattern}");
        }
        assert_eq!(
            mounted(vec![placed("assets", "/")]).unwrap(),
            ["a.txt", "deep/b.txt"]
        );
        assert_eq!(
            mounted(vec![placed("one.txt", "/x/two.txt")]).unwrap(),
            ["x/two.txt"]
        );
    }

    #[test]
    fn invalid_entries_are_refused() {
        assert!(mounted(vec![Mount::Pattern("none.txt".into())]).is_err());
        assert!(mounted(vec![Mount::Pattern("../*".into())]).is_err());
        assert!(mounted(vec![placed("none", "/")]).is_err());
        assert!(mounted(vec![placed("one.txt", "/../x")]).is_err());
    }
}
