"""A publisher for unit tests: keeps what it was given, or is away."""

import json
from collections.abc import Sequence
from typing import Any

from common.broker.outgoing import Outgoing
from common.errors import BrokerUnavailableError


class RecordingPublisher:
    """Stands in for `common.broker.publisher.Publisher`."""

    def __init__(self, *, away: bool = False) -> None:
        self.sent: list[Outgoing] = []
        self.away = away

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(message.body) for message in self.sent]

    def publish(self, message: Outgoing, *, timeout_seconds: float = 1.5) -> None:
        self.publish_all([message], timeout_seconds=timeout_seconds)

    def publish_all(self, messages: Sequence[Outgoing], *, timeout_seconds: float = 1.5) -> None:
        if self.away:
            raise BrokerUnavailableError(f"Away, whatever the {timeout_seconds} s.")
        self.sent += messages

    def is_connected(self) -> bool:
        return not self.away

    def close(self) -> None:
        """Nothing to close."""
