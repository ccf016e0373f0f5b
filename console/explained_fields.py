"""The fields of a person in people's words."""

from __future__ import annotations

from typing import Any

from console.output import shown

FIELDS = {
    "display_name": "name",
    "given_name": "first name",
    "surname": "last name",
    "mail": "mail",
    "user_principal_name": "sign-in name",
    "mobile_phone": "mobile phone",
    "business_phones": "business phones",
    "usage_location": "usage location",
    "account_enabled": "account",
    "user_type": "type",
    "phone": "number",
    "phone_source": "field of the number",
    "phone_state": "state of the number",
}
"""Column of `contacts` -> what people call it, in the order in which it is shown."""

ACCOUNT = {True: "enabled", False: "disabled", None: "not said"}


def in_words(column: str, value: Any) -> str:
    """Return what stands in a column as one harmless line; nothing is a dash."""
    if column == "account_enabled":
        return ACCOUNT[value]
    return shown(", ".join(value) if isinstance(value, tuple | list) else value)
