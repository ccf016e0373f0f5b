"""Times: read in all forms that Graph sends, written in one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import clock

AT = datetime(2026, 3, 2, 8, 15, 30, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T08:15:30.123456Z",
        "2026-03-02T08:15:30.1234567Z",
        "2026-03-02T08:15:30.123456+00:00",
        "2026-03-02T09:15:30.123456+01:00",
    ],
)
def test_a_time_is_read_in_every_form(text: str) -> None:
    assert clock.from_text(text) == AT
    assert clock.from_text(text).tzinfo == UTC


def test_a_time_without_fractions_is_read() -> None:
    assert clock.from_text("2026-03-20T00:00:00Z") == datetime(2026, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-03-02T08:15:30", "2026-03-02", "", "yesterday", "2026-13-02T00:00:00Z"])
def test_what_is_no_time_with_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        clock.from_text(text)


@given(st.datetimes(timezones=st.timezones()))
def test_what_is_written_comes_back(moment: datetime) -> None:
    try:
        text = clock.to_text(moment)
    except OverflowError:
        return  # the first or last day of the calendar, elsewhere on earth
    assert clock.from_text(text) == moment.astimezone(UTC)


def test_the_year_one_is_written_with_four_digits() -> None:
    assert clock.to_text(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000000Z"


def test_now_is_in_utc() -> None:
    assert clock.utc_now().tzinfo == UTC
