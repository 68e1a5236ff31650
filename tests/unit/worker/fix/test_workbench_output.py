"""What a command prints is kept by its ends, whatever the pieces it comes in."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.worker.fix.workbench import Output

END = 128 << 10


@pytest.mark.parametrize("piece", [1 << 10, 100_000, 1 << 20])
def test_of_much_output_both_ends_are_kept_with_what_is_missing(piece: int) -> None:
    data = b"".join(b"%07d\n" % number for number in range(50_000))
    output = Output()
    for at in range(0, len(data), piece):
        output.add(data[at : at + piece])
    left_out = len(data) - 2 * END
    assert output.value() == (
        data[:END] + f"\n[{left_out} bytes left out]\n".encode() + data[-END:]
    )


@pytest.mark.parametrize("size", [0, 1, END, END + 1, 2 * END])
def test_output_that_fits_is_whole(size: int) -> None:
    output = Output()
    output.add(b"x" * size)
    assert output.value() == b"x" * size
