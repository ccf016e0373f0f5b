"""The screen of `entra-sms watch` fits every terminal, and what is cut is the longest."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group
from rich.text import Text

from console.watch_section import Section, stacked


def section(title: str, rows: int, *, has_headings: bool = False, counts_rest: bool = True) -> Section:
    def draw(count: int) -> Group:
        headings = [Text("HEADINGS")] if has_headings else []
        return Group(*headings, *[Text(f"{title} {number}") for number in range(count)])

    return Section(title, rows, draw, has_headings=has_headings, counts_rest=counts_rest)


def lines_of(sections: Sequence[Section], height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as captured:
        console.print(Group(*stacked(sections, height)), end="")
    return captured.get().splitlines()


SECTIONS = st.lists(
    st.builds(section, st.sampled_from(["", "A", "B"]), st.integers(0, 60), has_headings=st.booleans()), max_size=4
)


@given(SECTIONS, st.integers(0, 70))
def test_it_never_takes_more_lines_than_there_are(sections: list[Section], height: int) -> None:
    assert len(lines_of(sections, height)) <= height


@given(SECTIONS)
def test_with_room_for_all_everything_is_shown(sections: list[Section]) -> None:
    height = sum(one.height for one in sections)
    assert len(lines_of(sections, height)) == height


def test_the_longest_is_cut_and_tells_how_much_is_missing() -> None:
    shown = lines_of([section("few", 2), section("many", 50)], 12)
    assert shown == ["", "few", "few 0", "few 1", "", "many", *(f"many {number}" for number in range(5)), "and 45 more"]


@pytest.mark.parametrize(("height", "shown"), [(3, ["", "few", "few 0"]), (2, []), (0, [])])
def test_where_there_is_no_room_even_for_a_few_rows_the_last_sections_go(height: int, shown: list[str]) -> None:
    assert lines_of([section("few", 2), section("many", 50)], height) == shown


def test_a_section_that_has_no_rows_is_left_out() -> None:
    assert lines_of([section("none", 0), section("one", 1)], 20) == ["", "one", "one 0"]
