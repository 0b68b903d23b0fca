"""README.md is run, and `openapi.json` is good for a generator."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from conftest import API_TOKEN, ROOT, Redis, Service

README = Path(__file__).parents[1] / "README.md"

GENERATED = """
import sys
from edgelatch_client import AuthenticatedClient
from edgelatch_client.api.leases import acquire_lock, inspect_lock, release_lock

with AuthenticatedClient(sys.argv[1], token=sys.argv[2]) as client:
    lease = acquire_lock.sync(42_000_000, client=client, expire=30)
    held = inspect_lock.sync(42_000_000, client=client)
    assert held.held and held.fencing_token == lease.fencing_token, held
    done = release_lock.sync_detailed(42_000_000, client=client, lock_token=lease.token)
    assert done.status_code == 204, done
    assert not inspect_lock.sync(42_000_000, client=client).held
"""


def test_the_readme_runs(own: tuple[Service, Redis]) -> None:
    """Every block, one after the other, in one module that may await."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    code = "\n".join(blocks).replace("http://127.0.0.1:9001", own[0].url)
    indented = "".join(f"    {line}" for line in code.splitlines(keepends=True))
    scope: dict[str, object] = {"asyncio": asyncio}
    exec(f"async def readme():\n{indented}\nasyncio.run(readme())\n", scope)  # noqa: S102


def test_a_generated_client_acquires_and_releases_a_lock(service: Service, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    inputs = ["--path", str(ROOT / "openapi.json"), "--config", "config.yaml"]
    output = ["--output-path", "edgelatch_client"]
    subprocess.run([*generate, *inputs, *output], cwd=tmp_path, check=True)
    (tmp_path / "use.py").write_text(GENERATED)
    subprocess.run([sys.executable, "use.py", service.url, API_TOKEN], cwd=tmp_path, check=True)
