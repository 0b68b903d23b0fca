//! README.md and the pages that it leads to show what really appears: each command in a console
//! block is run and its output compared, or at least its flags are checked. Links lead somewhere.

mod links;
mod script;
mod transcript;

use std::path::PathBuf;
use std::process::{Child, Command};

use edgelatch_tests::{App, root, until};
use tokio::net::{TcpListener, TcpStream};
use transcript::{Example, block, examples, settle};

const README: &str = "README.md";
const RECIPES: &str = "docs/recipes.md";
const BACKEND: &str = "docs/backend.md";
const CLI: &str = "docs/cli.md";
const OWN_ACTION: &str = "docs/own-action.md";

/// The documents at the root and beside what they describe.
const OTHERS: [&str; 6] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/README.md",
    "deploy/README.md",
];

/// Subcommands of xtask that pass their flags on to another program.
const PASSING_ON: [&str; 4] = ["bench", "soak", "test", "torture"];

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// Every document, by its path in the repository.
fn documents() -> Vec<String> {
    let pages = std::fs::read_dir(root().join("docs")).unwrap();
    let pages = pages.map(|page| format!("docs/{}", page.unwrap().file_name().display()));
    let pages = pages.filter(|page| page.ends_with(".md"));
    let named = [README].into_iter().chain(OTHERS).map(str::to_owned);
    named.chain(pages).collect()
}

/// What the tests do with a command that a document shows.
#[derive(Debug, PartialEq, Eq)]
enum Check {
    /// It is run against a service, and its output compared.
    Run,
    /// The program accepts it: it would build, serve until it is stopped, or need Spin.
    Accepted,
    /// It starts the origin of [`BACKEND`].
    Origin,
    /// It installs a program of the workspace.
    Install,
    /// It is a line of `.ci/run`.
    Lint,
    /// It installs or renders the template, whose parameters are checked.
    Template,
}

/// `None` for a command that nothing is done with.
fn check_of(command: &str) -> Option<Check> {
    let mut words = words(command);
    let check = match (words.next(), words.next(), words.next()) {
        (Some("curl"), ..) | (Some("edgelatch"), ..) => Check::Run,
        (Some("cargo"), Some("install"), _) => Check::Install,
        (Some("cargo"), Some("xtask"), Some(_)) | (Some("spin"), Some("up"), _) => Check::Accepted,
        (Some("spin"), Some("templates" | "new"), _) => Check::Template,
        (Some("python3"), Some("origin.py"), Some("&")) => Check::Origin,
        (Some("cargo"), Some("fmt" | "clippy" | "deny" | "machete"), _) => Check::Lint,
        _ => return None,
    };
    Some(check)
}

/// The words of a command, without the variables that it sets.
fn words(command: &str) -> impl Iterator<Item = &str> {
    let words = command.split_whitespace().filter(|word| *word != "\\");
    words.skip_while(|word| word.contains('='))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_session_prints_what_the_readme_shows() {
    let app = App::start().await;
    let tried = try_all(&app, &read(README));
    assert!(tried >= 10, "{tried} commands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipes_print_what_they_show() {
    let app = App::start().await;
    let tried = try_all(&app, &read(RECIPES));
    assert!(tried >= 12, "{tried} commands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_prints_what_its_page_shows() {
    let app = App::start().await;
    let tried = try_all(&app, &read(CLI));
    assert!(tried >= 7, "{tried} commands");
}

/// With the origin that the page shows, in Python.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_with_a_backend_prints_what_its_page_shows() {
    let page = read(BACKEND);
    let port = free_port().await;
    let _origin = PythonOrigin::start(&page, port);
    let up = || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
    until("the origin answers", up).await;
    let setting = page.split("SPIN_VARIABLE_").nth(1).unwrap();
    let (setting, _) = setting.split_once(' ').unwrap();
    let (name, value) = setting.split_once('=').unwrap();
    let (name, value) = (
        name.to_lowercase(),
        value.replace("8000", &port.to_string()),
    );
    let app = App::builder().var(&name, &value).start().await;
    let tried = try_all(&app, &page);
    assert!(tried >= 6, "{tried} commands");
}

/// Each example has one command on the page of actions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_print_what_their_page_shows() {
    let shown = examples(&read(OWN_ACTION)).into_iter();
    let shown: Vec<_> = shown.filter(is_run).collect();
    let folders = ["examples/orders", "examples/counter"];
    assert_eq!(shown.len(), folders.len());
    for (folder, example) in folders.into_iter().zip(&shown) {
        let manifest = root().join(folder).join("spin.toml");
        let app = App::builder().manifest(&manifest).start().await;
        try_one(&app, example);
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// The origin of [`BACKEND`]; ends with the test.
struct PythonOrigin(Child);

impl PythonOrigin {
    fn start(page: &str, port: u16) -> Self {
        let program = block(page, "python").replace("8000", &port.to_string());
        Self(
            Command::new(python())
                .args(["-c", &program])
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for PythonOrigin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the commands of [`Check::Run`] that are shown, and asserts that they print what is shown.
/// Returns how many there are.
fn try_all(app: &App, document: &str) -> usize {
    let examples = examples(document);
    let tried = examples.iter().filter(|example| is_run(example));
    tried.map(|example| try_one(app, example)).count()
}

fn is_run(example: &Example) -> bool {
    check_of(&example.command) == Some(Check::Run)
}

/// Runs a command and asserts that it prints what is shown.
fn try_one(app: &App, example: &Example) {
    let printed = tokio::task::block_in_place(|| run(app, &example.command));
    let (printed, shown) = (settle(&printed), settle(&example.output));
    assert_eq!(printed, shown, "{}", example.command);
}

/// Runs a command against the test's own service.
fn run(app: &App, command: &str) -> String {
    let python = format!("{} ", python());
    let command = command
        .replace("127.0.0.1:9001", app.address())
        .replace("python3 ", &python)
        .replace("curl ", "curl --silent --show-error ");
    let path = std::env::var("PATH").unwrap();
    let programs = built("edgelatch");
    let programs = programs.parent().unwrap().display();
    // What a page writes at home goes elsewhere.
    let home = tempfile::tempdir().unwrap();
    let completions = home.path().join(".local/share/bash-completion/completions");
    std::fs::create_dir_all(completions).unwrap();
    let mut shell = Command::new("sh");
    let shell = shell
        .args(["-c", &command])
        .env("PATH", format!("{programs}:{path}"))
        .env("HOME", home.path())
        .env("EDGELATCH_URL", format!("http://{}", app.address()))
        .env_remove("EDGELATCH_TOKEN")
        .env_remove("EDGELATCH_TOKEN_FILE")
        .env("NO_PROXY", "*");
    let output = shell.output().unwrap();
    let went_well = output.status.success() && output.stderr.is_empty();
    assert!(went_well, "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn python() -> String {
    std::env::var("EDGELATCH_PYTHON").unwrap_or("python3".to_owned())
}

/// One of the workspace's programs, beside the test's own.
fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join(name)
}

#[test]
fn every_command_that_is_shown_is_run_or_checked() {
    let mut checked = 0;
    for document in documents() {
        for example in examples(&read(&document)) {
            let command = example.command.as_str();
            let check = check_of(command);
            assert!(check.is_some(), "nothing checks `{command}` of {document}");
            match check.unwrap() {
                Check::Run => {
                    let run = [README, RECIPES, BACKEND, CLI, OWN_ACTION];
                    let run = run.contains(&document.as_str());
                    assert!(run, "nothing runs `{command}` of {document}");
                }
                Check::Accepted => assert_accepted(command),
                Check::Origin => assert_eq!(document, BACKEND, "{command}"),
                Check::Install => assert_installs(command),
                Check::Lint => assert_lint(command),
                Check::Template => assert_template(command),
            }
            checked += 1;
        }
    }
    assert!(checked >= 40, "{checked} commands");
}

/// With `--help` behind them, a program's flags are read and not acted on.
fn assert_accepted(command: &str) {
    let mut arguments: Vec<&str> = words(command).collect();
    let program = if arguments.remove(0) == "cargo" {
        arguments.remove(0);
        built("xtask")
    } else {
        // The host has the flags of `spin up`, but for this one.
        arguments.retain(|argument| *argument != "--build");
        std::env::var_os("EDGELATCH_HOST_BIN")
            .map_or_else(|| built("edgelatch-host"), PathBuf::from)
    };
    if PASSING_ON.contains(&arguments[0]) {
        arguments = vec!["help", arguments[0]];
    } else {
        arguments.push("--help");
    }
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
}

fn assert_installs(command: &str) {
    let (_, package) = command.split_once(" --path ").unwrap();
    assert!(
        read(&format!("{package}/Cargo.toml")).contains("[[bin]]"),
        "{command}"
    );
}

fn assert_lint(command: &str) {
    let lint = words(command).collect::<Vec<_>>().join(" ");
    let ci = read(".ci/run");
    let ci = ci.replace("\\\n", " ");
    let mut lines = ci
        .lines()
        .map(|line| words(line).collect::<Vec<_>>().join(" "));
    assert!(
        lines.any(|line| line == lint),
        "{command} is not in .ci/run"
    );
}

/// `spin` has flags of its own; what is the template's is checked.
fn assert_template(command: &str) {
    let template = read("templates/edgelatch/metadata/spin-template.toml");
    let words: Vec<&str> = words(command).collect();
    for pair in words.windows(2) {
        let declared = match pair {
            ["--template", id] => format!("\nid = \"{id}\"\n"),
            ["--value", value] => {
                let (name, _) = value.trim_start_matches('\'').split_once('=').unwrap();
                format!("\n{name} = {{ type = ")
            }
            _ => continue,
        };
        assert!(template.contains(&declared), "{command}: {declared}");
    }
}

#[test]
fn an_action_of_ones_own_has_the_signature_that_its_page_shows() {
    let page = read("docs/own-action.md");
    let (shown, _) = block(&page, "rust").split_once(" {\n").unwrap();
    assert!(shown.starts_with("pub async fn run("), "{shown}");
    assert!(
        read("src/action.rs").contains(&format!("\n{shown} {{\n")),
        "{shown}"
    );
}
