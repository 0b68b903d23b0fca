//! The manifests of components that serve the whole API.

use edgelatch_tests::root;

/// The names of `[variables]`, or of the variables that a component is given.
fn variables(manifest: &str, table: &str) -> Vec<String> {
    let (_, rest) = manifest.split_once(table).unwrap();
    let lines = rest.lines().skip(1).take_while(|line| !line.is_empty());
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// The service refuses to run without one of its variables.
#[test]
fn each_manifest_has_every_variable() {
    let own = read("spin.toml");
    let given = variables(&own, "[component.edgelatch.variables]");
    for (file, component) in [
        ("examples/orders/spin.toml", "orders"),
        ("tests/library/spin.toml", "caller"),
        ("target/template/WithoutOrigin/spin.toml", "without-origin"),
        ("target/template/with-origin/spin.toml", "with-origin"),
    ] {
        let manifest = read(file);
        let declared = variables(&manifest, "[variables]");
        assert_eq!(declared, variables(&own, "[variables]"), "{file}");
        let table = format!("[component.{component}.variables]");
        assert_eq!(variables(&manifest, &table), given, "{file}");
    }
}

#[test]
fn the_template_depends_on_the_version_that_it_comes_with() {
    let (own, template) = (
        read("Cargo.toml"),
        read("templates/edgelatch/metadata/spin-template.toml"),
    );
    let version = own
        .lines()
        .find_map(|line| line.strip_prefix("version = \""));
    let (minor, _) = version.unwrap().rsplit_once('.').unwrap();
    let default = format!("default = 'version = \"{minor}\"'");
    assert!(template.contains(&default), "{default}");
}
