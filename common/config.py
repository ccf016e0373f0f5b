"""All settings, in one table: `Settings`.

Each comes from the environment as ``ENTRA_SMS_<NAME>``; a secret also from a file named by ``ENTRA_SMS_<NAME>_FILE``.
A name that is not in the table, a value that cannot work or an unreadable file ends the process with a sentence.
`docs/settings.md` describes every row, and a test compares the two.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from common.cloud import DEFAULT, NATIONAL_CLOUDS, Cloud
from common.errors import SettingsError

PREFIX = "ENTRA_SMS_"
FILE_SUFFIX = "_FILE"
SECRET_NAMES = ("database_url", "amqp_url", "secret_key", "secret_key_previous")
SHORTEST_SECRET_KEY = 32
HIGHEST_PORT = 65_535
_CLOUD_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Settings(BaseSettings):
    """The settings table. Field names are the environment names in lower case, without the prefix."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX)

    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/entra-sms.sqlite3"),
        description="SQLAlchemy address of the database: `postgresql+psycopg://…` or `sqlite:///path`.",
    )
    amqp_url: SecretStr = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"),
        description="Address of RabbitMQ: `amqp://user:password@host:port/vhost`, or `amqps://…`.",
    )
    public_url: str = Field(
        "",
        description="Base of the https addresses that Graph calls, e.g. `https://sync.example.com`. "
        "Empty: no subscriptions, the system runs by polling alone.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Server key of at least 32 characters: encrypts stored credentials and proves `clientState`.",
    )
    secret_key_previous: SecretStr = Field(
        SecretStr(""),
        description="The key before `secret_key`, accepted while the rotation is under way.",
    )
    graph_url: str = Field(
        NATIONAL_CLOUDS[0].graph_url,
        description="Origin of Microsoft Graph; the only one that gets tokens of tenants in no cloud of their own.",
    )
    login_url: str = Field(NATIONAL_CLOUDS[0].login_url, description="Origin of the Entra login service.")
    clouds: Annotated[tuple[Cloud, ...], NoDecode] = Field(
        (),
        description="Clouds that a tenant can be in besides those that are known: `name=graph-origin,login-origin`; "
        "a list with spaces.",
    )
    ca_bundle: Path | None = Field(
        None, description="PEM file of the authorities to trust for Graph and login; empty: the public ones."
    )
    poll_seconds: float = Field(
        300.0, ge=1.0, le=86_400.0, description="A stream without any request is advanced after this many seconds."
    )
    full_resync_days: float = Field(
        7.0, ge=0.01, le=365.0, description="A stream is read from the start again after this many days."
    )
    slice_seconds: float = Field(
        10.0, ge=0.1, le=300.0, description="A round gives way to other streams after this many seconds."
    )
    follow_up_seconds: Annotated[tuple[float, ...], NoDecode] = Field(
        (15.0, 60.0, 300.0),
        description="After these many seconds an object is asked for again that Graph announced but did not yet show; "
        "a list with commas.",
    )
    lease_seconds: float = Field(
        60.0, ge=2.0, le=3600.0, description="A worker that died releases its streams after this many seconds."
    )
    worker_threads: int = Field(16, ge=1, le=64, description="Streams that one worker process advances at once.")
    graph_timeout_seconds: float = Field(
        30.0, ge=1.0, le=300.0, description="Longest wait for one answer of Graph or the login service."
    )
    subscription_hours: float = Field(
        168.0, ge=1.0, le=672.0, description="Lifetime asked for a subscription; it is renewed at half of it."
    )
    subscription_check_seconds: float = Field(
        3600.0, ge=1.0, le=86_400.0, description="Whether Graph still has the subscriptions is asked this often."
    )
    publish_events: bool = Field(
        False,
        description="Whether every change of the address book is published on the exchange `addressbook`, with the "
        "person or group as it is: `true` or `false`.",
    )
    changes_days: float = Field(
        400.0, ge=32.0, le=36_500.0, description="What happened to whom is kept for this many days; ids, no values."
    )
    history_days: float = Field(
        90.0, ge=1.0, le=36_500.0, description="When what was read, and what came of it, is kept for this many days."
    )
    webhook_bind: str = Field("127.0.0.1:8080", description="Address and port on which the webhook listens.")
    webhook_tls_certificate: Path | None = Field(
        None, description="PEM certificate chain, if the webhook itself speaks TLS; empty: a proxy in front does."
    )
    webhook_tls_key: Path | None = Field(None, description="PEM private key that belongs to the certificate.")
    webhook_processes: int = Field(2, ge=1, le=64, description="Processes of the webhook.")
    webhook_threads: int = Field(16, ge=1, le=256, description="Threads of one webhook process.")
    api_bind: str = Field("127.0.0.1:8720", description="Address and port on which the HTTP API listens.")
    api_threads: int = Field(8, ge=1, le=40, description="Requests that the HTTP API answers at once.")
    metrics_bind: str = Field(
        "",
        description="Address and port of the Prometheus metrics of this process, and of the worker's health; "
        "empty: none.",
    )
    log_level: str = Field("info", description="`debug`, `info`, `warning` or `error`.")
    log_format: str = Field("json", description="`json`, or `text` for reading along.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` alone, so that nothing is read from a place that nobody looks at."""
        return (init_settings,)

    @field_validator("graph_url", "login_url", "public_url")
    @classmethod
    def _https_origin(cls, value: str) -> str:
        return _https_address(value) if value else value

    @field_validator("graph_url", "login_url")
    @classmethod
    def _origin_alone(cls, value: str) -> str:
        if not value:
            raise ValueError("must not be empty; leave the variable out for the global cloud")
        return _without_path(value)

    @field_validator("clouds", mode="before")
    @classmethod
    def _named_pairs(cls, value: Any) -> Any:
        return tuple(_cloud_of(entry) for entry in value.split()) if isinstance(value, str) else value

    @field_validator("clouds")
    @classmethod
    def _distinct(cls, value: tuple[Cloud, ...]) -> tuple[Cloud, ...]:
        names = [DEFAULT, *(one.name for one in (*NATIONAL_CLOUDS, *value))]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"must give every cloud a name of its own; there is more than one {name!r}")
        return value

    @field_validator("ca_bundle", "webhook_tls_certificate", "webhook_tls_key", mode="before")
    @classmethod
    def _existing_file(cls, value: Any) -> Any:
        if value in (None, ""):
            return None
        if not Path(value).is_file():
            raise ValueError(f"no file at {value}")
        return value

    @field_validator("webhook_bind", "api_bind", "metrics_bind")
    @classmethod
    def _address_and_port(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name == "metrics_bind":
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) <= HIGHEST_PORT:
            raise ValueError("must be an address and a port, e.g. 127.0.0.1:8080 or [::1]:8080")
        return value

    @field_validator("follow_up_seconds", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("follow_up_seconds")
    @classmethod
    def _growing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or list(value) != sorted(set(value)) or not all(0 < seconds < math.inf for seconds in value):
            raise ValueError("must be growing positive numbers, e.g. 15,60,300")
        return value

    @field_validator("secret_key", "secret_key_previous")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value()
        if key and len(key) < SHORTEST_SECRET_KEY:
            raise ValueError(
                f"must have at least {SHORTEST_SECRET_KEY} characters; make one with: openssl rand -hex 32"
            )
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("must be debug, info, warning or error")
        return value.lower()

    @field_validator("log_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value.lower() not in ("json", "text"):
            raise ValueError("must be json or text")
        return value.lower()

    @model_validator(mode="after")
    def _pairs(self) -> Settings:
        if (self.webhook_tls_certificate is None) != (self.webhook_tls_key is None):
            raise ValueError("webhook_tls_certificate and webhook_tls_key go together")
        if self.lease_seconds <= self.graph_timeout_seconds:
            raise ValueError(
                "lease_seconds must be longer than graph_timeout_seconds, else a slow page loses the lease"
            )
        return self

    def cloud(self, name: str | None) -> Cloud:
        """Return the cloud of that name, or the one that the settings describe.

        Raises:
            SettingsError: there is none.
        """
        default = Cloud(DEFAULT, self.graph_url, self.login_url)
        known = {one.name: one for one in (default, *NATIONAL_CLOUDS, *self.clouds)}
        if name is not None and name not in known:
            raise SettingsError(
                f"There is no cloud {name!r}. There are {', '.join(known)}; ENTRA_SMS_CLOUDS names further ones."
            )
        return default if name is None else known[name]

    def require_secret_key(self) -> str:
        """Return the server key.

        Raises:
            SettingsError: there is none; every process that encrypts or proves something needs it.
        """
        key = self.secret_key.get_secret_value()
        if not key:
            raise SettingsError(
                "ENTRA_SMS_SECRET_KEY is not set. Make one with `openssl rand -hex 32`, keep it in a file "
                "and name the file in ENTRA_SMS_SECRET_KEY_FILE."
            )
        return key


def host_and_port(bind: str) -> tuple[str, int]:
    """Split the value of `webhook_bind`, `api_bind` or `metrics_bind`."""
    host, _, port = bind.rpartition(":")
    return host.strip("[]"), int(port)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environment` (default: the process's).

    Raises:
        SettingsError: with one line for each setting that cannot work.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    troubles: list[str] = []
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        try:
            values.update(_read(variable, name, value, environment))
        except SettingsError as trouble:
            troubles.append(str(trouble))
    try:
        settings = Settings(**values)
    except ValidationError as error:
        troubles += [_sentence(part) for part in error.errors(include_url=False, include_input=False)]
    if troubles:
        raise SettingsError("\n".join(troubles))
    return settings


def _read(variable: str, name: str, value: str, environment: Mapping[str, str]) -> dict[str, Any]:
    if name in Settings.model_fields:
        return {name: value}
    secret = name.removesuffix(FILE_SUFFIX.lower())
    if secret == name or secret not in SECRET_NAMES:
        raise SettingsError(f"{variable} is no setting. {_nearest(name)}")
    if variable.removesuffix(FILE_SUFFIX) in environment:
        raise SettingsError(f"{variable} and {variable.removesuffix(FILE_SUFFIX)} are both set; keep one of them.")
    try:
        return {secret: Path(value).read_text(encoding="utf-8").strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable} names {value!r}, which cannot be read: {error}.") from None


def _https_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an https address without user, query or fragment, e.g. https://example.com")
    return value.rstrip("/")


def _without_path(value: str) -> str:
    if urlsplit(value).path:
        raise ValueError("must be the origin alone, without a path, e.g. https://graph.microsoft.com")
    return value


def _cloud_of(entry: str) -> Cloud:
    name, _, origins = entry.partition("=")
    graph_url, _, login_url = origins.partition(",")
    try:
        if _CLOUD_NAME.fullmatch(name):
            return Cloud(name, *(_without_path(_https_address(one)) for one in (graph_url, login_url)))
    except ValueError:
        pass
    raise ValueError(
        "must be entries name=graph-origin,login-origin with spaces between them; a name has small letters, digits and "
        "dashes, an origin is https without a path"
    )


@cache
def _names() -> tuple[str, ...]:
    files = tuple(f"{name}{FILE_SUFFIX.lower()}" for name in SECRET_NAMES)
    return tuple(Settings.model_fields) + files


def _nearest(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - needed only to explain a mistake

    match = get_close_matches(name, _names(), n=1)
    return f"Did you mean {PREFIX}{match[0].upper()}?" if match else "docs/settings.md lists them all."


def _sentence(part: Any) -> str:
    where = f"{PREFIX}{str(part['loc'][0]).upper()}" if part["loc"] else "The settings"
    return f"{where}: {part['msg'].removeprefix('Value error, ')}."
