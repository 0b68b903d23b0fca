//! Reads which source file of a crate imports which, to test the crate's layers.
//!
//! # What an import is
//! A path in a `use` (each leaf of a group is one), or anywhere else in the code, that starts with
//! `crate::`, `super::`, `self::` or the name of a child module that has a file. It names the file
//! of its longest prefix that is a module. Comments and literals are skipped, and so are `mod x;`
//! and `pub(in path)`. Unit tests count like any other code. The text is read as it is: macros are
//! not expanded and `#[path]` is not followed.
//!
//! # What a circle is
//! `foo.rs` (or `foo/mod.rs`) and every file under `foo/` are one unit, `foo`. An import joins two
//! units of the folder where the two paths part: `a/x.rs -> b/y.rs` joins the units `a` and `b`,
//! and `a/x.rs -> a/y.rs` joins `x` and `y` inside `a`. A circle is a set of units of one folder
//! that reach each other through imports. A module file and the files of its own folder are one
//! unit, so an import between them is never part of a circle. The crate's root file (`main.rs`,
//! `lib.rs`) is the exception: it is a unit of its own beside the modules it declares.

pub(crate) mod paths;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use paths::{CodePath, paths};

/// One file uses an item of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The file that imports, relative to the source folder.
    pub file: PathBuf,
    /// The line of the imported path, from 1.
    pub line: usize,
    /// The file that the path names, relative to the source folder.
    pub target_file: PathBuf,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, target) = (self.file.display(), self.target_file.display());
        write!(f, "{file}:{} imports {target}", self.line)
    }
}

/// All imports between the `.rs` files under `src`, sorted. Panics if a file cannot be read.
pub fn imports(src: &Path) -> Vec<Import> {
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(src.join(&file)).unwrap();
        (file, text)
    };
    imports_between(&rust_files(src).into_iter().map(read).collect())
}

/// All imports between files, given by their path in the source folder and their text.
fn imports_between(files: &BTreeMap<PathBuf, String>) -> Vec<Import> {
    let modules: BTreeMap<Vec<String>, &Path> = files
        .keys()
        .map(|file| (module_path(file), file.as_path()))
        .collect();
    let mut imports = BTreeSet::new();
    for (module, file) in &modules {
        for path in paths(&files[*file]) {
            let target = resolve(&path, module, &modules).filter(|target| target != file);
            imports.extend(target.map(|target| Import {
                file: file.to_path_buf(),
                line: path.line,
                target_file: target.to_owned(),
            }));
        }
    }
    imports.into_iter().collect()
}

/// Each circle, as the imports that join its units.
pub fn circles(imports: &[Import]) -> Vec<Vec<Import>> {
    // By folder: the imports that join two of its units, with the two.
    let mut folders: BTreeMap<Vec<String>, Vec<(String, String, &Import)>> = BTreeMap::new();
    for import in imports {
        if let Some((folder, from, to)) = joined_units(import) {
            folders.entry(folder).or_default().push((from, to, import));
        }
    }
    let mut circles = Vec::new();
    for joins in folders.values() {
        let edges = joins
            .iter()
            .map(|(from, to, _)| (from.as_str(), to.as_str()));
        for circle in strongly_connected(&edges.collect()) {
            let inside = joins.iter().filter(|(from, to, _)| {
                circle.contains(from.as_str()) && circle.contains(to.as_str())
            });
            circles.push(inside.map(|(_, _, import)| (*import).clone()).collect());
        }
    }
    circles
}

/// The imports that point up. `layers` names the units of the source folder from the top down; the
/// root file goes by its own name, `main` or `lib`. Panics if a file is in none of the layers.
pub fn upward(imports: &[Import], layers: &[&str]) -> Vec<Import> {
    let layer = |file: &Path| {
        let first = file.components().next().unwrap();
        let unit = Path::new(&first).file_stem().unwrap().to_str().unwrap();
        let found = layers.iter().position(|layer| *layer == unit);
        found.unwrap_or_else(|| panic!("{} is in none of the layers {layers:?}", file.display()))
    };
    let points_up = |import: &&Import| layer(&import.file) > layer(&import.target_file);
    imports.iter().filter(points_up).cloned().collect()
}

/// Panics if an import of the files under `src` points up or is part of a circle, and names them.
/// `layers` as of [`upward`].
pub fn assert_layers(src: &Path, layers: &[&str]) {
    let imports = imports(src);
    // Less would mean that the reader finds nothing.
    assert!(imports.len() > 50, "only {} imports found", imports.len());
    let list = |imports: &[Import]| -> String {
        let lines = imports.iter().map(|import| format!("\n  src/{import}"));
        lines.collect()
    };
    let upward = upward(&imports, layers);
    assert!(upward.is_empty(), "these point up:{}", list(&upward));
    let circles: Vec<String> = circles(&imports)
        .iter()
        .map(|circle| list(circle))
        .collect();
    assert!(
        circles.is_empty(),
        "each of these is a circle:{}",
        circles.join("\n")
    );
}

/// The `.rs` files under `src`, relative to it.
pub(crate) fn rust_files(src: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(src).unwrap().to_owned());
            }
        }
    }
    files
}

/// The names on the way to the module of a file: none for the crate's root.
pub(crate) fn module_path(file: &Path) -> Vec<String> {
    let stem = file.with_extension("");
    let mut names: Vec<String> = stem
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    let is_root = names.len() == 1 && matches!(names[0].as_str(), "main" | "lib");
    if is_root || names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

/// The folder where the paths of the two files part, and the unit of each there.
fn joined_units(import: &Import) -> Option<(Vec<String>, String, String)> {
    let (from, to) = (module_path(&import.file), module_path(&import.target_file));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let unit = |path: &[String]| path.get(shared).cloned();
    match (unit(&from), unit(&to)) {
        (Some(a), Some(b)) => Some((from[..shared].to_vec(), a, b)),
        // The root file and a module, either way round. No module has the empty name.
        (a, b) if from.is_empty() || to.is_empty() => {
            Some((vec![], a.unwrap_or_default(), b.unwrap_or_default()))
        }
        // A module file and a file of its folder.
        _ => None,
    }
}

/// The sets of two or more nodes that reach each other.
fn strongly_connected<'a>(edges: &BTreeSet<(&'a str, &'a str)>) -> Vec<BTreeSet<&'a str>> {
    let nodes: BTreeSet<&str> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let reachable = |start: &'a str| {
        let mut reached = BTreeSet::new();
        let mut pending = vec![start];
        while let Some(node) = pending.pop() {
            let next = edges.iter().filter(|(from, _)| *from == node);
            pending.extend(next.map(|(_, to)| *to).filter(|to| reached.insert(*to)));
        }
        reached
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        nodes.iter().map(|node| (*node, reachable(node))).collect();
    let mut components = BTreeSet::new();
    for node in &nodes {
        let both_ways =
            |other: &&&str| reach[node].contains(*other) && reach[*other].contains(node);
        let component: BTreeSet<&str> = nodes.iter().filter(both_ways).copied().collect();
        if component.len() > 1 {
            components.insert(component);
        }
    }
    components.into_iter().collect()
}

/// The file that a path of the module `module` names, if it is one of the crate's.
fn resolve<'a>(
    path: &CodePath,
    module: &[String],
    modules: &BTreeMap<Vec<String>, &'a Path>,
) -> Option<&'a Path> {
    let mut full: Vec<String> = module.iter().chain(&path.inline).cloned().collect();
    let mut rest = path.segments.as_slice();
    match rest.first()?.as_str() {
        "crate" => full.clear(),
        "self" | "super" => {}
        child => {
            full.push(child.to_owned());
            if !modules.contains_key(&full) {
                return None;
            }
        }
    }
    rest = &rest[1..];
    if path.segments[0] == "super" {
        full.pop()?;
    }
    while let [first, after @ ..] = rest {
        match first.as_str() {
            "super" => drop(full.pop()?),
            "self" => {}
            name => full.push(name.to_owned()),
        }
        rest = after;
    }
    (0..=full.len())
        .rev()
        .find_map(|end| modules.get(&full[..end]).copied())
}
