#!/usr/bin/python3 -I
"""Stands in for `claude` and `codex` where those are not installed: it speaks their wire formats.

As little as it is, it is a real agent: it asks, runs what it is told, and answers with the result.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

ENVIRON = os.environ  # noqa: TID251  an agent's settings


def say(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def ask(url: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  the gateway's
        url, json.dumps(body).encode(), {"authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def ran(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def claude() -> None:
    url = ENVIRON["ANTHROPIC_BASE_URL"] + "/v1/messages?beta=true"
    token = ENVIRON["ANTHROPIC_API_KEY"]
    turns: list[Any] = [{"role": "user", "content": sys.argv[2]}]
    model = sys.argv[sys.argv.index("--model") + 1]
    tools = [{"name": "Bash", "input_schema": {"type": "object"}}]
    while True:
        body = {"model": model, "max_tokens": 128_000, "messages": turns, "tools": tools}
        answer = ask(url, token, body)
        say(type="assistant", message=answer)
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        if not calls:
            say(type="result", result=answer["content"][0]["text"])
            return
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call["id"],
                "content": ran(call["input"]["command"]),
            }
            for call in calls
        ]
        turns += [
            {"role": "assistant", "content": answer["content"]},
            {"role": "user", "content": results},
        ]


def codex() -> None:
    settings = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "-c"]
    url = next(one for one in settings if "base_url=" in one).split('base_url="')[1].split('"')[0]
    model = next(one for one in settings if one.startswith("model=")).split('"')[1]
    turns: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": sys.argv[-1]}]}]
    while True:
        body = {"model": model, "input": turns, "tools": [{"type": "function", "name": "shell"}]}
        answer = ask(f"{url}/responses", ENVIRON["JOB_TOKEN"], body)
        calls = [item for item in answer["output"] if item["type"] == "function_call"]
        if not calls:
            text = answer["output"][-1]["content"][0]["text"]
            say(type="item.completed", item={"type": "agent_message", "text": text})
            return
        turns += answer["output"]
        for call in calls:
            said = ran(json.loads(call["arguments"])["command"])
            turns.append(
                {"type": "function_call_output", "call_id": call["call_id"], "output": said}
            )


if __name__ == "__main__":
    try:
        (claude if sys.argv[0].endswith("claude") else codex)()
    except urllib.error.HTTPError as refused:
        say(type="error", status=refused.code)
        sys.exit(1)
