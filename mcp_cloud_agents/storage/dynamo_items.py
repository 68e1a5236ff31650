"""Items of the team's table, as DynamoDB writes them, and what they say.

pk `scope#KIND#KEY`       cap, room, spent, open: in micro-dollars
pk `reservation#TOKEN`    state, order (JSON), actual, ended_at, remove_at
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mcp_cloud_agents.ports.ledger import (
    Balance,
    Limit,
    Order,
    Reservation,
    ReservationState,
    Scope,
    ScopeKind,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]
_KEPT_S = 400 * 86_400
"""Ended reservations are deleted by the table's time to live after more than a year."""


def scope_key(scope: Scope) -> Json:
    """The key of a scope's item."""
    return {"pk": {"S": f"scope#{scope.kind}#{scope.key}"}}


def token_key(token: str) -> Json:
    """The key of a reservation's item."""
    return {"pk": {"S": f"reservation#{token}"}}


def number(value: float) -> Json:
    """A number."""
    return {"N": repr(value)}


def create_balance(balance: Balance) -> Json:
    """The change that stores a balance of a scope which nobody has stored yet."""
    item = {
        **scope_key(balance.limit.scope),
        "cap": number(balance.limit.cap_micros),
        "room": number(balance.room_micros),
        "spent": number(balance.spent_micros),
        "open": number(balance.open_micros),
    }
    return {"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def hold(stored: Balance, needed: int, floor: int) -> Json:
    """The change that holds money back, if the cap is still this one and there is that much room.

    Args:
        stored: as it was read.
        needed: micro-dollars.
        floor: least room there must be; more than is needed where the given cap is the lower one.
    """
    values = {
        ":needed": number(needed),
        ":floor": number(floor),
        ":cap": number(stored.limit.cap_micros),
    }
    return _update(
        scope_key(stored.limit.scope),
        "SET room = room - :needed, #open = #open + :needed",
        values,
        "cap = :cap AND room >= :floor",
    )


def move(scope: Scope, *, held: int, spent: int) -> Json:
    """The change out of the room into what is held and what is spent; negative: back again."""
    values = {":held": number(held), ":spent": number(spent), ":all": number(held + spent)}
    return _update(
        scope_key(scope),
        "SET room = room - :all, #open = #open + :held, spent = spent + :spent",
        values,
        "attribute_exists(pk)",
    )


def change_cap(stored: Balance, cap: int) -> Json:
    """The change to another cap; the difference is room."""
    was = stored.limit.cap_micros
    values = {":cap": number(cap), ":more": number(cap - was), ":was": number(was)}
    return _update(
        scope_key(stored.limit.scope),
        "SET cap = :cap, room = room + :more",
        values,
        "cap = :was",
    )


def put(one: Reservation, was: Reservation | None) -> Json:
    """The change of a reservation that is still as it was read; None: there was none."""
    item = {
        **token_key(one.order.token),
        "state": {"S": str(one.state)},
        "order": {"B": msgspec.json.encode(one.order)},
        "at": number(one.order.at),
        "actual": number(one.actual_micros),
    }
    if one.ended_at is not None:
        item["ended_at"] = number(one.ended_at)
        item["remove_at"] = number(int(one.ended_at) + _KEPT_S)
    asked: Json = {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
    if was is not None:
        asked["ConditionExpression"] = "#state = :state AND #order = :order"
        asked["ExpressionAttributeNames"] = {"#state": "state", "#order": "order"}
        asked["ExpressionAttributeValues"] = {
            ":state": {"S": str(was.state)},
            ":order": {"B": msgspec.json.encode(was.order)},
        }
    return {"Put": asked}


def balances(items: Iterable[Json]) -> dict[Scope, Balance]:
    """What items of scopes say."""
    return {one.limit.scope: one for one in map(_balance, items)}


def reservations(items: Iterable[Json]) -> tuple[Reservation, ...]:
    """What items of reservations say."""
    return tuple(map(_reservation, items))


def of_any_state() -> Json:
    """Arguments of a scan for all reservations."""
    return {
        "FilterExpression": "begins_with(pk, :prefix)",
        "ExpressionAttributeValues": {":prefix": {"S": "reservation#"}},
    }


def in_state(state: ReservationState, more: str = "", values: Json | None = None) -> Json:
    """Arguments of a scan for reservations of a state.

    Args:
        state: the state.
        more: another condition, with ` AND ` before it.
        values: of that condition.
    """
    asked = of_any_state()
    given = {":state": {"S": str(state)}, **(values or {})}
    return {
        "FilterExpression": f"{asked['FilterExpression']} AND #state = :state{more}",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": asked["ExpressionAttributeValues"] | given,
    }


def _update(key: Json, change: str, values: Json, condition: str) -> Json:
    asked: Json = {
        "Key": key,
        "UpdateExpression": change,
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
    }
    if "#open" in change:  # a reserved word of DynamoDB
        asked["ExpressionAttributeNames"] = {"#open": "open"}
    return {"Update": asked}


def _balance(item: Json) -> Balance:
    _, kind, key = item["pk"]["S"].split("#", 2)
    scope = Scope(kind=ScopeKind(kind), key=key)
    return Balance(
        limit=Limit(scope=scope, cap_micros=int(item["cap"]["N"])),
        room_micros=int(item["room"]["N"]),
        spent_micros=int(item["spent"]["N"]),
        open_micros=int(item["open"]["N"]),
    )


def _reservation(item: Json) -> Reservation:
    ended_at = item.get("ended_at")
    return Reservation(
        order=msgspec.json.decode(item["order"]["B"], type=Order),
        state=ReservationState(item["state"]["S"]),
        actual_micros=int(item["actual"]["N"]),
        ended_at=None if ended_at is None else float(ended_at["N"]),
    )
