"""The words and verdicts of `entra-sms check`, without anything to look at."""

import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import requests
import urllib3

from common.errors import AccessError, BrokerUnavailableError, SettingsError
from common.graph.client import Subscription
from common.messages import Stream
from console import check_public_url, check_settings, check_subscriptions, clock_difference, finding, network_trouble
from console.check_public_url import Answer
from console.exits import Exit
from console.network_trouble import NetworkTrouble
from console.reads.overview import SubscriptionRow

NOW = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
URL = "https://sync.example.com"


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def wrapped(error: Exception) -> requests.ConnectionError:
    """An error as it reaches us through urllib3 and requests."""
    reason = urllib3.exceptions.SSLError(error)
    try:
        raise urllib3.exceptions.MaxRetryError(urllib3.HTTPSConnectionPool("sync.example.com"), "/", reason) from reason
    except urllib3.exceptions.MaxRetryError as inner:
        return requests.ConnectionError(inner)


@pytest.mark.parametrize("carry", [lambda error: error, wrapped], ids=["itself", "wrapped"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (certificate_error(62), NetworkTrouble.OTHER_NAME),
        (certificate_error(10), NetworkTrouble.OUT_OF_DATE),
        (certificate_error(20), NetworkTrouble.UNTRUSTED),
        (ssl.SSLError(1, "wrong version number"), NetworkTrouble.NO_TLS),
        (ssl.SSLEOFError(8, "EOF"), NetworkTrouble.CUT),
        (socket.gaierror(-2, "Name or service not known"), NetworkTrouble.UNKNOWN_NAME),
        (ConnectionRefusedError(111, "refused"), NetworkTrouble.REFUSED),
        (TimeoutError(), NetworkTrouble.SILENT),
        (ConnectionResetError(104, "reset"), NetworkTrouble.CUT),
        (OSError(101, "Network is unreachable"), NetworkTrouble.OTHER),
    ],
)
def test_the_kind_of_a_network_trouble_is_found_however_it_is_wrapped(
    error: Exception, kind: NetworkTrouble, carry: object
) -> None:
    assert callable(carry)
    assert network_trouble.kind(carry(error)) is kind


def test_every_kind_of_trouble_with_the_public_address_has_an_advice() -> None:
    assert set(check_public_url.ADVICE) == set(NetworkTrouble)


def test_the_exit_code_is_that_of_the_troubles_or_1_for_several_kinds() -> None:
    access = finding.of_error("a", AccessError("No.", "Do.", "x"))
    broker = finding.of_error("b", BrokerUnavailableError("away"))
    setting = finding.of_error("c", SettingsError("wrong"))
    quiet = [finding.fine("d", "."), finding.warning("e", "."), finding.skipped("f", ".")]

    assert finding.exit_code(quiet) is Exit.OK
    assert finding.exit_code([*quiet, access, access]) is Exit.ACCESS_REFUSED
    assert finding.exit_code([broker]) is Exit.UNREACHABLE
    assert finding.exit_code([setting]) is Exit.USAGE
    assert finding.exit_code([access, broker]) is Exit.FAILED


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [
        (0.4, "fine", "The clock here agrees with ours."),
        (-59.0, "fine", "The clock here agrees with ours."),
        (61.0, "warning", "The clock here is 61 s ahead of ours."),
        (-240.0, "warning", "The clock here is 4 min behind ours."),
        (301.0, "trouble", "The clock here is 5 min ahead of ours."),
    ],
)
def test_a_difference_of_clocks_is_judged(ahead: float, verdict: str, words: str) -> None:
    found = clock_difference.judge("clock", "ours", ahead, refused_seconds=300)

    assert (found.verdict, found.text) == (verdict, words)


def test_an_answer_that_comes_late_is_pointed_out_and_one_that_comes_too_late_is_trouble() -> None:
    def at(seconds: float) -> finding.Finding:
        return check_public_url.judge(
            "x", URL, Answer(200, "text/plain; charset=utf-8", "", b"token", seconds), "token"
        )

    assert [at(seconds).verdict for seconds in (2.9, 3.1, 9.9, 10.1)] == ["fine", "warning", "warning", "trouble"]


def test_settings_that_cannot_be_used_are_left_out_and_the_others_kept() -> None:
    read = check_settings.read(
        {
            "ENTRA_SMS_POLL_SECONDS": "soon",
            "ENTRA_SMS_AMQP_URL": "amqp://one",
            "ENTRA_SMS_AMQP_URL_FILE": "/two",
            "ENTRA_SMS_LOG_LEVEL": "debug",
            "ENTRA_SMS_DATABSE_URL": "sqlite:///x",
            "HOME": "/nowhere",
        }
    )

    assert read.settings.log_level == "debug"
    assert read.settings.amqp_url.get_secret_value() == "amqp://one"
    assert read.lacks("poll_seconds", "amqp_url", "log_level") == ["poll_seconds", "amqp_url"]
    assert len(read.sentences) == 3


def at_graph(name: str, resource: str, url: str = f"{URL}/graph/notifications", hours: int = 3) -> Subscription:
    return Subscription(name, resource, "updated,deleted", url, NOW + timedelta(hours=hours))


def row(name: str, stream: Stream) -> SubscriptionRow:
    return SubscriptionRow(name, stream, NOW + timedelta(hours=3))


@pytest.mark.parametrize(
    ("users", "words"),
    [
        (at_graph("1", "users"), "Graph notifies of users"),
        (at_graph("2", "users"), "Graph does not have the subscription any more"),
        (at_graph("1", "groups"), "the subscription is one of groups"),
        (at_graph("1", "users", "https://other.example/x"), "the subscription calls https://other.example/x"),
        (at_graph("1", "users", hours=-1), "the subscription has expired"),
    ],
)
def test_a_subscription_is_compared_with_what_graph_has(users: Subscription, words: str) -> None:
    kept = [row("1", Stream.USERS), row("9", Stream.GROUPS)]
    actual = [users, at_graph("9", "groups")]

    found, groups, *_ = check_subscriptions.compare(kept, actual, URL, now=NOW, advice="Wait.")

    assert words in found.text
    assert (found.advice == "Wait.") is (found.verdict == "trouble")
    assert groups.verdict == "fine"
