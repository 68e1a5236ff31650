from __future__ import annotations

import pytest

from mcp_cloud_agents.runners import shell


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("pytest -q", ["pytest"]),
        ("A=1 B='two words' pytest -q", ["pytest"]),
        ("python -m pytest tests", ["pytest"]),
        ("python3.12 -X dev -W error -m pytest", ["pytest"]),
        ("uv run --with x --frozen pytest", ["pytest"]),
        ("poetry run python -m pytest", ["pytest"]),
        ("coverage run --branch -m pytest", ["pytest"]),
        ("python -m coverage run -m unittest discover", ["unittest"]),
        ("env A=1 timeout -k 5 60 pytest", ["pytest"]),
        ("timeout 60 pytest", ["pytest"]),
        ("cd sub && pytest 2>&1 | tail -5", ["cd", "pytest", "tail"]),
        ("(cd sub; ./run.sh) & wait", ["cd", "run.sh", "wait"]),
        ("if true; then pytest; fi", ["true", "pytest", "fi"]),
        ("pytest # and && more", ["pytest"]),
        ("echo 'pytest && jest'", ["echo"]),
        ("npx --no-install jest", ["jest"]),
        ("npm exec -- vitest run", ["vitest"]),
        ("node --loader x node_modules/jest/bin/jest.js", ["jest"]),
        ("./node_modules/.bin/jest", ["jest"]),
        ("python script.py", ["python"]),
        ("python -c 'import pytest'", ["python"]),
        ("pytest \\\n  -q", ["pytest"]),
        ("pytest\ncargo test", ["pytest", "cargo"]),
        ("echo 'unbalanced", []),
        ("echo `date`", []),
        ("", []),
    ],
)
def test_a_command_line_calls_these_programs(command: str, names: list[str]) -> None:
    assert [call.name for call in shell.calls(command)] == names


def test_the_output_of_a_call_before_a_pipe_is_piped() -> None:
    assert [call.piped for call in shell.calls("a | b && c")] == [True, False, False]


def test_redirections_are_no_arguments() -> None:
    (call,) = shell.calls("go test >out.txt 2>&1 ./...")
    assert call.arguments == ("test", "./...")


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("P=src pytest", "P=/t:src pytest"),
        ("P='a b' pytest", "P=/t:'a b' pytest"),
        ("P= pytest", "P=/t pytest"),
        ("bash -c 'P=src pytest'", "bash -c 'P=/t:src pytest'"),
        ("export P=$P:src; pytest", "export P=/t:$P:src; pytest"),
        ("MYP=src pytest --P=1", "MYP=src pytest --P=1"),
    ],
)
def test_a_variable_the_command_sets_gets_ours_in_front(command: str, changed: str) -> None:
    assert shell.prepend(command, "P", "/t", ":") == changed
