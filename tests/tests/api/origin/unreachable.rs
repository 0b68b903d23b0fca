//! The component may talk to its Redis and its origin, and to nothing else.

use std::path::PathBuf;

use edgelatch_tests::{App, Origin, Reply, root};

#[tokio::test]
async fn another_host_than_the_origin_cannot_be_reached() {
    let elsewhere = Origin::start(Reply::json("{}")).await;
    let origin = Origin::start(Reply::json("{}")).await;
    let folder = tempfile::tempdir().unwrap();
    let manifest = misled(&folder, &elsewhere);
    let app = App::builder()
        .origin(&origin)
        .manifest(&manifest)
        .start()
        .await;
    app.perform("user_id=1")
        .await
        .assert_problem(502, "origin-failed");
    app.attempt("user_id=1")
        .await
        .assert_problem(502, "origin-failed");
    assert_eq!(elsewhere.seen().len(), 0);
    // The same address is reached once it is the one that is allowed.
    let app = App::builder()
        .origin(&elsewhere)
        .manifest(&manifest)
        .start()
        .await;
    assert_eq!(app.perform("user_id=1").await.status, 200);
    assert_eq!((elsewhere.seen().len(), origin.seen().len()), (1, 0));
}

/// The project's manifest, in which the component alone is told another origin than the host is.
fn misled(folder: &tempfile::TempDir, elsewhere: &Origin) -> PathBuf {
    let manifest = std::fs::read_to_string(root().join("spin.toml")).unwrap();
    let told = format!("\norigin = \"{}\"\n", elsewhere.url());
    // Where the components are is seen from the manifest.
    let built = format!("source = \"{}/target/", root().display());
    let changed = manifest
        .replace("\norigin = \"{{ origin }}\"\n", &told)
        .replace("source = \"target/", &built);
    assert!(changed.contains(&told));
    let path = folder.path().join("spin.toml");
    std::fs::write(&path, changed).unwrap();
    path
}
