//! The links between documents, and from them to files of the repository.

use std::path::Path;

use edgelatch_tests::root;

use super::{documents, read};

/// What links in `text` lead to, addresses of other hosts left out.
fn targets(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    let targets = links.filter_map(|link| link.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchors of the headings in `text`, made as GitHub makes them: lower case, spaces as hyphens,
/// without other marks.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    headings
        .map(|heading| {
            let kept = heading.chars().filter_map(|letter| match letter {
                ' ' => Some('-'),
                '-' | '_' => Some(letter),
                _ => letter.is_alphanumeric().then_some(letter),
            });
            kept.collect()
        })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_its_heading() {
    for document in documents() {
        let folder = Path::new(&document).parent().unwrap();
        for target in targets(&read(&document)) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                Path::new(&document).to_owned()
            } else {
                folder.join(file)
            };
            let found = root().join(&path);
            assert!(found.exists(), "{document} links to {target}");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(found).unwrap();
                let known = anchors(&text);
                assert!(
                    known.iter().any(|it| it == anchor),
                    "{document}: {target} of {known:?}"
                );
            }
        }
    }
}
