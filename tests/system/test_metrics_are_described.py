"""What is exposed, what docs/metrics.md describes, and what alerts and dashboard ask for, are the same metrics."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine, text

from common import topology
from common.db.tenants import TenantState
from common.messages import Mode, Stream
from deploy.local.ports import Reservation
from deploy.local.runs import Run
from deploy.local.system import System
from tests.support.broker import Vhosts
from tests.support.database import copied_sqlite
from tests.support.eventually import eventually
from tests.support.promql import NotUnderstoodError, named
from tests.support.watched import Watched
from tests.support.whole_system import IMPATIENT, await_equality, await_subscriptions
from webhook.payload import Refusal
from worker.book import KINDS
from worker.census import SUBSCRIPTION_STATES

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {
    **{f"alert {rule['alert']}": rule["expr"] for rule in RULES},
    **{f"panel {panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]},
}
DESCRIBED: dict[str, tuple[set[str], str]] = {
    name: (set(filter(None, labels.split(","))), kind)
    for name, labels, kind in re.findall(
        r"^\| `(entra_sms_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )
}
OF_PROMETHEUS = {"instance", "le"}
WORDS = {
    *(*Stream, *Mode, *TenantState, *KINDS, *Refusal, *SUBSCRIPTION_STATES),
    *(queue.name for queue in topology.queues()),
    *("accepted", "handshake", "bad_request", "too_large", "wrong_content_type", "not_served", "overloaded"),
    *("broker_unavailable", "failed", "queued", "ok", "resync", "unreadable", "defect", "none"),
}
"""All values of labels, but for numbers and names of errors."""


@dataclass(frozen=True)
class Exposed:
    """What a webhook and a worker expose together: metrics with their type, and every series."""

    families: Mapping[str, str]
    series: list[tuple[str, dict[str, str]]]
    tenant: str
    ids: set[str]

    def labels_of(self, metric: str) -> list[dict[str, str]]:
        """Return the labels of each series of a metric; of a histogram those of all its parts."""
        return [labels for name, labels in self.series if name in (metric, f"{metric}_bucket")]


@pytest.fixture(scope="module")
def exposed(
    vhosts: Vhosts, _sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Exposed]:
    """The metrics of the real processes after a first sync, a change and its notification."""
    folder = tmp_path_factory.mktemp("metrics")
    with (
        vhosts.lent(request.module.__name__) as vhost,
        Run.claim("system", var=folder) as run,
        Reservation(2) as reservation,
    ):
        webhook_port, worker_port = reservation.ports
        system = System(run, vhost.url, copied_sqlite(_sqlite_template, folder), IMPATIENT)
        system.start_simulator(users=30, groups=4)
        system.start_webhook(ENTRA_SMS_METRICS_BIND=f"127.0.0.1:{webhook_port}")
        system.start_worker(ENTRA_SMS_METRICS_BIND=f"127.0.0.1:{worker_port}")
        system.add_tenant()
        system.entra_sms("sync", "--full", "--wait")
        await_subscriptions(system)
        system.simulated().call("POST", "random-changes", {"count": 20, "seed": 5})
        await_equality(system)
        webhook, worker = Watched(webhook_port), Watched(worker_port)
        eventually(lambda: worker.value("entra_sms_subscriptions", state="working") == 2, what="a census")
        eventually(lambda: worker.value("entra_sms_queue_messages", queue="sync.requests") is not None)
        eventually(lambda: worker.value("entra_sms_change_lag_seconds_count", stream="users"), what="a change")
        yield Exposed(
            families={**webhook.families(), **worker.families()},
            series=[(name, dict(labels)) for name, labels in [*webhook.series(), *worker.series()]],
            tenant=system.simulated().tenant_id,
            ids=_ids(system),
        )


def _ids(system: System) -> set[str]:
    engine = create_engine(system.database_url)
    with engine.connect() as connection:
        found = {str(one) for one in connection.scalars(text("SELECT object_id FROM contacts"))}
    engine.dispose()
    return found


def test_every_metric_is_described_with_its_type_and_nothing_else_is(exposed: Exposed) -> None:
    assert {name: kind for name, (_, kind) in DESCRIBED.items()} == exposed.families


def test_every_label_is_described(exposed: Exposed) -> None:
    for metric, (labels, _) in DESCRIBED.items():
        for found in exposed.labels_of(metric):
            assert set(found) - {"le"} == labels, metric
        assert not labels or exposed.labels_of(metric), f"{metric} has no series"


def test_no_label_names_a_tenant_or_anybody_in_the_book(exposed: Exposed) -> None:
    values = {value for name, labels in exposed.series if name.startswith("entra_sms_") for value in labels.values()}
    assert exposed.ids
    assert values.isdisjoint({exposed.tenant, *exposed.ids})
    assert [one for one in values - WORDS if not re.fullmatch(r"\d+(\.\d+)?|\+Inf|[A-Z]\w+Error", one)] == []


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_an_expression_names_metrics_labels_and_values_that_there_are(exposed: Exposed, where: str) -> None:
    asked = named(EXPRESSIONS[where])
    assert asked.metrics
    known: set[str] = set()
    for metric, matchers in asked.metrics:
        base = re.sub(r"_(bucket|sum|count)$", "", metric) if metric not in exposed.families else metric
        assert base in exposed.families, f"{metric} is not exposed"
        found = exposed.labels_of(base)
        known |= {label for labels in found for label in labels}
        for matcher in matchers:
            meant = [labels for labels in found if matcher.matches(labels.get(matcher.label, ""))]
            assert all(matcher.label in labels for labels in found), f"{metric} has no label {matcher.label}"
            assert meant, f"no series of {metric} has {matcher}"
    assert asked.groupings <= known | OF_PROMETHEUS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "action"}
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert label in named(rule["expr"]).groupings or "by" not in rule["expr"], f"{label} is aggregated away"


def test_every_alert_has_a_name_of_its_own() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_the_panels_of_the_dashboard_do_not_overlap_and_each_has_a_title_and_a_unit() -> None:
    cells = [
        {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        for at in (panel["gridPos"] for panel in DASHBOARD["panels"])
    ]
    assert all(x < 24 for cell in cells for x, _ in cell)
    assert all(one.isdisjoint(other) for one, other in combinations(cells, 2))
    assert all(panel["title"] for panel in DASHBOARD["panels"])
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


@pytest.mark.parametrize(
    "expression",
    [
        "sum(entra_sms_x",
        "sum(entra_sms_x))",
        "rate(entra_sms_x)",
        "entra_sms_x[5m]",
        "average(entra_sms_x)",
        "a{b=c",
        "x % y",
    ],
)
def test_an_expression_that_does_not_hold_together_is_found_out(expression: str) -> None:
    with pytest.raises(NotUnderstoodError):
        named(expression)
