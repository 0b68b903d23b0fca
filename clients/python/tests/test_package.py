"""README.md is run, and `openapi.json` is good for a generator."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, Redis, Service

README = Path(__file__).parents[1] / "README.md"

GENERATED = """
import sys
from edgelatch_client import Client
from edgelatch_client.api.locks import acquire_lock, inspect_lock, release_lock

with Client(sys.argv[1]) as client:
    lease = acquire_lock.sync(42, client=client, expire=30)
    held = inspect_lock.sync(42, client=client)
    assert held.held and held.fencing_token == lease.fencing_token, held
    done = release_lock.sync_detailed(42, client=client, lock_token=lease.token)
    assert done.status_code == 204, done
    assert not inspect_lock.sync(42, client=client).held
"""


def test_the_readme_runs(own: tuple[Service, Redis]) -> None:
    """Every block, one after the other, in one module that may await."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    code = "\n".join(blocks).replace("http://127.0.0.1:9001", own[0].url)
    indented = "".join(f"    {line}" for line in code.splitlines(keepends=True))
    scope: dict[str, object] = {"asyncio": asyncio}
    exec(f"async def readme():\n{indented}\nasyncio.run(readme())\n", scope)  # noqa: S102


def test_a_generated_client_acquires_and_releases_a_lock(
    own: tuple[Service, Redis], tmp_path: Path
) -> None:
    generate = [sys.executable, "-m", "openapi_python_client", "generate"]
    subprocess.run(
        [*generate, "--path", str(ROOT / "openapi.json"), "--output-path", "generated"]
        + ["--meta", "none"],
        cwd=tmp_path,
        check=True,
    )
    (tmp_path / "generated").rename(tmp_path / "edgelatch_client")
    (tmp_path / "use.py").write_text(GENERATED)
    subprocess.run(
        [sys.executable, "use.py", own[0].url], cwd=tmp_path, check=True, env=dict(os.environ)
    )
