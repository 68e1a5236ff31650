"""go test through the server: its verdict, what is sent, its modules, its network."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.suites import (
    HOSTILE,
    UNREACHABLE,
    Told,
    artifacts,
    counts,
    failures,
    fill,
    junit,
    program,
    run_tests,
)
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MODULE = "module example.com/demo\n\ngo 1.18\n"
SUITE = f"""package a

import (
	"net"
	"testing"
	"time"
)

func TestGood(t *testing.T) {{}}

func TestGroup(t *testing.T) {{
	t.Run("one", func(t *testing.T) {{}})
	t.Run("two words", func(t *testing.T) {{
		t.Log("before")
		t.Errorf("wrong %d", 2)
	}})
}}

func TestSkipped(t *testing.T) {{ t.Skip("not today") }}

func TestHostile(t *testing.T) {{ t.Error("{HOSTILE}") }}

func TestNetwork(t *testing.T) {{
	_, err := net.DialTimeout("tcp", "{UNREACHABLE}:443", 2*time.Second)
	t.Fatal(err)
}}
"""
BROKEN = """package b

import "testing"

func TestB(t *testing.T) { undefined() }
"""
DIRTY = 'package a\n\nimport "testing"\n\nfunc TestDirty(t *testing.T) {}\n'
A = "example.com/demo/a"


@pytest.fixture
def suite(repository: Repository) -> Repository:
    program("go")
    files = {"go.mod": MODULE, "a/a_test.go": SUITE, "b/b_test.go": BROKEN}
    fill(repository, files, {"a/dirty_test.go": DIRTY})
    return repository


def test_the_verdict_of_go_test_is_complete(suite: Repository, wire: Wire) -> None:
    del suite
    answer = run_tests(wire)
    assert (answer["command"], answer["verdict"]) == ("go test ./...", "failed")
    assert answer["tree"]["dirty"] is True
    assert counts(answer) == {"total": 8, "passed": 3, "failed": 3, "errors": 1, "skipped": 1}
    assert failures(answer) == [
        Told(f"{A}.TestGroup/two_words", "a/a_test.go:15", "assert", "wrong 2"),
        Told(f"{A}.TestHostile", "a/a_test.go:21", "assert", "red \ufffd \ufffd \ufffd end"),
        Told(
            f"{A}.TestNetwork",
            "a/a_test.go:25",
            "assert",
            f"dial tcp {UNREACHABLE}:443: connect: network is unreachable",
        ),
        Told("example.com/demo/b", "b/b_test.go:5", "collection", "undefined: undefined"),
    ]
    assert artifacts(answer) == ["junit.xml"]
    assert f'name="{A}.TestDirty"' in junit(wire, answer)


def test_go_packages_files_and_ids_can_be_asked_for(suite: Repository, connect: Connect) -> None:
    del suite
    wire = connect()
    assert run_tests(wire)["environment"] == "built"
    folder = run_tests(wire, paths=["a"])
    assert counts(folder) == {"total": 7, "passed": 3, "failed": 3, "skipped": 1}
    assert folder["environment"] == "cached"
    assert folder["timings_s"]["setup"] < 1
    assert counts(run_tests(wire, paths=["a/dirty_test.go"])) == counts(folder)
    one = run_tests(wire, paths=[failures(folder)[0].id])
    assert (counts(one), failures(one)) == ({"total": 1, "failed": 1}, failures(folder)[:1])
    chosen = run_tests(wire, command="cd a && go test -run 'Good|Hostile' .")
    assert counts(chosen) == {"total": 2, "passed": 1, "failed": 1}
    assert failures(chosen)[0].at == "a/a_test.go:21"


def test_a_go_module_below_the_top_is_named_from_the_top(
    repository: Repository, connect: Connect
) -> None:
    program("go")
    files = {"go.work": "go 1.18\n\nuse ./service\n", "service/go.mod": MODULE}
    fill(repository, {**files, "service/a/a_test.go": SUITE}, {})
    below = str(repository.path / "service")
    answer = run_tests(connect(), command="go test ./...", workspace=below)
    assert counts(answer) == {"total": 6, "passed": 2, "failed": 3, "skipped": 1}
    assert [one.at for one in failures(answer)] == [
        f"service/a/a_test.go:{line}" for line in (15, 21, 25)
    ]


def test_go_modules_are_downloaded_before_and_not_during_the_tests(
    repository: Repository, connect: Connect, proxy: str
) -> None:
    program("go")
    test = (
        'package a\n\nimport (\n\t"testing"\n\n\t"example.com/answer"\n)\n\n'
        "func TestModule(t *testing.T) {\n"
        '\tif answer.Value != 42 {\n\t\tt.Fatal("wrong")\n\t}\n}\n'
    )
    required = f"{MODULE}\nrequire example.com/answer v1.0.0\n"
    fill(repository, {"go.mod": required, "a_test.go": test}, {})
    settings = repository.path.parent / "home/.config/mcp-cloud-agents/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f'[setup_env]\nGOPROXY = "{proxy}"\nGONOSUMDB = "*"\nGOFLAGS = "-modcacherw -mod=mod"\n'
    )
    wire = connect()
    command = "GOFLAGS=-mod=mod go test ./..."
    answer = run_tests(wire, command=command)
    assert (counts(answer), answer["environment"]) == ({"total": 1, "passed": 1}, "built")
    again = run_tests(wire, command=command, fresh=True)
    assert (counts(again), again["environment"]) == ({"total": 1, "passed": 1}, "cached")
    assert again["timings_s"]["setup"] < 1


@pytest.fixture
def proxy(open_path: Path) -> Iterator[str]:
    """A module proxy on loopback with one module (go.dev/ref/mod#goproxy-protocol)."""
    folder = open_path / "proxy/example.com/answer/@v"
    folder.mkdir(parents=True)
    manifest = "module example.com/answer\n\ngo 1.18\n"
    (folder / "list").write_text("v1.0.0\n")
    (folder / "v1.0.0.info").write_text('{"Version": "v1.0.0"}')
    (folder / "v1.0.0.mod").write_text(manifest)
    with zipfile.ZipFile(folder / "v1.0.0.zip", "w") as archive:
        archive.writestr("example.com/answer@v1.0.0/go.mod", manifest)
        archive.writestr("example.com/answer@v1.0.0/a.go", "package answer\n\nconst Value = 42\n")
    handler = partial(Quiet, directory=str(open_path / "proxy"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        del format, args
