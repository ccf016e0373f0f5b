"""A part of the screen of `entra-sms watch`: rows below a heading, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from console.output import fitting, number

FEWEST_ROWS = 3


@dataclass(frozen=True)
class Section:
    """So many rows, of which `draw` returns the first so many; each takes one line.

    Args:
        title: A line above; "" for none.
        rows: How many rows there are; without any the section is left out.
        draw: Takes a number of rows and returns them, below the headings of their columns if there are any.
        has_headings: Whether `draw` adds such a line.
        counts_rest: Whether the last line tells how many rows are not shown.
    """

    title: str
    rows: int
    draw: Callable[[int], RenderableType]
    has_headings: bool = False
    counts_rest: bool = True

    @property
    def overhead(self) -> int:
        """Lines beside the rows: the empty one before it, the title, the headings."""
        return 1 + bool(self.title) + self.has_headings

    @property
    def height(self) -> int:
        return self.rows + self.overhead if self.rows else 0

    def drawn(self, height: int) -> RenderableType | None:
        """Return it in so many lines; None where these are too few for a row."""
        rows = min(self.rows, height - self.overhead)
        if rows < 1:
            return None
        lines: list[RenderableType] = [Text()]
        if self.title:
            lines.append(Text(self.title, "bold"))
        rest = self.rows - rows
        if not rest or not self.counts_rest or rows == 1:
            return Group(*lines, self.draw(rows))
        return Group(*lines, self.draw(rows - 1), Text(f"and {number(rest + 1)} more", "dim"))


def stacked(sections: Sequence[Section], height: int) -> list[RenderableType]:
    """Return the sections one below the other in so many lines at most.

    The longest is cut first, and each keeps some rows; where there is no room even for these, the last ones go.
    """
    least = [min(one.height, one.overhead + FEWEST_ROWS) for one in sections]
    heights = fitting([one.height for one in sections], least, height)
    drawn: list[RenderableType] = []
    for one, wanted in zip(sections, heights, strict=True):
        lines = min(wanted, height)
        part = one.drawn(lines)
        if part is not None:
            drawn.append(part)
            height -= lines
    return drawn
