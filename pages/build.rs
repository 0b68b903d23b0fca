//! Collects the files to serve: those in `static/`, the committed OpenAPI document, and Swagger UI
//! from its archive. Each is compressed once, here, and gets the SHA-1 of its bytes as its tag.

use std::fmt::Write as _;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use zip::ZipArchive;

/// Path, media type, and where the bytes are.
const FILES: [(&str, &str, Source); 12] = [
    ("/docs", HTML, Source::Own("static/docs.html")),
    ("/docs/docs.css", CSS, Source::Own("static/docs.css")),
    ("/docs/docs.js", JAVASCRIPT, Source::Own("static/docs.js")),
    ("/docs/live", HTML, Source::Own("static/live.html")),
    ("/docs/live.css", CSS, Source::Own("static/live.css")),
    ("/docs/live.js", JAVASCRIPT, Source::Own("static/live.js")),
    (
        "/docs/live-pane.js",
        JAVASCRIPT,
        Source::Own("static/live-pane.js"),
    ),
    (
        "/docs/live-watcher.js",
        JAVASCRIPT,
        Source::Own("static/live-watcher.js"),
    ),
    (
        "/docs/swagger-ui.css",
        CSS,
        Source::SwaggerUi("swagger-ui.css"),
    ),
    (
        "/docs/swagger-ui.js",
        JAVASCRIPT,
        Source::SwaggerUi("swagger-ui-bundle.js"),
    ),
    (
        "/docs/icon.png",
        "image/png",
        Source::SwaggerUi("favicon-32x32.png"),
    ),
    (
        "/openapi.json",
        "application/json",
        Source::Own("../openapi.json"),
    ),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The SHA-256 of Swagger UI's archive. Its code runs where users type their tokens, so another
/// archive than the one that was looked at does not get in: when it is updated, read what has
/// changed, then put the new digest here.
const SWAGGER_UI_SHA256: &str = "b3c07e091559b59a833f66547eb1fc18f2896f96e3f1f953e2f1efb328aa3394";

enum Source {
    /// A file of this repository, seen from this crate.
    Own(&'static str),
    /// A file of Swagger UI's `dist` folder.
    SwaggerUi(&'static str),
}

fn main() -> Result<()> {
    let out = env::var("OUT_DIR")?;
    let archive = utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
    let digest = format!("{:x}", Sha256::digest(archive));
    ensure!(
        digest == SWAGGER_UI_SHA256,
        "the archive of Swagger UI has the SHA-256 {digest}, and not the one in pages/build.rs"
    );
    let mut swagger_ui = ZipArchive::new(Cursor::new(archive))?;
    let mut table = String::from("[\n");
    for (index, (path, media_type, source)) in FILES.iter().enumerate() {
        let bytes = match source {
            Source::Own(file) => own(file)?,
            Source::SwaggerUi(file) => archived(&mut swagger_ui, file)?,
        };
        let packed = format!("{index}.gz");
        fs::write(Path::new(&out).join(&packed), compress(&bytes)?)?;
        let digest = Sha1::digest(&bytes);
        let tag: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(
            table,
            "Asset {{ path: {path:?}, media_type: {media_type:?}, page: {}, tag: \"{tag}\", \
             length: {}, gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{packed}\")) }},",
            *media_type == HTML,
            bytes.len(),
        )?;
    }
    table.push_str("]\n");
    fs::write(Path::new(&out).join("assets.rs"), table)?;
    if env::var("CARGO_CFG_TARGET_FAMILY")? == "wasm" {
        // What an instance has of a stack, a host may keep in memory for each. Files need little.
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={}", 128 * 1024);
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

fn own(file: &str) -> Result<Vec<u8>> {
    println!("cargo::rerun-if-changed={file}");
    fs::read(file).with_context(|| format!("cannot read {file}"))
}

fn archived(archive: &mut ZipArchive<Cursor<&[u8]>>, file: &str) -> Result<Vec<u8>> {
    let end = format!("/dist/{file}");
    let wanted = |name: &str| name.ends_with(&end) && name.split('/').count() == 3;
    let name = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .find(|name| wanted(name))
        .with_context(|| format!("Swagger UI has no {file}"))?;
    let mut bytes = Vec::new();
    archive.by_name(&name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
