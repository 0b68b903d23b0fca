"""Checks of the files in deploy/ that need no cluster, no container and no running systemd.

Each function takes the text of a file and returns its faults, a sentence for each. External tools
do the checks: Kubernetes' own schemas, compose_spec and systemd-analyze. For the SpinApp there is a
schema of those fields of the operator's definition that we use.
"""

import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

import compose_spec
import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.34"
# In tenths, from 0 to 100. `systemd-analyze security` calls less than 50 OK.
EXPOSURE = 15
# The images that have no digest in the files, and why.
WITHOUT_DIGEST = {
    "ghcr.io/spinframework/spin": "no public source beside its registry tells the digest",
    "registry.example/edgelatch": "it has no digest before the user pushes it",
}


def read(path):
    return (ROOT / path).read_text()


def declared_variables():
    """The variables of spin.toml, and which of them are secrets."""
    variables = tomllib.loads(read("spin.toml"))["variables"]
    return {name: variable.get("secret", False) for name, variable in variables.items()}


def of_names(names, where):
    """Of a list of variables: missing, unknown and repeated ones."""
    declared = set(declared_variables())
    faults = [f"{where}: no variable {name}, which spin.toml has" for name in sorted(declared - set(names))]
    faults += [f"{where}: a variable {name}, which spin.toml does not have" for name in sorted(set(names) - declared)]
    faults += [f"{where}: {name} twice" for name in sorted({name for name in names if names.count(name) > 1})]
    return faults


def of_environment(text):
    """Of an environment file: all variables, and nothing else."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = [line.split("=")[0] for line in lines]
    faults = [f"{name} is not a variable's" for name in names if not name.startswith("SPIN_VARIABLE_")]
    names = [name.removeprefix("SPIN_VARIABLE_").lower() for name in names]
    return faults + of_names(names, "the environment file")


def of_secrets(text):
    """Of what starts Spin: the secrets that it does not read from a file."""
    secrets = [name for name, secret in declared_variables().items() if secret]
    return [f"no file for {name}" for name in secrets if not re.search(rf"\b{name}=@\S+/{name}\b", text)]


def of_kubernetes(text):
    """Of a file of Kubernetes manifests."""
    faults = []
    for document in yaml.safe_load_all(text):
        if document.get("kind") == "SpinApp":
            faults += of_spin_app(document)
            continue
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            faults.append(f"{document.get('kind')}: {getattr(error, 'message', error)}")
    return faults


def of_spin_app(document):
    schema = json.loads(read("tests/deploy/spinapp.schema.json"))
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    faults = [f"SpinApp: {error.json_path}: {error.message}" for error in errors]
    variables = document.get("spec", {}).get("variables", [])
    faults += of_names([variable.get("name") for variable in variables], "SpinApp")
    secrets = {name for name, secret in declared_variables().items() if secret}
    plain = {variable.get("name") for variable in variables if "value" in variable}
    return faults + [f"SpinApp: {name} is a secret, and stands there as a value" for name in sorted(secrets & plain)]


def of_references(*texts):
    """Of what the Kubernetes manifests say of each other."""
    documents = [document for text in texts for document in yaml.safe_load_all(text)]
    named = {(document["kind"], document["metadata"]["name"]) for document in documents}
    # The operator creates these two for a SpinApp.
    for kind, name in list(named):
        if kind == "SpinApp":
            named |= {("Deployment", name), ("Service", name)}
    labels = {"core.spinkube.dev/app-name": {name for kind, name in named if kind == "SpinApp"}}
    faults = []
    for document in documents:
        name, spec = document["metadata"]["name"], document["spec"]
        if document["kind"] == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]
            if (target["kind"], target["name"]) not in named:
                faults.append(f"{name} scales {target['name']}, which is not there")
        if document["kind"] == "SpinApp":
            hosts = {variable["name"]: variable.get("value") for variable in spec["variables"]}
            if ("Service", hosts.get("redis_host")) not in named:
                faults.append(f"redis_host is {hosts.get('redis_host')}, which is no Service")
        if document["kind"] == "StatefulSet":
            if ("Service", spec["serviceName"]) not in named:
                faults.append(f"{name} is served by {spec['serviceName']}, which is not there")
            for label, value in spec["template"]["metadata"]["labels"].items():
                labels.setdefault(label, set()).add(value)
    for document in documents:
        for label, value in labels_chosen(document["spec"]):
            if label in labels and value not in labels[label]:
                faults.append(f"{document['kind']} chooses {label}={value}, which no pod has")
    return faults


def labels_chosen(node):
    """The labels by which pods are chosen, wherever in a manifest."""
    if isinstance(node, list):
        for item in node:
            yield from labels_chosen(item)
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "matchLabels" or (key == "selector" and "matchLabels" not in value):
                yield from value.items()
            else:
                yield from labels_chosen(value)


def of_images(text):
    """Of the images that a file names: each has an exact version, and a digest."""
    faults = []
    for image in re.findall(r"(?m)^[ -]*image: *(\S+)", text):
        name, tag, digest = re.fullmatch(r"([^@]+?)(:[^/@]+)?(@.+)?", image).groups()
        if not re.fullmatch(r":v?\d+\.\d+\.\d+", tag or ""):
            faults.append(f"{image} has no exact version")
        if not re.fullmatch("@sha256:[0-9a-f]{64}", digest or "") and name not in WITHOUT_DIGEST:
            faults.append(f"{image} has no digest")
    return faults


def of_compose(text):
    """Of a Compose file, and of what it names."""
    # Docker takes a tag and a digest, and goes by the digest. compose_spec takes one of the two.
    text = re.sub(r"(?m)^( *image: .*):[^:@]+@", r"\1@", text)
    try:
        compose = compose_spec.PyCompose.from_yaml(text)
        compose.validate()
    except ValueError as error:
        return [str(error)]
    faults = []
    for name, service in yaml.safe_load(text)["services"].items():
        for file in service.get("env_file", []):
            if not (ROOT / "deploy/compose" / file).is_file():
                faults.append(f"{name}: no file {file}")
        variables = [key for key in service.get("environment", {}) if key.startswith("SPIN_VARIABLE_")]
        declared = {f"SPIN_VARIABLE_{variable.upper()}" for variable in declared_variables()}
        faults += [f"{name}: {key} is no variable of spin.toml" for key in variables if key not in declared]
    return faults


def of_unit(text):
    """Of a systemd unit: whether systemd understands each line, and how exposed the service is."""
    analyze = shutil.which("systemd-analyze")
    assert analyze, "no systemd-analyze on PATH: `cargo xtask test` installs it (Debian: the package systemd)"
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / "edgelatch.service"
        # systemd-analyze requires an existing program, so `true` replaces Spin, with its arguments.
        stand_in = shutil.which("true")
        stood_in, count = re.subn(r"(?m)^ExecStart=/usr/local/bin/spin ", f"ExecStart={stand_in} ", text)
        if count != 1:
            return ["the unit does not start /usr/local/bin/spin"]
        unit.write_text(stood_in)
        verified = run(analyze, "verify", "--man=no", unit)
        # It knows newer settings than the systemd that the unit promises.
        faults = ["%d needs systemd 250"] if re.search(r"(?<!%)%d", text) else []
        # It exits with 0 even if it has ignored unknown settings.
        faults += [line for line in verified.stderr.splitlines() + verified.stdout.splitlines() if line]
        judged = run(analyze, "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)
        if judged.returncode != 0:
            faults.append(f"more open than {EXPOSURE / 10}: {judged.stdout.splitlines()[-1:]}")
        return faults


def of_haproxy(text, environment):
    """Of HAProxy's configuration: whether HAProxy understands it, with the variables of its file."""
    haproxy = shutil.which("haproxy")
    assert haproxy, "no haproxy on PATH: `cargo xtask test` installs it (Debian: the package haproxy)"
    lines = [line for line in environment.splitlines() if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines)
    named = set(re.findall(r"\$\{(\w+)\}", re.sub(r"(?m)^\s*#.*$", "", text)))
    faults = [f"no variable {name}, which haproxy.cfg reads" for name in sorted(named - set(variables))]
    faults += [f"a variable {name}, which haproxy.cfg does not read" for name in sorted(set(variables) - named)]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "haproxy.cfg"
        config.write_text(text)
        checked = subprocess.run(
            [haproxy, "-c", "-f", config], env=variables, capture_output=True, text=True, check=False
        )
    # A warning leaves 0: a typo in a check would be one.
    return faults + re.findall(r"\[(?:ALERT|WARNING)\].*", checked.stderr)


def of_alerts(text):
    """Of Prometheus' alert rules: whether they can be loaded, and fire when the test of them says."""
    with tempfile.TemporaryDirectory() as folder:
        rules, test = Path(folder) / "alerts.yaml", Path(folder) / "alerts.test.yaml"
        rules.write_text(text)
        test.write_text(read("tests/deploy/alerts.test.yaml").replace("../../deploy/observability/", ""))
        runs = [run(tool("promtool"), "check", "rules", rules), run(tool("promtool"), "test", "rules", test)]
    return [ran.stdout + ran.stderr for ran in runs if ran.returncode != 0]


def of_scraping(path):
    """Of a file of Prometheus' configuration."""
    checked = run(tool("promtool"), "check", "config", ROOT / path)
    return [] if checked.returncode == 0 else [checked.stdout + checked.stderr]


def of_jobs(alerts, scraping):
    """Of alert rules: the jobs that they name, but that Prometheus does not scrape."""
    scraped = {job["job_name"] for job in yaml.safe_load(scraping)["scrape_configs"]}
    named = {job for query in expressions(yaml.safe_load(alerts)) for job in re.findall(r'job="([^"]+)"', query)}
    return [f"no job {name}" for name in sorted(named - scraped)]


def series_of(program, log):
    """The series that mtail makes of a log: each with its labels, and its value."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "edgelatch.mtail").write_text(program)
        options = ["--one_shot", "--one_shot_format=prometheus", "--emit_prog_label=false"]
        # From a pipe, as docs/observability.md runs it behind journalctl.
        made = run(tool("mtail"), *options, "--progs", folder, "--logs", "/dev/stdin", input=log)
    lines = [line for line in made.stdout.splitlines() if line.startswith("edgelatch_")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def example_line():
    """The line of the log that docs/observability.md shows, which is broken there into several."""
    block = re.search(r"```json\n(.*?)```", read("docs/observability.md"), re.DOTALL)[1]
    return json.dumps(json.loads(block), separators=(",", ":")) + "\n"


def expressions(node):
    """The queries of a dashboard or of alert rules, wherever in it."""
    if isinstance(node, list):
        for item in node:
            yield from expressions(item)
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "expr":
                yield value
            else:
                yield from expressions(value)


def of_queries(queries, series):
    """Of queries: the series that they name, but that mtail does not make."""
    made = {re.split("[{ ]", name)[0] for name in series}
    named = {name for query in queries for name in re.findall(r"\bedgelatch_\w+", query)}
    return [f"no series {name}" for name in sorted(named - made)]


def tool(name):
    path = shutil.which(name)
    assert path, f"no {name} on PATH: `cargo xtask test` installs it"
    return path


def run(*command, **options):
    command = [str(word) for word in command]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)
