"""After the storm: everything is up, the company is still, and the book is waited for and judged."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import create_engine, text

from deploy.local.comparison import book_of_database, book_of_directory
from deploy.local.errors import LocalServiceError
from tests.chaos.stage import Stage
from tests.chaos.storm import Storm
from tests.chaos.verdict import Removal, Verdict, differing_ids, verdict
from tests.support.eventually import eventually

READY_SECONDS = 120.0
_LOOK_SECONDS = 0.5
_OPERATOR_EVERY_SECONDS = 10.0
_STILL_SECONDS = 5.0
_FEED = text(
    "SELECT object_id, kind, EXTRACT(EPOCH FROM at) AS at FROM changes "
    "WHERE tenant_id = :tenant AND kind IN ('contact.added', 'contact.removed') ORDER BY sequence"
)


def restore(stage: Stage, storm: Storm) -> None:
    """End whatever is left of the faults, and wait until everything is up."""
    stage.broker_network.restore()
    stage.database_network.restore()
    stage.control.call("POST", "faults/reset")
    eventually(stage.postgres.cluster.is_ready, within_seconds=READY_SECONDS, what="PostgreSQL")
    eventually(stage.broker.broker.is_ready, within_seconds=READY_SECONDS, what="RabbitMQ")

    def all_up() -> bool:
        storm.start_again_who_ended()
        return all(post.is_up() for post in stage.posts)

    eventually(all_up, within_seconds=READY_SECONDS, what="all webhooks and workers", despite=(LocalServiceError,))


def await_equality(stage: Stage, patience_seconds: float, tell: Callable[[str], None]) -> float | None:
    """Wait until the book equals the directory, and is still equal a while later; the seconds, or None."""
    expected = book_of_directory(stage.control.directory())
    began = time.monotonic()
    look_after_access_at = began
    while time.monotonic() - began < patience_seconds:
        if time.monotonic() >= look_after_access_at:
            _let_an_operator_look_after_the_access(stage, tell)
            look_after_access_at = time.monotonic() + _OPERATOR_EVERY_SECONDS
        if not differing_ids(expected, book_of_database(stage.direct_database_url, stage.control.tenant_id)):
            seconds = time.monotonic() - began
            time.sleep(_STILL_SECONDS)  # what is still under way must not make it unequal again
            if not differing_ids(expected, book_of_database(stage.direct_database_url, stage.control.tenant_id)):
                return seconds
            tell("The book was equal and is not any more; waiting on ...")
        time.sleep(_LOOK_SECONDS)
    return None


def judge(stage: Stage, founders: set[str]) -> Verdict:
    """Compare both sides as they are now."""
    control = stage.control
    engine = create_engine(stage.direct_database_url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(_FEED, {"tenant": control.tenant_id}).all()
    finally:
        engine.dispose()
    return verdict(
        expected=book_of_directory(control.directory()),
        actual=book_of_database(stage.direct_database_url, control.tenant_id),
        log=control.changes_after(0),
        feed=[Removal(str(row.object_id), float(row.at), removed=row.kind == "contact.removed") for row in rows],
        founders=founders,
    )


def _let_an_operator_look_after_the_access(stage: Stage, tell: Callable[[str], None]) -> None:
    """A tenant whose secret was refused is asked slowly until somebody says that it works again: an operator does."""
    if not stage.is_tenant_active():
        tell("The tenant's access is marked as failed; an operator checks it.")
        stage.system.entra_sms("tenants", "check")
