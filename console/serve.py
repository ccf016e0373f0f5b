"""`entra-sms serve`: the address book over HTTP, as a process that goes on until it is stopped."""

from __future__ import annotations

import ipaddress
import os

import click

from common import logging
from common.config import host_and_port, load
from common.db import revisions
from common.db.engine import Database
from common.errors import DatabaseUnavailableError
from common.listening import check_is_free
from console.reads import letters

ANSWER_SECONDS = 30.0
"""A statement that takes longer is given up, and the request answered with 503."""


@click.command("serve", short_help="Serve the address book over HTTP, for programs that read it.")
@click.option("--bind", metavar="ADDRESS:PORT", help="Where to listen; ENTRA_SMS_API_BIND unless given.")
@click.option("--threads", metavar="COUNT", help="Requests at once; ENTRA_SMS_API_THREADS unless given.")
def command(*, bind: str | None, threads: str | None) -> None:
    """Serve the address book over HTTP until Ctrl-C or SIGTERM; requests under way are finished.

    It only reads. Every request needs a key: entra-sms keys create. What there is to ask is at /openapi.json, its
    health at /health/live and /health/ready.

    It listens on this machine alone unless told otherwise, and speaks plain HTTP. Beyond that put a proxy with TLS in
    front of it: keys, people and their numbers go over the wire.

    Example: entra-sms serve --bind 127.0.0.1:8720 --threads 8
    """
    given = {"ENTRA_SMS_API_BIND": bind, "ENTRA_SMS_API_THREADS": threads}
    settings = load({**os.environ, **{name: value for name, value in given.items() if value is not None}})
    logging.configure(settings, "api")
    # Imported only now: everything else answers faster without.
    from console.api import server  # noqa: PLC0415
    from console.api.app import create_app  # noqa: PLC0415

    check_is_free(settings.api_bind, "ENTRA_SMS_API_BIND")
    database = Database.from_settings(settings, answer_seconds=ANSWER_SECONDS, read_only=True)
    letters.teach(database)
    log = logging.get("api")
    try:
        _look_at(database, log)
        if not _is_loopback(settings.api_bind):
            log.warning(
                "reachable_without_tls", address=settings.api_bind, advice="put a proxy with TLS in front of it"
            )
        log.info("api_started", address=settings.api_bind, threads=settings.api_threads)
        server.run(server.ApiServer(settings.api_bind, settings.api_threads, create_app(database)))
        log.info("api_stopped")
    finally:
        database.close()


def _look_at(database: Database, log: logging.Logger) -> None:
    """Say what keeps the address book from being read; it is waited for, unless it is of a newer version."""
    try:
        if not revisions.is_up_to_date(database):
            log.warning("database_not_up_to_date", advice="the worker brings it up to date when it starts")
    except DatabaseUnavailableError as error:
        log.warning("database_failed", error=str(error))


def _is_loopback(bind: str) -> bool:
    host, _ = host_and_port(bind)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
