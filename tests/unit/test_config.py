"""Settings: read from the environment or from files, or refused with a sentence."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import config
from common.broker import connection
from common.cloud import NATIONAL_CLOUDS, Cloud
from common.config import SECRET_NAMES, Settings, load
from common.errors import SettingsError

KEY = "k" * 32


def refusal(**environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load({f"ENTRA_SMS_{name.upper()}": value for name, value in environment.items()})
    return str(caught.value)


def test_without_any_setting_the_defaults_hold() -> None:
    settings = load({})
    assert settings == Settings()
    assert settings.webhook_bind == "127.0.0.1:8080"
    assert settings.follow_up_seconds == (15.0, 60.0, 300.0)


def test_only_variables_with_the_prefix_are_read() -> None:
    assert load({"POLL_SECONDS": "7", "ENTRA_SMSPOLL_SECONDS": "8", "PATH": "/bin"}) == Settings()


def test_values_are_read_as_what_they_are() -> None:
    settings = load(
        {
            "ENTRA_SMS_POLL_SECONDS": "12.5",
            "ENTRA_SMS_FOLLOW_UP_SECONDS": "1, 2.5,30",
            "ENTRA_SMS_PUBLIC_URL": "https://sync.example.com/",
            "ENTRA_SMS_LOG_LEVEL": "DEBUG",
            "ENTRA_SMS_CA_BUNDLE": "",
        }
    )
    assert (settings.poll_seconds, settings.follow_up_seconds) == (12.5, (1.0, 2.5, 30.0))
    assert (settings.public_url, settings.log_level, settings.ca_bundle) == ("https://sync.example.com", "debug", None)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_comes_from_a_file_too(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{KEY}\n")
    settings = load({f"ENTRA_SMS_{name.upper()}_FILE": str(file)})
    assert getattr(settings, name).get_secret_value() == KEY


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(KEY)
    assert "are both set; keep one of them." in refusal(secret_key=KEY, secret_key_file=str(file))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "missing', which cannot be read" in refusal(secret_key_file=str(tmp_path / "missing"))
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(secret_key_file=str(binary))


def test_only_secrets_have_files() -> None:
    assert "ENTRA_SMS_POLL_SECONDS_FILE is no setting. Did you mean" in refusal(poll_seconds_file="/x")


def test_a_misspelt_name_is_refused_with_the_nearest_one() -> None:
    assert refusal(pol_seconds="5") == "ENTRA_SMS_POL_SECONDS is no setting. Did you mean ENTRA_SMS_POLL_SECONDS?"
    assert "docs/settings.md lists them all" in refusal(zzzzzz="5")


def test_every_mistake_is_named_at_once() -> None:
    lines = refusal(poll_seconds="often", worker_threads="0", metrics="1").splitlines()
    assert len(lines) == 3
    assert {line.split(":")[0].split(" ")[0] for line in lines} == {
        "ENTRA_SMS_POLL_SECONDS",
        "ENTRA_SMS_WORKER_THREADS",
        "ENTRA_SMS_METRICS",
    }


WRONG = {
    "poll_seconds": ["0", "nan", "inf", "-1", "", "86401"],
    "full_resync_days": ["0", "366"],
    "follow_up_seconds": ["", ",", "5,5", "60,15", "0,1", "-1", "nan", "1,inf", "a"],
    "lease_seconds": ["1", "30", "nan"],
    "worker_threads": ["0", "65", "1.5"],
    "webhook_bind": ["", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "a:٣"],
    "webhook_processes": ["0"],
    "metrics_bind": ["9100", ":9100", "127.0.0.1:0", "127.0.0.1:65536"],
    "secret_key": ["short"],
    "secret_key_previous": ["short"],
    "public_url": [
        "http://example.com",
        "https://",
        "https://u:p@example.com",
        "https://a/?q=1",
        "ftp://a",
        "https://[",
    ],
    "graph_url": ["", "http://graph.microsoft.com", "graph.microsoft.com", "https://graph.microsoft.com/#x"],
    "login_url": [""],
    "clouds": [
        "bleu",
        "bleu=https://graph.bleu.example",
        "bleu=https://graph.bleu.example,http://login.bleu.example",
        "bleu=https://graph.bleu.example/v1.0,https://login.bleu.example",
        "Bleu=https://graph.bleu.example,https://login.bleu.example",
        "=https://graph.bleu.example,https://login.bleu.example",
        "default=https://graph.bleu.example,https://login.bleu.example",
        "china=https://graph.bleu.example,https://login.bleu.example",
        "a=https://graph.a.example,https://login.a.example a=https://graph.b.example,https://login.b.example",
    ],
    "ca_bundle": ["/no/such/file", "/"],
    "log_level": ["loud", ""],
    "log_format": ["xml"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_value_that_cannot_work_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    assert f"ENTRA_SMS_{name.upper()}" in refusal(**{name: value}) or name in refusal(**{name: value})


def test_a_tenant_is_in_the_cloud_of_the_settings_or_in_one_that_has_a_name() -> None:
    pairs = "bleu=https://graph.bleu.example,https://login.bleu.example delos=https://g.example:8443,https://l.example"
    found = load({"ENTRA_SMS_CLOUDS": pairs, "ENTRA_SMS_GRAPH_URL": "https://g", "ENTRA_SMS_LOGIN_URL": "https://l"})
    assert found.cloud(None) == found.cloud("default") == Cloud("default", "https://g", "https://l")
    assert found.cloud("bleu") == Cloud("bleu", "https://graph.bleu.example", "https://login.bleu.example")
    assert found.cloud("delos").graph_url == "https://g.example:8443"
    assert found.cloud("usgov-dod").graph_url == "https://dod-graph.microsoft.us"
    with pytest.raises(SettingsError, match=r"no cloud 'mars'\. There are default, global, usgov, .*, bleu, delos;"):
        found.cloud("mars")


def test_no_two_national_clouds_share_a_graph() -> None:
    assert len({one.graph_url for one in NATIONAL_CLOUDS}) == len(NATIONAL_CLOUDS)


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()
    assert "go together" in refusal(webhook_tls_certificate=str(file))
    assert "go together" in refusal(webhook_tls_key=str(file))


def test_a_lease_outlasts_the_longest_wait_for_graph() -> None:
    assert "lease_seconds must be longer" in refusal(lease_seconds="20", graph_timeout_seconds="20")


def test_no_secret_is_shown_by_a_refusal_or_by_the_settings_themselves() -> None:
    secret = "correct-horse-battery"
    assert secret not in refusal(secret_key=secret)
    settings = load(
        {
            "ENTRA_SMS_SECRET_KEY": secret * 2,
            "ENTRA_SMS_AMQP_URL": f"amqp://u:{secret}@h",
            "ENTRA_SMS_DATABASE_URL": f"postgresql+psycopg://u:{secret}@h/d",
        }
    )
    assert secret not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_server_key_is_asked_for_only_where_it_is_needed() -> None:
    with pytest.raises(SettingsError, match="openssl rand -hex 32"):
        load({}).require_secret_key()
    assert load({"ENTRA_SMS_SECRET_KEY": KEY}).require_secret_key() == KEY


@given(st.dictionaries(st.sampled_from(list(Settings.model_fields)), st.text(max_size=20)))
def test_whatever_is_set_the_settings_are_read_or_refused(values: dict[str, str]) -> None:
    with suppress(SettingsError):
        load({f"ENTRA_SMS_{name.upper()}": value for name, value in values.items()})


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda rest: f"amqp://{rest}"))
def test_whatever_is_set_the_broker_address_is_one_or_refused(address: str) -> None:
    settings = Settings(amqp_url=config.SecretStr(address))
    with suppress(SettingsError):
        assert connection.parameters(settings, "tests").heartbeat == connection.HEARTBEAT_SECONDS
