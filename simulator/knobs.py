"""Every behaviour that can be turned: faults, and facts on which documentation and observation disagree.

One table; the control API lists it, the documentation is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Knob:
    """One setting.

    Attributes:
        kind: `probability` (0 to 1), `seconds`, `count` (whole, counts down where it says "next"), `size` (whole,
            above 0), `toggle` or `choice`.
        default: What holds until somebody turns it.
        meaning: One sentence for people.
        choices: The allowed words of a `choice`.
    """

    kind: str
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """Return the value, or raise ValueError saying what would have been right."""
        if not _CHECKS[self.kind](value, self):
            raise ValueError(f"expects {self.expectation}")
        return value

    @property
    def expectation(self) -> str:
        return {
            "probability": "a number from 0 to 1",
            "seconds": "a number of seconds, 0 or more",
            "count": "a whole number, 0 or more",
            "size": "a whole number, 1 or more",
            "toggle": "true or false",
            "choice": "one of " + ", ".join(self.choices),
        }[self.kind]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKS: Mapping[str, Callable[[Any, Knob], bool]] = {
    "probability": lambda value, _: _is_number(value) and 0 <= value <= 1,
    "seconds": lambda value, _: _is_number(value) and value >= 0,
    "count": lambda value, _: _is_whole(value) and value >= 0,
    "size": lambda value, _: _is_whole(value) and value >= 1,
    "toggle": lambda value, _: isinstance(value, bool),
    "choice": lambda value, knob: isinstance(value, str) and value in knob.choices,
}

KNOBS: Mapping[str, Knob] = {
    "seed": Knob("count", 0, "Seed of all random faults; setting it starts the draws anew."),
    # Notifications
    "notification_delay_seconds": Knob("seconds", 0.0, "Simulated time between a write and its notification."),
    "notification_batch_window_seconds": Knob(
        "seconds", 0.05, "Simulated time in which notifications to one address are gathered into one body."
    ),
    "notification_batch_size": Knob("size", 100, "Most notifications in one body."),
    "notification_duplicate": Knob("probability", 0.0, "A notification is delivered twice."),
    "notification_reorder": Knob("probability", 0.0, "A notification is held back and overtaken by later ones."),
    "notification_reorder_seconds": Knob("seconds", 2.0, "Longest time that a reordered notification is held back."),
    "notification_drop": Knob("probability", 0.0, "A notification is never sent."),
    "notification_wrong_tenant": Knob("probability", 0.0, "A notification names a tenant that does not exist."),
    "notification_wrong_client_state": Knob("probability", 0.0, "A notification carries a wrong clientState."),
    "notification_unknown_subscription": Knob("probability", 0.0, "A notification names an unknown subscription."),
    "notification_unknown_properties": Knob("probability", 0.0, "A notification has properties nobody announced."),
    "notification_extra_enum": Knob("probability", 0.0, "A notification has an unknown changeType."),
    # Delivery
    "validate_on_renewal": Knob(
        "probability", 0.0, "A renewal validates the endpoint again, though its address stays."
    ),
    "handshake_timeout_seconds": Knob("seconds", 10.0, "Real time an endpoint has to answer the validation."),
    "first_attempt_timeout_seconds": Knob("seconds", 3.0, "Real time an endpoint has to answer a first delivery."),
    "retry_timeout_seconds": Knob("seconds", 10.0, "Real time an endpoint has to answer a repeated delivery."),
    "retry_first_delay_seconds": Knob("seconds", 10.0, "Simulated time before the first retry; doubled each time."),
    "retry_longest_delay_seconds": Knob("seconds", 600.0, "Longest simulated time between two retries."),
    "retry_give_up_seconds": Knob("seconds", 14_400.0, "Simulated time after which a notification is lost."),
    "endpoint_state_minimum_responses": Knob("size", 10, "Answers in 10 minutes before an endpoint is judged."),
    "authorization_lifetime_seconds": Knob(
        "seconds", 86_400.0, "Simulated time an authorization lasts; from three quarters on it is challenged."
    ),
    "subscriptions_page_size": Knob("size", 100, "Subscriptions on a page of their list."),
    # Delta
    "users_page_size": Knob("size", 200, "Users on a delta page."),
    "groups_page_size": Knob("size", 200, "Groups on a delta page, if their members leave room."),
    "members_per_page": Knob("size", 500, "Member entries on a delta page of groups, over all groups."),
    "members_per_group": Knob("size", 300, "Member entries of one group on a delta page."),
    "replication_lag_seconds": Knob("seconds", 0.0, "Simulated time until delta shows a write."),
    "read_lag_seconds": Knob("seconds", 0.0, "Simulated time until object reads show a write."),
    "initial_round_shows_removed": Knob("toggle", True, "An initial round lists objects of the recycle bin."),
    "initial_round_shows_removed_members": Knob("toggle", True, "An initial round lists former members."),
    "purge_removes_memberships_in_delta": Knob(
        "toggle", False, "Purging a member shows in the groups delta, as documented but not as observed."
    ),
    "security_groups_have_recycle_bin": Knob("toggle", True, "Deleted security groups can be restored."),
    "delta_duplicate_in_page": Knob("probability", 0.0, "A delta page shows one of its objects twice."),
    "delta_duplicate_across_pages": Knob("probability", 0.0, "A delta page repeats an object of the page before."),
    "delta_empty_pages": Knob("count", 0, "Empty pages with a nextLink at the start of every round."),
    "delta_sparse_updates": Knob(
        "probability", 0.0, "A changed object comes with its changed properties only, though nobody asked for less."
    ),
    "delta_replay_rounds": Knob("count", 0, "The next N rounds repeat the round before them."),
    "delta_unknown_member_type": Knob("probability", 0.0, "A group shows a member of a type nobody knows."),
    "delta_unknown_properties": Knob("probability", 0.0, "An object has properties nobody selected."),
    "delta_next_link_loop": Knob("count", 0, "The next N pages link to themselves."),
    "delta_foreign_next_link": Knob("count", 0, "The next N links point to another host."),
    "hidden_share": Knob(
        "probability",
        0.0,
        "This share of the objects, always the same, is missing in initial rounds and lists of all objects.",
    ),
    # Tokens
    "expired_token_shape": Knob(
        "choice",
        "unsupported_query",
        "How an expired delta token is refused.",
        ("gone", "sync_state_not_found", "unsupported_query"),
    ),
    "expire_next_tokens": Knob("count", 0, "The next N delta requests that carry a token find it expired."),
    "expire_token": Knob("probability", 0.0, "A delta request that carries a token finds it expired."),
    "delta_token_lifetime_seconds": Knob("seconds", 604_800.0, "Simulated lifetime of a deltaLink."),
    "page_token_lifetime_seconds": Knob("seconds", 3_600.0, "Simulated lifetime of a nextLink."),
    "access_token_lifetime_seconds": Knob("seconds", 3_599.0, "Simulated lifetime of an access token."),
    # HTTP
    "throttle": Knob("probability", 0.0, "A Graph request is answered 429."),
    "throttle_next": Knob("count", 0, "The next N Graph requests are answered 429."),
    "throttle_login": Knob("probability", 0.0, "A token request is answered 429."),
    "unknown_new_credential_next": Knob(
        "count", 0, "The next N sign-ins with a certificate, or a secret made beside the first, find it unknown yet."
    ),
    "server_error_login": Knob("probability", 0.0, "The login, discovery included, is answered 503."),
    "retry_after": Knob(
        "choice", "integer", "Form of Retry-After with a 429.", ("integer", "decimal", "date", "absent")
    ),
    "retry_after_seconds": Knob("seconds", 2.0, "What Retry-After says."),
    "server_error": Knob("probability", 0.0, "A Graph request is answered 500, 502, 503 or 504."),
    "server_error_next": Knob("count", 0, "The next N Graph requests are answered 500, 502, 503 or 504."),
    "server_error_status": Knob("choice", "any", "Which server error it is.", ("any", "500", "502", "503", "504")),
    "transient_forbidden": Knob("probability", 0.0, "A subscription request meets a passing fault, wrapped in a 403."),
    "transient_unauthorized": Knob("probability", 0.0, "A valid token is answered 401."),
    "slow_response": Knob("probability", 0.0, "A Graph answer comes late."),
    "slow_response_seconds": Knob("seconds", 1.0, "Real time that a slow answer takes."),
    "connection_reset": Knob("probability", 0.0, "The connection is reset instead of an answer."),
    "truncated_json": Knob("probability", 0.0, "An answer ends in the middle of its JSON, with status 200."),
    "html_instead_of_json": Knob("probability", 0.0, "An answer is an HTML page, with status 200."),
}
