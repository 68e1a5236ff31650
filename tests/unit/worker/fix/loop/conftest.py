"""A toy program in a bubblewrap sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import models

from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from tests.fix_bench import ToyBench
from tests.sandbox_box import PYTHON, Box, make_box

MakeBench = Callable[..., ToyBench]


@pytest.fixture(autouse=True)
def no_real_model() -> Iterator[None]:
    before = models.ALLOW_MODEL_REQUESTS
    models.ALLOW_MODEL_REQUESTS = False
    yield
    models.ALLOW_MODEL_REQUESTS = before


@pytest.fixture
def box(open_path: Path) -> Box:
    sandbox = Bubblewrap()
    probe = sandbox.probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    if not Path(PYTHON).exists():
        pytest.skip(f"the toy program needs {PYTHON}")
    return make_box(sandbox, open_path)


@pytest.fixture
def toy(box: Box, tmp_path: Path) -> MakeBench:
    def make(**changes: Any) -> ToyBench:
        return ToyBench(box, tmp_path, **changes)

    return make
