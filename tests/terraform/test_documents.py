"""README and cost page say what the module says, to the cent."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.terraform.offline import MODULE, ROOT

COSTS = ROOT / "docs/aws-costs.md"
HOURS = 730
ENDPOINT = Decimal("0.01") * HOURS
NAT = (Decimal("0.045") + Decimal("0.005")) * HOURS
TEXT = (MODULE / "variables.tf").read_text(encoding="utf-8")
DECLARED = {
    found[1]: found[2]
    for found in re.finditer(
        r'^variable "(\w+)" {.*?^  description = "(.*?)"$', TEXT, re.MULTILINE | re.DOTALL
    )
}
IDLE = {
    "profile": ENDPOINT * 3 * 2,
    "zones": ENDPOINT * 3,
    "nat_gateway": NAT,
    "interface_endpoints": ENDPOINT,
    "bedrock_models": ENDPOINT,
    "ec2_queue": ENDPOINT * 3,
    "dns_allowlist": Decimal("0.01"),
    "monthly_budget_usd": Decimal("0.62"),
}


def told() -> dict[str, Decimal]:
    """Variable to dollars a month, as the cost page says."""
    rows = COSTS.read_text(encoding="utf-8").partition("## What is stored")[0]
    found = re.findall(r"^\| `(\w+)` \| \$([\d.]+) \|", rows, re.MULTILINE)
    return {name: Decimal(dollars) for name, dollars in found}


def test_the_tables_of_the_readme_are_what_the_module_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/terraform_tables.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_variable_has_a_type_and_a_description() -> None:
    names = re.findall(r'^variable "(\w+)"', TEXT, re.MULTILINE)
    assert list(DECLARED) == names
    assert len(re.findall(r"^  type += ", TEXT, re.MULTILINE)) == len(names)


def test_the_cost_page_names_every_option_that_costs_while_idle() -> None:
    assert told() == IDLE


@pytest.mark.parametrize("name", sorted(IDLE))
def test_a_variable_that_costs_while_idle_says_its_monthly_price(name: str) -> None:
    assert f"${IDLE[name]:.2f}" in DECLARED[name]
    assert "a month" in DECLARED[name]


def test_no_other_variable_speaks_of_a_monthly_price() -> None:
    monthly = {
        name for name, said in DECLARED.items() if re.search(r"\$[1-9\d.]+ [^;.]*a month", said)
    }
    assert monthly <= IDLE.keys()


def test_the_sum_of_the_team_example_is_right() -> None:
    total = f"${IDLE['profile'] + IDLE['nat_gateway']:.2f}"
    team = MODULE / "examples/team"
    for page in (COSTS, team / "README.md", team / "main.tf"):
        assert total in page.read_text(encoding="utf-8"), f"{page.name}: {total} a month"


PAGES = sorted(MODULE.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(MODULE)))
def test_links_of_the_readmes_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [one for one in targets if not (page.parent / one).exists()] == []
