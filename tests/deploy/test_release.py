"""The release workflow publishes only what has been tested and tried."""

import re

import pytest
import yaml

import manifests

RELEASE = ".github/workflows/release.yml"
TESTS = "./.github/workflows/ci.yml"
COMPOSE = "deploy/compose/compose.yaml"


def faults_of(text):
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]
    tests = [name for name, job in jobs.items() if job.get("uses") == TESTS]
    faults = []
    for name, job in jobs.items():
        if name not in tests and not set(tests) & {job.get("needs")}:
            faults.append(f"{name} does not wait for the tests")
    if "write" in workflow["permissions"].values():
        faults.append("every job may write")
    steps = jobs["release"]["steps"]
    setup = next(step for step in steps if step.get("uses", "").endswith("/spin/setup@v1"))
    if f"/spin:{setup['with']['version']}" not in manifests.read(COMPOSE):
        faults.append("another Spin than in the Compose file")
    runs = [step.get("run", "") for step in steps]
    tried = next(index for index, run in enumerate(runs) if "/readyz" in run)
    published = [
        index
        for index, run in enumerate(runs)
        if "gh release create" in run or ("registry push" in run and ":sha-$GITHUB_SHA" not in run)
    ]
    if len(published) != 2 or min(published) < tried:
        faults.append("published before it is tried")
    return faults


def test_a_release_is_tested_and_tried_before_it_is_published():
    assert faults_of(manifests.read(RELEASE)) == []
    called = yaml.safe_load(manifests.read(TESTS))
    # YAML reads the key `on` as true.
    assert "workflow_call" in called[True]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("    needs: tests\n", "", "release does not wait for the tests"),
        ("version: v4.1.0", "version: latest", "another Spin than in the Compose file"),
        ('"$image:sha-$GITHUB_SHA"', '"$image:latest"', "published before it is tried"),
        ("contents: read", "contents: write", "every job may write"),
    ],
)
def test_a_hasty_release_is_found(before, after, said):
    text = manifests.read(RELEASE)
    assert before in text
    assert faults_of(text.replace(before, after, 1)) == [said]


def test_the_valkey_of_the_trial_is_that_of_the_compose_file():
    expression = re.search(r"sed -n 's/(.*)/\\1/p' deploy", manifests.read(RELEASE))[1]
    pattern = expression.replace(r"\(", "(").replace(r"\)", ")")
    images = re.findall(f"(?m){pattern}$", manifests.read(COMPOSE))
    assert len(images) == 1 and "@sha256:" in images[0]
