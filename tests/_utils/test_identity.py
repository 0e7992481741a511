"""Which record numbers are the same but for how they are written."""

import random

import numpy as np
import pytest

from skosfusion._utils.identity import respelled, shown_spellings

SAME = [
    ("P001", "p001"),
    ("007", "7"),
    ("P001", "P1"),
    ("SITE01P007", "site1p7"),
    ("17", "17.0"),
    ("17", "17,0"),
    ("P17", "P17.00"),
    (17, "17"),
    ("017", 17.0),
    ("P001", "\uff30\uff10\uff10\uff11"),
    ("M\u00fcller", "Mu\u0308ller"),
    ("STRASSE", "Stra\u00dfe"),
    ("\ufb011", "fi1"),
    ("P001", "P-001"),
    ("P-007", "P7"),
    ("P_001", "P-001"),
    ("P001", "P\u2011001"),
    ("P-1", "P\u22121"),
    ("2019/123", "2019-123"),
    ("P 001", "P001"),
    ("P\u00a0001", "P001"),
    ("P--001", "P001-"),
    ("P001", " P001\t"),
    ("P001\r\n", "P001"),
    ("P001", "P001\u200b"),
    ("\ufeffP001", "P001"),
    ("P\u00ad001", "P001"),
    ("P001", "P001\x00"),
    ("P001", "P001\u3164"),
    # What spreadsheets write for a text of digits.
    ("007", '="007"'),
    ("007", "'007"),
    # A switched keyboard, digits of another script, UTF-8 read as Latin-1.
    ("P001", "\u0420001"),
    ("\u041a7", "K7"),
    ("7", "\u0667"),
    ("M\u00fcller", "M\u00c3\u00bcller"),
]
DIFFERENT = [
    ("P1", "P10"),
    ("0", "1"),
    ("10", "1"),
    ("1-23", "12-3"),
    ("1-007", "17"),
    ("1.5", "15"),
    ("1.2.840.0", "1.2.840"),
    ("-1", "1"),
    ("M\u00fcller", "Muller"),
    # Codes of one length are not padded.
    ("a01b2cd", "a1b02cd"),
    (1, 2),
    (("a", 1), ("b", 1)),
]


@pytest.mark.parametrize("pair", SAME, ids=ascii)
def test_spellings_of_one_number_are_a_pair(pair):
    assert respelled(pair) == [pair]


@pytest.mark.parametrize("pair", DIFFERENT, ids=ascii)
def test_different_numbers_are_no_pair(pair):
    assert respelled(pair) == []


def test_pairs_come_in_their_order_and_an_equal_value_is_no_pair():
    values = ["b2", "a1", "a1", "A1", "b2", "B2", "A01"]
    assert respelled(values) == [("a1", "A1"), ("b2", "B2"), ("a1", "A01")]


def test_a_number_without_separators_may_be_either_of_two_that_are_not_the_same():
    assert respelled(["1-23", "12-3", "123"]) == [("1-23", "123"), ("12-3", "123")]


def test_many_spellings_of_one_number_are_few_pairs():
    values = ["0" * n + "7" for n in range(200)]
    assert respelled(values) == [("7", value) for value in values[1:]]


@pytest.mark.parametrize("n_digits", [6, 8, 32])
def test_random_codes_are_different(n_digits):
    random.seed(0)
    codes = [f"{random.getrandbits(4 * n_digits):0{n_digits}x}" for _ in range(5000)]
    assert respelled(codes) == []


@pytest.mark.parametrize("dtype", [int, float])
def test_numbers_are_different_without_a_look_at_their_text(dtype):
    assert respelled(np.arange(10, dtype=dtype)) == []


def test_what_cannot_be_seen_is_shown():
    pairs = [("P1\u200b", "P1"), ("Mu\u0308ller", "M\u00fcller"), ("\u0420001", "P001")]
    assert shown_spellings(pairs) == (
        r"3 pairs ('P1\u200b' and 'P1', 'Mu\u0308ller' and 'M"
        "\u00fc"
        r"ller', '\u0420001' and 'P001')"
    )
