//! Prints the OpenAPI document that the code makes: `cargo xtask openapi` writes it to `openapi.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(edgelatch::http::openapi::document()?.as_bytes())
}
