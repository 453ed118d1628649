"""Rendered dates are parsed again by patterns that the tests write out themselves."""

import inspect
import re
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest

from attn_jax.data import dates
from attn_jax.data.dates import FORMATS, INPUT, DateSource, Sequences, render

CALENDAR = [date(1900, 1, 1) + timedelta(days=k) for k in range(73_049)]

# y: year, m: month, d: day, s: its suffix, w: weekday.
PATTERNS = {
    "march 3, 1998": r"(?P<m>\w+) (?P<d>\d+), (?P<y>\d+)",
    "3 march 1998": r"(?P<d>\d+) (?P<m>\w+) (?P<y>\d+)",
    "tuesday, march 3, 1998": r"(?P<w>\w+), (?P<m>\w+) (?P<d>\d+), (?P<y>\d+)",
    "3 mar 1998": r"(?P<d>\d+) (?P<m>\w+) (?P<y>\d+)",
    "mar 3rd, 1998": r"(?P<m>\w+) (?P<d>\d+)(?P<s>..), (?P<y>\d+)",
    "the 3rd of march, 1998": r"the (?P<d>\d+)(?P<s>..) of (?P<m>\w+), (?P<y>\d+)",
    "1998 march 3": r"(?P<y>\d+) (?P<m>\w+) (?P<d>\d+)",
    "tue 3 mar 1998": r"(?P<w>\w+) (?P<d>\d+) (?P<m>\w+) (?P<y>\d+)",
    "3-mar-1998": r"(?P<d>\d+)-(?P<m>\w+)-(?P<y>\d+)",
    "03/march/1998": r"(?P<d>\d\d)/(?P<m>\w+)/(?P<y>\d+)",
    "march 1998, tuesday the 3rd": r"(?P<m>\w+) (?P<y>\d+), (?P<w>\w+) the (?P<d>\d+)(?P<s>..)",
    "1998, the third of march": r"(?P<y>\d+), the (?P<d>[a-z-]+) of (?P<m>\w+)",
    "third of march 1998": r"(?P<d>[a-z-]+) of (?P<m>\w+) (?P<y>\d+)",
    "3 march nineteen ninety-eight": r"(?P<d>\d+) (?P<m>\w+) (?P<y>[a-z -]+)",
    "march the third, nineteen ninety-eight": r"(?P<m>\w+) the (?P<d>[a-z-]+), (?P<y>[a-z -]+)",
    "nineteen ninety-eight, march 3rd": r"(?P<y>[a-z -]+), (?P<m>\w+) (?P<d>\d+)(?P<s>..)",
}
MONTHS = {
    "january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7,
    "august": 8, "september": 9, "october": 10, "november": 11, "december": 12,
}  # fmt: skip
WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
NUMBERS = {
    "oh": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90, "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9,
    "twelfth": 12, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
SUFFIXES = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}


def number(words: str) -> int:
    if words.isdigit():
        return int(words)
    parts = re.split("[ -]", words)
    return sum(NUMBERS[part if part in NUMBERS else part.removesuffix("th")] for part in parts)


def year(words: str) -> int:
    if words.isdigit():
        return int(words)
    if words.startswith("two thousand"):
        return 2000 + (number(words[13:]) if words[12:] else 0)
    century, rest = words.split(" ", 1)
    return 100 * number(century) + (0 if rest == "hundred" else number(rest))


def month(word: str) -> int:
    return MONTHS.get(word) or [name[:3] for name in MONTHS].index(word) + 1


def texts_of(split: Sequences) -> list[str]:
    return ["".join(INPUT[code] for code in row).rstrip("\0") for row in split.inputs]


@pytest.fixture(scope="module")
def source() -> DateSource:
    return dates.load_dates()


def test_formats_are_named_by_what_they_make_of_a_day():
    assert list(FORMATS) == list(PATTERNS)
    assert [render(date(1998, 3, 3), name)[0] for name in FORMATS] == list(FORMATS)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_text_parses_as_its_day_and_spans_are_where_it_is_parsed(name: str):
    years = (1900, 1999, 2000, 2004, 2099)  # 2000 and 2004 are leap years, 1900 is not
    days = [day for day in CALENDAR if day.year in years or (day.month, day.day) == (9, 27)]
    for day in days:
        text, spans = render(day, name)
        read = re.fullmatch(PATTERNS[name], text)
        assert read, text
        parts = read.groupdict()
        assert date(year(parts["y"]), month(parts["m"]), number(parts["d"])) == day
        assert parts.get("s") in (None, SUFFIXES.get(day.day, "th"))
        weekday = WEEK[(day - date(1900, 1, 1)).days % 7]  # that day was a Monday
        assert parts.get("w") in (None, weekday, weekday[:3])
        start, end = read.span("y")
        digits = [(k, k + 1) for k in range(start, end)]
        of_year = digits if parts["y"].isdigit() else 4 * [(start, end)]
        of_month, of_day = 2 * [read.span("m")], 2 * [read.span("d")]
        assert spans == [*of_year, (0, 0), *of_month, (0, 0), *of_day]


def test_no_two_days_have_the_same_text():
    assert CALENDAR[-1] == date(2099, 12, 31)
    characters, longest = set(), 0
    bare = inspect.unwrap(render)  # checked annotations would take ten times as long
    for name in FORMATS:
        texts = {bare(day, name)[0] for day in CALENDAR}
        assert len(texts) == len(CALENDAR), name
        characters |= set("".join(texts))
        longest = max(longest, max(map(len, texts)))
    assert longest == dates.MAX_LENGTH
    assert "\0" + "".join(sorted(characters)) == INPUT


def test_known_years_in_words_and_days():
    name = "march the third, nineteen ninety-eight"
    known = {
        "february the eleventh, nineteen hundred": date(1900, 2, 11),
        "may the twelfth, nineteen oh five": date(1905, 5, 12),
        "june the twenty-first, nineteen ten": date(1910, 6, 21),
        "february the twenty-ninth, two thousand": date(2000, 2, 29),
        "september the first, two thousand five": date(2005, 9, 1),
        "july the twentieth, twenty ten": date(2010, 7, 20),
        "december the thirty-first, twenty ninety-nine": date(2099, 12, 31),
    }
    assert [render(day, name)[0] for day in known.values()] == list(known)
    assert render(date(2000, 2, 29), "tue 3 mar 1998")[0] == "tue 29 feb 2000"


def test_splits_have_the_documented_form_and_share_no_day(source: DateSource):
    for split, n in zip(source[:3], (40_000, 1_000, 2_000), strict=True):
        shapes = [(n, dates.MAX_LENGTH), (n,), (n, 10), (n, 10, 2), (n,)]
        assert [array.shape for array in split] == shapes
        types = [np.uint8, np.int32, np.uint8, np.int16, np.uint8]
        assert [array.dtype for array in split] == types
    assert "40,000 train, 1,000 validation, 2,000 test" in source.description
    days = [day for split in source[:3] for day in dates.decode_output(split.targets)]
    assert len(set(days)) == len(days) == 43_000


def test_examples_are_rendered_days(source: DateSource):
    for split in source[:3]:
        texts, targets = texts_of(split)[:1000], dates.decode_output(split.targets)
        for i, text in enumerate(texts):
            name = list(FORMATS)[split.formats[i]]
            expected, spans = render(date.fromisoformat(targets[i]), name)
            assert text == expected
            assert split.lengths[i] == len(text)
            assert split.spans[i].tolist() == [list(span) for span in spans]


def test_a_split_larger_than_its_days_repeats_them():
    source = dates.load_dates(train=7, validation=73_040, test=6)
    train, validation, test = (Counter(dates.decode_output(split.targets)) for split in source[:3])
    assert sorted(train.values()) == [2, 2, 3]
    assert len(train | validation | test) == len(CALENDAR)


def test_formats_are_uniform(source: DateSource):
    assert len(FORMATS) >= 12
    counts = np.bincount(source.train.formats, minlength=len(FORMATS))
    assert abs(counts - 2500).max() < 250  # a standard deviation is 48
    for split in (source.validation, source.test):
        assert np.bincount(split.formats, minlength=len(FORMATS)).min() > 0


def test_the_seed_determines_the_data(source: DateSource):
    assert texts_of(source.test)[:3] == GOLDEN
    fewer, other = (dates.load_dates(train=300, seed=seed) for seed in (0, 1))
    for split, same, changed in zip(source[:3], fewer[:3], other[:3], strict=True):
        n = len(same.inputs)
        for array, again in zip(split, same, strict=True):
            np.testing.assert_array_equal(array[:n], again)
        assert (split.targets[:n] != changed.targets).any()
        assert (split.formats[:n] != changed.formats).any()


GOLDEN = ["june 1959, sunday the 7th", "3-oct-2024", "december 2073, saturday the 23rd"]


def test_texts_are_encoded_and_codes_decoded():
    codes, lengths = dates.encode_input(["3 mar", "", "1"], length=6)
    padded = ("3 mar\0", "\0" * 6, "1\0\0\0\0\0")
    assert codes.tolist() == [[INPUT.index(character) for character in text] for text in padded]
    assert lengths.tolist() == [5, 0, 1]
    assert dates.encode_input(["3 mar", "1"])[0].shape == (2, 5)
    assert dates.encode_input([])[0].shape == (0, 0)
    texts = ["1998-03-03", "2000-02-29"]
    codes = np.array([["0123456789-".index(c) for c in text] for text in texts], np.uint8)
    assert dates.decode_output(codes[:, None]) == texts


@pytest.mark.parametrize("text", ["march 3; 1998?", "March", "m\0", "marsé"])
def test_characters_outside_the_vocabulary_are_named(text: str):
    first = re.search(r"[^ ,/0-9a-z-]", text)
    assert first
    with pytest.raises(ValueError, match=re.escape(f"got {first[0]!r}")):
        dates.encode_input(["3 may", text])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0}, "train must be at least 1; got 0"),
        ({"validation": 0}, "validation must be at least 1; got 0"),
        ({"test": -1}, "test must be at least 1; got -1"),
        ({"seed": -1}, "seed must be at least 0; got -1"),
        ({"test": 73_000, "validation": 49}, "test \\+ validation must be at most 73048, .*73049"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dates.load_dates(**options)


def test_texts_codes_and_days_out_of_range_are_refused():
    with pytest.raises(ValueError, match="texts must be at most 3 characters long; got 'march'"):
        dates.encode_input(["may", "march"], length=3)
    with pytest.raises(ValueError, match="codes must lie in 0 to 10; got 3 to 11"):
        dates.decode_output(np.array(9 * [3] + [11], np.uint8))
    with pytest.raises(ValueError, match="day must lie in 1900 to 2099; got 1899-12-31"):
        render(date(1899, 12, 31), "3 march 1998")
    with pytest.raises(ValueError, match="got '3 march 98'; did you mean '3 march 1998'"):
        render(date(1998, 3, 3), "3 march 98")
