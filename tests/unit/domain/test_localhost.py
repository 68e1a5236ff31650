from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_cloud_agents.domain.localhost import refused_localhost
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Network

DROPPED = IsolationRecord(
    level=IsolationLevel.CONTAINER, driver="uid_drop", run_network=Network.NONE, loopback=False
)


@pytest.mark.parametrize(
    "said",
    [
        "OSError: [Errno 97] Address family not supported by protocol",
        "Error: listen EAFNOSUPPORT: address family not supported 127.0.0.1",
        "panic: listen tcp 127.0.0.1:0: socket: address family not supported by protocol",
        'Os { code: 97, kind: Uncategorized, message: "Address family not supported by protocol" }',
        "java.net.SocketException: Address family not supported by protocol (Socket creation)",
    ],
)
def test_a_refused_socket_is_told_with_the_way_out(said: str) -> None:
    (note,) = refused_localhost(DROPPED, ["1 failed", said])
    assert "not even on localhost" in note
    assert "backend='local'" in note
    assert "container (uid_drop)" in note


def test_nothing_is_said_where_nobody_missed_localhost() -> None:
    assert refused_localhost(DROPPED, ["AssertionError: 1 != 2"]) == ()


def test_nothing_is_said_where_there_is_localhost() -> None:
    said = ["OSError: [Errno 97] Address family not supported by protocol"]
    assert refused_localhost(replace(DROPPED, loopback=True), said) == ()
