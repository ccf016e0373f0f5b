"""The settings: can they be used, and can the files be read that they name?"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.config import FILE_SUFFIX, PREFIX, Settings, load
from common.errors import SettingsError
from console.exits import Exit
from console.finding import Finding, fine, of_error, skipped, trouble

READABLE = "Give a PEM file that this user may read."
READABLE_PAIR = "Give a PEM certificate and the key that belongs to it, both readable for this user."


@dataclass(frozen=True)
class Reading:
    """The settings without those that cannot be used, and the names of the latter, as in `Settings`."""

    settings: Settings
    unusable: frozenset[str]
    sentences: tuple[str, ...]
    given: int

    def lacks(self, *names: str) -> Sequence[str]:
        """Return those of `names` of which a value was given that cannot be used."""
        return [name for name in names if name in self.unusable]


def read(environment: Mapping[str, str] | None = None) -> Reading:
    """Read the settings as `common.config.load` does, but go on without those that cannot be used."""
    everything = os.environ if environment is None else environment
    ours = {name: value for name, value in everything.items() if name.startswith(PREFIX)}
    try:
        return Reading(load(ours), frozenset(), (), len(ours))
    except SettingsError as error:
        sentences = tuple(str(error).splitlines())
    usable: dict[str, str] = {}
    unusable: set[str] = set()
    for name, value in ours.items():
        try:
            load(usable | {name: value})
        except SettingsError:
            unusable.add(name.removeprefix(PREFIX).removesuffix(FILE_SUFFIX).lower())
        else:
            usable[name] = value
    return Reading(load(usable), frozenset(unusable), sentences, len(ours))


def look(reading: Reading) -> Iterator[Finding]:
    """Yield what there is to say of the settings themselves; nothing secret is shown."""
    for sentence in reading.sentences:
        yield trouble("settings.values", sentence, code=Exit.USAGE)
    if not reading.sentences:
        noun = "setting" if reading.given == 1 else "settings"
        yield fine("settings.values", f"{reading.given or 'No'} {noun} in the environment, and none is wrong.")
    settings = reading.settings
    if not reading.lacks("secret_key"):
        yield _secret_key(settings)
    if not reading.lacks("public_url"):
        yield _public_url(settings)
    yield from _files(settings)


def _secret_key(settings: Settings) -> Finding:
    try:
        settings.require_secret_key()
    except SettingsError as error:
        return of_error("settings.secret_key", error)
    return fine("settings.secret_key", "ENTRA_SMS_SECRET_KEY is set; it is never shown.")


def _public_url(settings: Settings) -> Finding:
    if settings.public_url:
        return fine("settings.public_url", f"ENTRA_SMS_PUBLIC_URL is set: {settings.public_url}")
    return skipped(
        "settings.public_url",
        "ENTRA_SMS_PUBLIC_URL is not set: Graph cannot notify anybody, and changes are found by polling, every "
        f"{settings.poll_seconds:g} s.",
    )


def _files(settings: Settings) -> Iterator[Finding]:
    if settings.ca_bundle is not None:
        try:
            ssl.create_default_context(cafile=settings.ca_bundle)
        except OSError as error:
            yield _unusable("ca_bundle", settings.ca_bundle, error, READABLE)
        else:
            yield fine("settings.ca_bundle", f"ENTRA_SMS_CA_BUNDLE, {settings.ca_bundle}, can be read.")
    if settings.webhook_tls_certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                settings.webhook_tls_certificate, settings.webhook_tls_key
            )
        except OSError as error:
            yield _unusable("webhook_tls_certificate", settings.webhook_tls_certificate, error, READABLE_PAIR)
        else:
            yield fine("settings.webhook_tls_certificate", "The certificate and key of the webhook belong together.")


def _unusable(name: str, path: Path, error: OSError, advice: str) -> Finding:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    text = f"{PREFIX}{name.upper()}, {path}, cannot be used ({reason or type(error).__name__})."
    return trouble(f"settings.{name}", text, advice, Exit.USAGE)
