"""How far each asked stream is, as a bar on a terminal and as a line every few seconds elsewhere. Always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from console import output

LINE_SECONDS = 5.0


@dataclass(frozen=True)
class Meter:
    """One line of the progress; without a `total` nobody knows yet how much there is."""

    title: str
    detail: str
    done: int = 0
    total: int | None = None
    has_ended: bool = False


class Display(Protocol):
    """Shows meters, in the order in which they were first shown, and notes above them."""

    def show(self, meters: Sequence[Meter]) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def display() -> Iterator[Display]:
    """Show progress on stderr until the block ends."""
    console = output.stderr()
    if not console.is_terminal:
        yield Lines()
        return
    with Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[detail]}", markup=False),
        console=console,
    ) as bars:
        yield Bars(console, bars)


@dataclass
class Bars:
    """Moving bars."""

    console: Console
    bars: Progress
    _tasks: dict[str, TaskID] = field(default_factory=dict)

    def show(self, meters: Sequence[Meter]) -> None:
        for meter in meters:
            if meter.title not in self._tasks:
                self._tasks[meter.title] = self.bars.add_task(meter.title, total=None, detail="")
            total = max(meter.done, 1) if meter.has_ended else meter.total
            done = total if meter.has_ended else meter.done
            self.bars.update(self._tasks[meter.title], completed=done, total=total, detail=meter.detail)

    def note(self, text: str) -> None:
        self.console.print(Text(text, "yellow"))


@dataclass
class Lines:
    """Plain lines: when a stream has ended, and every few seconds while something is under way."""

    _next_at: float = 0.0
    _told: dict[str, str] = field(default_factory=dict)

    def show(self, meters: Sequence[Meter]) -> None:
        is_time = time.monotonic() >= self._next_at
        for meter in meters:
            if self._told.get(meter.title) != meter.detail and (is_time or meter.has_ended):
                self._told[meter.title] = meter.detail
                output.note(f"{meter.title}: {meter.detail}")
        if is_time:
            self._next_at = time.monotonic() + LINE_SECONDS

    def note(self, text: str) -> None:
        output.note(text)
