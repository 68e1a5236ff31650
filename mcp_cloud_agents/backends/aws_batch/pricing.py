"""What jobs cost in the person's account: the machine, models, the log. `rates.py` has the formula.

A machine that is lost takes with it what its worker knew of the models' bill: each further attempt
may spend the whole of the models' limit again, so it is reserved for each.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from mcp_cloud_agents.backends.aws_batch.prices import exact, load_prices, stamp_of
from mcp_cloud_agents.backends.aws_batch.rates import END_S, attempt_usd, log_usd, rate_h
from mcp_cloud_agents.backends.aws_batch.request import attempt_s, size_of
from mcp_cloud_agents.domain.errors import BadConfig, InvalidArgument
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.money import Estimate, micros_of
from mcp_cloud_agents.governance.estimates import models_cap, models_spent
from mcp_cloud_agents.settings import AwsQueue

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.prices import Prices
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.status import Attempt, JobStatus
    from mcp_cloud_agents.settings import AwsSettings


class AwsPricing:
    """`ports.pricing.Pricing` of an account.

    The table is read with the first estimate, so that a broken one keeps jobs from starting, and
    nobody from looking at those there are.

    Args:
        aws: `settings.aws`.
        config_file: path of the person's settings; `prices.toml` may be beside it.
    """

    def __init__(self, aws: AwsSettings, config_file: str) -> None:
        self._aws = aws
        self._file = config_file
        self._read: tuple[object, Prices] | None = None

    @property
    def prices(self) -> Prices:
        """The table as it is now. Raises BadConfig."""
        seen = stamp_of(self._file)
        if self._read is None or self._read[0] != seen:
            self._read = (seen, load_prices(self._file))
        return self._read[1]

    def vcpus(self, spec: JobSpec) -> float:
        """See the port."""
        return size_of(spec.limits, self._aws).vcpus

    def estimate(self, spec: JobSpec) -> Estimate:
        """See the port. Raises BadConfig besides."""
        attempts = self._aws.attempts
        rate = self._rate_h(spec)
        longest = attempt_usd(rate, self.prices.fargate.pull_s, attempt_s(spec) + END_S)
        parts = (
            ("machine", micros_of(attempts * longest)),
            ("models", attempts * models_cap(spec)),
            ("log", micros_of(attempts * self._log_usd(spec.limits.log_bytes))),
        )
        worst = sum(micros for _, micros in parts)
        return Estimate(
            worst_micros=worst,
            expected_micros=min(worst, self._assumed(spec, rate)),
            parts=tuple((name, micros) for name, micros in parts if micros),
            notes=self._notes(spec),
        )

    def actual_micros(
        self, spec: JobSpec, status: JobStatus, result: JobResult | None
    ) -> int | None:
        """See the port."""
        if status.state is JobState.LOST or status.attempts is None:
            return None
        models = models_spent(spec, status, result)
        if models is None:
            return None
        try:
            return self._billed(spec, status.attempts, status.log_bytes, models)
        except (BadConfig, InvalidArgument):  # settings changed since: what it costs is unknown
            return None

    def _billed(
        self, spec: JobSpec, attempts: tuple[Attempt, ...], log_bytes: int, models: int
    ) -> int:
        rate = self._rate_h(spec) * self._market(exact(self.prices.fargate.spot_billed))
        machine = sum((self._attempt_usd(one, spec, rate) for one in attempts), Decimal(0))
        log = max(1, len(attempts)) * self._log_usd(log_bytes)
        lost = max(0, len(attempts) - 1)
        return micros_of(machine) + micros_of(log) + models + lost * models_cap(spec)

    def _attempt_usd(self, attempt: Attempt, spec: JobSpec, rate: Decimal) -> Decimal:
        """One whose times nobody knows counts as the longest that it can have been."""
        run_s: float = attempt_s(spec) + END_S
        if attempt.started_at is not None and attempt.stopped_at is not None:
            run_s = max(0.0, attempt.stopped_at - attempt.started_at)
        return attempt_usd(rate, self.prices.fargate.pull_s, run_s)

    def _assumed(self, spec: JobSpec, rate: Decimal) -> int:
        """One attempt, the environment cached, half of the time, of the models' limit, the log."""
        run_s = spec.limits.timeout_s / 2
        market = self._market(exact(self.prices.fargate.spot_expected))
        machine = attempt_usd(rate, self.prices.fargate.pull_s, run_s) * market
        log = self._log_usd(spec.limits.log_bytes) / 2
        return micros_of(machine) + micros_of(log) + -(-models_cap(spec) // 2)

    def _market(self, spot: Decimal) -> Decimal:
        return spot if self._aws.queue is AwsQueue.FARGATE_SPOT else Decimal(1)

    def _rate_h(self, spec: JobSpec) -> Decimal:
        return rate_h(size_of(spec.limits, self._aws), self._aws, self.prices)

    def _log_usd(self, log_bytes: int) -> Decimal:
        return log_usd(log_bytes, self._aws, self.prices)

    def _notes(self, spec: JobSpec) -> tuple[str, ...]:
        prices, region = self.prices, self._aws.region
        notes: list[str] = []
        if prices.old_at(spec.created_at):
            notes.append(prices.age_note)
        on_fargate = not self._aws.queue.on_instances
        if region not in prices.factors.logs or (
            on_fargate and region not in prices.factors.compute
        ):
            notes.append(
                f"The prices of {region} are not in the table: the highest known ones are taken."
            )
        return tuple(notes)
