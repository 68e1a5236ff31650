from __future__ import annotations

import os
from pathlib import Path

from mcp_cloud_agents.storage.queue import Ticket


def test_first_come_first_served_up_to_the_limit(tmp_path: Path) -> None:
    tickets = [Ticket(str(tmp_path), f"j{n}") for n in range(4)]
    assert [ticket.ahead(concurrent=2) for ticket in tickets] == [0, 0, 1, 2]


def test_a_place_given_back_lets_the_next_one_in(tmp_path: Path) -> None:
    first, second, third = (Ticket(str(tmp_path), f"j{n}") for n in range(3))
    first.give_back()
    assert [ticket.ahead(concurrent=1) for ticket in (second, third)] == [0, 1]


def test_the_ticket_of_a_dead_holder_is_swept_away(tmp_path: Path) -> None:
    dead = Ticket(str(tmp_path), "jdead")
    os.close(dead._fd)
    assert Ticket(str(tmp_path), "jnext").ahead(concurrent=1) == 0
    assert len(list(tmp_path.iterdir())) == 1
