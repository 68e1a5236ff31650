"""The team's table of DynamoDB through the clients of this account; errors are translated here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.backends.aws_batch.clients import Clients, Json, Use
from mcp_cloud_agents.backends.aws_batch.errors import code_of, may_have_been_done
from mcp_cloud_agents.domain.errors import BackendFailed, CloudMisconfigured, LedgerUnusable
from mcp_cloud_agents.storage.dynamo_table import AnswerLost, Cancelled, turns

if TYPE_CHECKING:
    from collections.abc import Iterator

_CANCELLED = "TransactionCanceledException"
_IN_THE_WAY = frozenset(
    {"TransactionConflictException", "TransactionInProgressException", "ConflictException"}
)
"""Somebody else is at the same rows."""
_FULL = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException"})


class TeamTable:
    """`storage.dynamo_table.Table` in a person's account.

    Args:
        clients: of the account; boto3 is imported with the first call.
        name: of the table, in the region of `[aws]`.
    """

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients = clients
        self.name = name

    def get(self, keys: list[Json]) -> list[Json]:
        """See the protocol; what AWS leaves out of an answer is asked for again."""
        found: list[Json] = []
        asked: Json = {self.name: {"Keys": keys, "ConsistentRead": True}}
        for last in turns():
            if not keys:
                break
            answer = self._call("batch_get_item", RequestItems=asked)
            found += answer["Responses"].get(self.name, [])
            asked = answer.get("UnprocessedKeys") or {}
            if not asked:
                break
            if last:
                raise self._unusable("AWS is throttling reads of it", "Call again in a minute.")
        return found

    def write(self, items: list[Json]) -> None:
        """See the protocol."""
        named = [
            {kind: {"TableName": self.name, **cast("Json", one)} for kind, one in item.items()}
            for item in items
        ]
        self._call("transact_write_items", TransactItems=named)

    def scan(self, **asked: Any) -> Iterator[Json]:
        """See the protocol."""
        page: Json = {}
        while True:
            answer = self._call("scan", TableName=self.name, ConsistentRead=True, **asked, **page)
            yield from answer["Items"]
            if not (last := answer.get("LastEvaluatedKey")):
                return
            page = {"ExclusiveStartKey": last}

    def _call(self, call: str, **arguments: Any) -> Json:
        doing = "asking the team's ledger"
        try:
            return self._clients.call(
                "dynamodb", call, doing, f"table {self.name}", use=Use.CHECK, **arguments
            )
        except BackendFailed as exc:
            raise self._told(exc, changes=call == "transact_write_items") from exc

    def _told(self, exc: BackendFailed, *, changes: bool) -> LedgerUnusable | Cancelled:
        """What a failed call means for the ledger."""
        cause = exc.__cause__ or exc
        code = code_of(cause)
        if code == _CANCELLED:
            return Cancelled(_reasons(cause))
        if code in _IN_THE_WAY | _FULL:
            return Cancelled((code,))
        if changes and may_have_been_done(cause):
            return AnswerLost(exc.message, hint=exc.hint)
        if isinstance(exc, CloudMisconfigured):
            return self._unusable(
                exc.message.rstrip("."),
                "Apply the Terraform module with team_budget = true, and check budget.team.table "
                "and aws.region in the configuration file.",
            )
        return LedgerUnusable(exc.message, hint=exc.hint)

    def _unusable(self, why: str, hint: str) -> LedgerUnusable:
        return LedgerUnusable(f"The team's table {self.name} cannot be used: {why}.", hint=hint)


def _reasons(exc: BaseException) -> tuple[str, ...]:
    """Codes of the items that were the reason."""
    response = cast("Json", getattr(exc, "response", {}))
    codes = (str(one.get("Code")) for one in response.get("CancellationReasons", ()))
    return tuple(code for code in codes if code != "None") or (_CANCELLED,)
