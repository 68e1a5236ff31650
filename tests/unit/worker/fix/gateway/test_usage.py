"""What an answer used is read whatever its pieces are, and never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.fix import Provider
from mcp_cloud_agents.worker.fix.gateway.usage import UsageReader
from mcp_cloud_agents.worker.fix.prices import Used


def events(*data: dict[str, Any] | str) -> bytes:
    texts = (one if isinstance(one, str) else json.dumps(one) for one in data)
    return "".join(f"event: e\ndata: {text}\n\n" for text in texts).encode()


BEGIN = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3_000,
    "output_tokens": 1,
}
STREAMS: dict[Provider, tuple[bytes, Used]] = {
    Provider.ANTHROPIC: (
        events(
            {"type": "message_start", "message": {"usage": BEGIN}},
            {"type": "content_block_delta", "delta": {"text": 'a "usage" of words'}},
            {"type": "message_delta", "usage": {"output_tokens": 50}},
            {"type": "message_stop"},
        ),
        Used(input_tokens=3_210, output_tokens=50, cache_write_tokens=200, cache_read_tokens=3_000),
    ),
    Provider.OPENAI: (
        events(
            {"type": "response.created", "response": {"usage": None}},
            {
                "type": "response.completed",
                "response": {
                    "usage": {
                        "input_tokens": 90,
                        "input_tokens_details": {"cached_tokens": 40},
                        "output_tokens": 7,
                    }
                },
            },
        ),
        Used(input_tokens=90, output_tokens=7, cache_read_tokens=40),
    ),
    Provider.OPENAI_CHAT: (
        events(
            {"choices": [{"delta": {"content": "x"}}], "usage": None},
            {"choices": [], "usage": {"prompt_tokens": 90, "completion_tokens": 7}},
            "[DONE]",
        ),
        Used(input_tokens=90, output_tokens=7),
    ),
}


@given(provider=st.sampled_from(list(STREAMS)), cuts=st.lists(st.integers(0, 700), max_size=9))
def test_a_stream_tells_the_same_however_it_is_cut_into_pieces(
    provider: Provider, cuts: list[int]
) -> None:
    data, used = STREAMS[provider]
    reader = UsageReader(provider, stream=True)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for at, start in enumerate(ends[:-1]):
        reader.feed(data[start : ends[at + 1]])
    reader.end()
    assert (reader.used, reader.whole) == (used, True)


@given(provider=st.sampled_from(list(STREAMS)), cut=st.integers(0, 700))
def test_a_stream_that_ends_early_is_not_whole_and_tells_all_or_nothing(
    provider: Provider, cut: int
) -> None:
    data, used = STREAMS[provider]
    reader = UsageReader(provider, stream=True)
    reader.feed(data[: min(cut, len(data) - 3)])
    reader.end()
    assert reader.used in (None, used)
    if reader.used is None:
        assert reader.whole is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"{",
        b'{"usage": null}',
        b'{"usage": {"input_tokens": -1, "output_tokens": 2}}',
        b'{"usage": {"input_tokens": 5}}',
        b'{"usage": {"input_tokens": true, "output_tokens": 1}}',
        b'{"usage": {"input_tokens": 1e30, "output_tokens": 1}}',
        b'{"usage": {"input_tokens": 1%s, "output_tokens": 1}}' % (b"0" * 30),
        b'{"usage": {"input_tokens": "5", "output_tokens": 1}}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("provider", list(STREAMS))
def test_a_body_without_sound_usage_tells_nothing(provider: Provider, body: bytes) -> None:
    reader = UsageReader(provider, stream=False)
    reader.feed(body)
    reader.end()
    assert reader.used is None


def test_an_endless_line_does_not_fill_the_memory() -> None:
    reader = UsageReader(Provider.ANTHROPIC, stream=True)
    for _ in range(20):
        reader.feed(b"data: " + b"x" * (1 << 20))
    assert len(reader._kept) <= 9 << 20
    data, used = STREAMS[Provider.ANTHROPIC]
    reader.feed(b"\n" + data)
    assert reader.used == used
