"""Numbers and texts as they are shown."""

import math

import pytest

from riskpo.reports.page.texts import duration, number, plain, signed, visible


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (math.nan, "\N{EN DASH}"),
        (0, "0"),
        (0.0, "0.000"),
        (12, "12"),
        (921217, "921\u202f217"),
        (0.17345, "0.173"),
        (-0.6617, "\N{MINUS SIGN}0.662"),
        (12.345, "12.35"),
        (123.45, "123.5"),
        (2000.0, "2\u202f000"),
        (0.0006, "0.00060"),
        (1.5e-7, "1.50e\N{MINUS SIGN}07"),
        (2.5e8 + 0.5, "2.50e+08"),
        ("text", "text"),
        (True, "True"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_changes_have_a_sign():
    assert (signed(0.5), signed(-0.5), signed(0.0)) == ("+0.500", "\N{MINUS SIGN}0.500", "+0.000")


@pytest.mark.parametrize(("seconds", "text"), [(12.3, "12 s"), (98, "1.6 min"), (9000, "2.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_what_cannot_be_seen_is_written_out():
    assert visible("a\u00adb\u180e\U000e0041\U000e007f") == "a<U+00AD>b<U+180E><U+E0041><U+E007F>"
    assert visible("a\x1b[31m\x00\u202eb\ud800\n\t") == "a<U+001B>[31m<U+0000><U+202E>b<U+D800>\n\t"


def test_options():
    assert [plain(value) for value in ("a", [1, 8], None, True, 6e-4)] == ["a", "[1, 8]", "null", "true", "0.0006"]
