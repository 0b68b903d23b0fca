//! What is built on the library: the examples, and every call that a component of one's own makes.

mod action;
mod commands;
mod counter;
mod entries;
mod leases;
mod manifests;
mod orders;
mod scope;
mod template;

use edgelatch_tests::{App, root};

/// The component in this folder of the project.
async fn start(folder: &str) -> App {
    let manifest = root().join(folder).join("spin.toml");
    App::builder().manifest(&manifest).start().await
}

/// POSTs to a component whose answers are its own. Returns status and body.
async fn post(address: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{address}{path}"));
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

/// What the component `tests/library` says to a call.
async fn told(app: &App, path: &str) -> String {
    let (status, text) = post(app.address(), path).await;
    assert_eq!(status, 200, "{path}: {text}");
    text
}
