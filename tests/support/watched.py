"""What a process shows to those who watch it: its metrics, its health."""

import json
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

ANSWER_SECONDS = 10.0


class Watched:
    """Looks at a webhook or worker as Prometheus and an orchestrator do."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def series(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return every series with its value."""
        samples = [sample for family in self._families() for sample in family.samples]
        return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a series, None when there is none."""
        return self.series().get((name, frozenset(labels.items())))

    def families(self) -> dict[str, str]:
        """Return the names of our metrics, as they are queried, with their types."""
        found = {}
        for family in self._families():
            if family.name.startswith("entra_sms_"):
                found[f"{family.name}_total" if family.type == "counter" else family.name] = family.type
        return found

    def health(self, question: str) -> tuple[int, str]:
        """Return status and word of the answer to `live` or `ready`."""
        answer = requests.get(f"{self._url}/health/{question}", timeout=ANSWER_SECONDS)
        return answer.status_code, json.loads(answer.text)["status"]

    def _families(self) -> list[Any]:
        answer = requests.get(f"{self._url}/metrics", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return list(text_string_to_metric_families(answer.text))
