"""Every example runs and checks itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*/run.py"))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_ends_as_its_readme_says(example: Path, open_path: Path) -> None:
    env = {
        "HOME": str(open_path),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": str(open_path),
    }
    done = subprocess.run(
        [sys.executable, str(example)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (example.parent / "README.md").is_file()
