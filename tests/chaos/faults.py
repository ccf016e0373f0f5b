"""How each kind of fault is done, undone, and proven to have hit somebody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from simulator.knobs import KNOBS
from tests.chaos.plan import Strike
from tests.chaos.stage import Post, Stage
from tests.support.fault_link import Fault as NetworkFault
from tests.support.fault_proxy import FaultProxy

SLOW_BYTES_PER_SECOND = 20_000
JUMP_SECONDS = 8 * 86_400.0
"""Past the expiry of subscriptions (7 days) and of delta tokens (7 days)."""
TOKEN_ROUTE = "oauth2/v2.0/token"


class Fault(Protocol):
    """A fault that is going on."""

    def begin(self) -> None: ...

    def has_fired(self) -> bool:
        """Whether it has hit somebody; asked before `end`."""
        ...

    def end(self) -> None: ...


def fault_of(strike: Strike, stage: Stage) -> Fault:
    """Return the fault that a line of the plan means; not begun yet."""
    return _MAKERS[strike.kind](strike, stage)


class Killing:
    """SIGKILL, and a successor when it is over."""

    def __init__(self, kill: Callable[[], bool], begin_again: Callable[[], None]) -> None:
        self._kill = kill
        self._begin_again = begin_again
        self._fired = False

    def begin(self) -> None:
        self._fired = self._kill()

    def has_fired(self) -> bool:
        return self._fired

    def end(self) -> None:
        if self._fired:
            self._begin_again()


class Network:
    """One of the proxy's faults."""

    def __init__(
        self, proxy: FaultProxy, counters: Sequence[NetworkFault], strike: Callable[[FaultProxy], None]
    ) -> None:
        self._proxy = proxy
        self._counters = counters
        self._strike = strike
        self._before = 0

    def begin(self) -> None:
        self._before = self._count()
        self._strike(self._proxy)

    def has_fired(self) -> bool:
        return self._count() > self._before

    def end(self) -> None:
        self._proxy.restore()

    def _count(self) -> int:
        return sum(self._proxy.fired[counter] for counter in self._counters)


class Knobs:
    """Knobs of the simulator, turned back when it is over; `counter` is the one that proves it."""

    def __init__(self, stage: Stage, counter: str, knobs: Mapping[str, Any]) -> None:
        self._stage = stage
        self._counter = counter
        self._knobs = knobs
        self._before = 0

    def begin(self) -> None:
        self._before = self._count()
        self._stage.control.call("PUT", "faults", dict(self._knobs))

    def has_fired(self) -> bool:
        return self._count() > self._before

    def end(self) -> None:
        self._stage.control.call("PUT", "faults", {name: KNOBS[name].default for name in self._knobs})

    def _count(self) -> int:
        return self._stage.control.fired().get(self._counter, 0)


class ForgottenSubscription:
    """Graph forgets a subscription and tells nobody."""

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage = stage
        self._number = number
        self._fired = False

    def begin(self) -> None:
        self._try()

    def has_fired(self) -> bool:
        if not self._fired:
            self._try()
        return self._fired

    def end(self) -> None:
        """Nothing: the product has to notice."""

    def _try(self) -> None:
        found = self._stage.control.call("GET", "subscriptions")["subscriptions"]
        if found:
            self._stage.control.call("DELETE", f"subscriptions/{found[self._number % len(found)]['id']}")
            self._fired = True


class RevokedSecret:
    """The secret is not accepted for a while, and tokens that are out there are not either."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._before = 0

    def begin(self) -> None:
        self._before = self._refusals()
        control = self._stage.control
        control.call("PUT", "credentials", {"client_secret": "somebody made another one"})
        control.call("PUT", "faults", {"transient_unauthorized": 1.0})

    def has_fired(self) -> bool:
        return self._refusals() > self._before

    def end(self) -> None:
        control = self._stage.control
        control.call("PUT", "faults", {"transient_unauthorized": 0.0})
        control.call("PUT", "credentials", {"client_secret": control.client_secret})

    def _refusals(self) -> int:
        routes = self._stage.control.call("GET", "statistics")["requests"]
        return sum(
            times
            for route, answers in routes.items()
            if route.endswith(TOKEN_ROUTE)
            for status, times in answers.items()
            if status == "401"
        )


class ClockJump:
    """Days pass at once at Graph: subscriptions expire, and so do delta tokens and access tokens."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._expired = 0

    def begin(self) -> None:
        self._try()

    def has_fired(self) -> bool:
        if not self._expired:
            self._try()
        return self._expired > 0

    def end(self) -> None:
        """Nothing: time does not go back."""

    def _try(self) -> None:
        before = self._living()
        if before:
            self._stage.control.call("POST", "clock", {"advance_seconds": JUMP_SECONDS})
            self._expired = len(before - self._living())

    def _living(self) -> set[str]:
        return {one["id"] for one in self._stage.control.call("GET", "subscriptions")["subscriptions"]}


def _killing(posts: Callable[[Stage], list[Post]]) -> Callable[[Strike, Stage], Fault]:
    def make(strike: Strike, stage: Stage) -> Fault:
        found = posts(stage)
        post = found[strike.number % len(found)]
        return Killing(post.kill, post.begin)

    return make


def _network(
    of: Callable[[Stage], FaultProxy], strike: Callable[[FaultProxy], None], *counters: NetworkFault
) -> Callable[[Strike, Stage], Fault]:
    return lambda _, stage: Network(of(stage), counters, strike)


def _knobs(counter: str, **knobs: Any) -> Callable[[Strike, Stage], Fault]:
    return lambda _, stage: Knobs(stage, counter, knobs or {counter: 0.3})


def _dead_token(shape: str) -> Callable[[Strike, Stage], Fault]:
    return _knobs("expire_next_tokens", expired_token_shape=shape, expire_next_tokens=1)


def _broker(stage: Stage) -> FaultProxy:
    return stage.broker_network


def _database(stage: Stage) -> FaultProxy:
    return stage.database_network


def _slow(proxy: FaultProxy) -> None:
    proxy.slow(SLOW_BYTES_PER_SECOND)


_MAKERS: Mapping[str, Callable[[Strike, Stage], Fault]] = {
    "worker_killed": _killing(lambda stage: stage.workers),
    "webhook_killed": _killing(lambda stage: stage.webhooks),
    "broker_killed": lambda _, stage: Killing(stage.broker.kill, stage.broker.begin),
    "database_killed": lambda _, stage: Killing(stage.postgres.kill, stage.postgres.begin),
    "broker_cut": _network(_broker, FaultProxy.cut, "cut", "refused"),
    "broker_stalled": _network(_broker, FaultProxy.stall, "stall"),
    "broker_slowed": _network(_broker, _slow, "slow"),
    "database_cut": _network(_database, FaultProxy.cut, "cut", "refused"),
    "database_stalled": _network(_database, FaultProxy.stall, "stall"),
    "database_slowed": _network(_database, _slow, "slow"),
    "throttled": _knobs("throttle", throttle=0.3, retry_after_seconds=2.0),
    "server_errors": _knobs("server_error"),
    "connections_reset": _knobs("connection_reset"),
    "answers_truncated": _knobs("truncated_json"),
    "answers_of_html": _knobs("html_instead_of_json"),
    "access_tokens_refused": _knobs("transient_unauthorized"),
    "delta_token_gone": _dead_token("gone"),
    "delta_token_sync_state_not_found": _dead_token("sync_state_not_found"),
    "delta_token_unsupported_query": _dead_token("unsupported_query"),
    "notifications_dropped": _knobs("notification_drop"),
    "notifications_doubled": _knobs("notification_duplicate"),
    "notifications_reordered": _knobs("notification_reorder"),
    "notifications_late": _knobs("notification_delay_seconds", notification_delay_seconds=3.0),
    "graph_lags": _knobs("replication_lag_seconds", replication_lag_seconds=2.0, read_lag_seconds=2.0),
    "subscription_forgotten": lambda strike, stage: ForgottenSubscription(stage, strike.number),
    "secret_revoked": lambda _, stage: RevokedSecret(stage),
    "clock_jumped": lambda _, stage: ClockJump(stage),
}
