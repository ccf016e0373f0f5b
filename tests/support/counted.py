"""What this process has counted, for tests: metrics only ever grow, so a test looks at the difference."""

from collections.abc import Mapping

from prometheus_client import REGISTRY

Series = tuple[str, frozenset[tuple[str, str]]]


class Counted:
    """What was counted since it was made."""

    def __init__(self) -> None:
        self._before = _all()

    def of(self, name: str, **labels: str) -> float:
        """Return by how much a series has grown; `name` as it is exposed, e.g. with ``_total``."""
        series = (name, frozenset(labels.items()))
        return _all().get(series, 0.0) - self._before.get(series, 0.0)


def _all() -> Mapping[Series, float]:
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
