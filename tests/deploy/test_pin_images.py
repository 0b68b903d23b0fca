"""deploy/pin-images writes digests into the files, and the files stay what their readers take."""

import re
import shutil
import subprocess
import sys

import pytest

import manifests

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")

COMPOSE = "deploy/compose/compose.yaml"
VALKEY = "deploy/kubernetes/valkey.yaml"
DIGEST = "sha256:" + "0123456789abcdef" * 4
CRANE = f'[ "$1" = digest ] && echo {DIGEST}'
BUILDX = f"""[ "$1 $2 $3" = "buildx imagetools inspect" ] && echo "Name:      $4
MediaType: application/vnd.oci.image.index.v1+json
Digest:    {DIGEST}

Manifests:
  Name:      $4@sha256:{'a' * 64}" """


def by_tags(path):
    return re.sub("@sha256:[0-9a-f]{64}", "", manifests.read(path))


@pytest.fixture
def pin_images(tmp_path):
    """Runs a copy of the script on copies of the files, without their digests. A program stands in
    for the registries."""
    shutil.copytree(manifests.ROOT / "deploy", tmp_path / "deploy")
    for path in [COMPOSE, VALKEY]:
        (tmp_path / path).write_text(by_tags(path))
    (tmp_path / "bin").mkdir()
    # The stand-ins alone: what this machine has would ask a registry.
    for name in ["sh", "sed", "sort", "grep", "cat", "dirname"]:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))

    def pin_images(*arguments, program="crane", script=CRANE):
        stand_in = tmp_path / "bin" / program
        stand_in.write_text(f"#!/bin/sh\n{script}\n")
        stand_in.chmod(0o755)
        command = [tmp_path / "deploy/pin-images", *arguments]
        environment = {"PATH": str(tmp_path / "bin")}
        ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        stand_in.unlink()
        return ran

    pin_images.read = lambda path: (tmp_path / path).read_text()
    return pin_images


@pytest.mark.parametrize(("program", "script"), [("crane", CRANE), ("docker", BUILDX)], ids=["crane", "docker"])
def test_every_image_gets_its_digest_and_the_files_are_still_read(pin_images, program, script):
    assert pin_images(program=program, script=script).returncode == 0
    compose, valkey = pin_images.read(COMPOSE), pin_images.read(VALKEY)
    for text in [compose, valkey]:
        assert text.count("image: ") == text.count(f"@{DIGEST}\n") > 0
    assert compose.replace(f"@{DIGEST}", "") == by_tags(COMPOSE)
    assert valkey.replace(f"@{DIGEST}", "") == by_tags(VALKEY)
    assert manifests.of_compose(compose) == []
    assert manifests.of_kubernetes(valkey) == []


def test_a_digest_is_replaced_by_the_next(pin_images):
    pin_images()
    newer = "sha256:" + "f" * 64
    assert pin_images(script=f"echo {newer}").returncode == 0
    for path in [COMPOSE, VALKEY]:
        text = pin_images.read(path)
        assert DIGEST not in text
        assert text.count("image: ") == text.count(f"@{newer}\n")


def test_the_check_finds_an_image_without_a_digest(pin_images):
    checked = pin_images("--check")
    assert checked.returncode == 1
    assert "has no digest" in checked.stderr
    pin_images()
    assert pin_images("--check").returncode == 0


@pytest.mark.parametrize("script", ["exit 1", "echo latest", "true"])
def test_without_an_answer_of_the_registry_no_file_changes(pin_images, script):
    assert pin_images(script=script).returncode == 1
    assert pin_images.read(COMPOSE) == by_tags(COMPOSE)


def test_an_image_of_ones_own_is_pinned_too(pin_images):
    path = "deploy/kubernetes/edgelatch.yaml"
    assert pin_images(path).returncode == 0
    assert f"image: registry.example/edgelatch:0.1.0@{DIGEST}\n" in pin_images.read(path)
    assert manifests.of_kubernetes(pin_images.read(path)) == []
