"""Keys and credentials: each use has a key of its own, and a rotation needs no pause."""

import pytest

from common import config
from common.errors import SettingsError
from common.secrets import Vault, derived_keys

OLD, NEW = "o" * 40, "n" * 40


def settings(current: str, previous: str = "") -> config.Settings:
    return config.load({"ENTRA_SMS_SECRET_KEY": current, "ENTRA_SMS_SECRET_KEY_PREVIOUS": previous})


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {derived_keys(settings(OLD), purpose)[0] for purpose in ("client-state", "credentials-at-rest", "x")}
    assert len(keys) == 3
    assert all(len(key) == 32 for key in keys)


def test_the_current_key_comes_first_and_the_previous_one_after_it() -> None:
    assert derived_keys(settings(NEW, OLD), "x") == derived_keys(settings(NEW), "x") + derived_keys(settings(OLD), "x")


def test_without_a_server_key_there_is_none() -> None:
    with pytest.raises(SettingsError, match="ENTRA_SMS_SECRET_KEY is not set"):
        derived_keys(config.load({}), "x")


def test_what_was_sealed_can_be_opened_and_not_read() -> None:
    sealed = Vault(settings(OLD)).seal("a secret with grüße")
    assert "secret" not in sealed
    assert Vault(settings(OLD)).open(sealed) == "a secret with grüße"


def test_the_previous_key_opens_and_the_current_one_seals() -> None:
    sealed = Vault(settings(OLD)).seal("secret")
    rotating = Vault(settings(NEW, OLD))
    assert rotating.open(sealed) == "secret"
    assert Vault(settings(NEW)).open(rotating.seal("secret")) == "secret"


def test_what_the_previous_key_sealed_is_sealed_anew_and_nothing_else() -> None:
    sealed = Vault(settings(OLD)).seal("secret")
    anew = Vault(settings(NEW, OLD)).sealed_anew(sealed)
    assert Vault(settings(NEW)).open(anew) == "secret"
    assert Vault(settings(NEW, OLD)).sealed_anew(anew) == anew
    with pytest.raises(SettingsError):
        Vault(settings(NEW)).sealed_anew(sealed)


@pytest.mark.parametrize("sealed", ["", "no token", "gAAAA", "ä"])
def test_what_cannot_be_opened_is_explained(sealed: str) -> None:
    with pytest.raises(SettingsError, match="ENTRA_SMS_SECRET_KEY_PREVIOUS"):
        Vault(settings(NEW)).open(sealed)
    with pytest.raises(SettingsError):
        Vault(settings(NEW)).open(Vault(settings(OLD)).seal("secret"))
