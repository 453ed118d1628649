"""Dates in English and in ISO form: pairs of texts whose alignment is known.

Every date is put together from fields, so it is known which characters of a text give the year,
the month and the day, and a model's attention can be compared with them.
"""

import string
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Integer, UInt8

from attn_jax.errors import check_name

# name -> template. A name is what the template makes of 3 March 1998; each template gives the
# year, the month and the day.
FORMATS = {
    "march 3, 1998": "{month} {day}, {year}",
    "3 march 1998": "{day} {month} {year}",
    "tuesday, march 3, 1998": "{weekday}, {month} {day}, {year}",
    "3 mar 1998": "{day} {mon} {year}",
    "mar 3rd, 1998": "{mon} {day}{suffix}, {year}",
    "the 3rd of march, 1998": "the {day}{suffix} of {month}, {year}",
    "1998 march 3": "{year} {month} {day}",
    "tue 3 mar 1998": "{wkd} {day} {mon} {year}",
    "3-mar-1998": "{day}-{mon}-{year}",
    "03/march/1998": "{day_of_two}/{month}/{year}",
    "march 1998, tuesday the 3rd": "{month} {year}, {weekday} the {day}{suffix}",
    "1998, the third of march": "{year}, the {ordinal} of {month}",
    "third of march 1998": "{ordinal} of {month} {year}",
    "3 march nineteen ninety-eight": "{day} {month} {year_in_words}",
    "march the third, nineteen ninety-eight": "{month} the {ordinal}, {year_in_words}",
    "nineteen ninety-eight, march 3rd": "{year_in_words}, {month} {day}{suffix}",
}

# The vocabularies are written out so that the code of a character, its place here, never changes.
# The first character of INPUT is padding and occurs in no text.
INPUT = "\0 ,-/0123456789abcdefghijlmnoprstuvwxy"
OUTPUT = "0123456789-"


def _words(text: str) -> list[str]:
    return text.split()


_MONTHS = _words(
    "january february march april may june july august september october november december"
)
_WEEKDAYS = _words("monday tuesday wednesday thursday friday saturday sunday")
_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
_ONES = _words("one two three four five six seven eight nine")
_TEENS = _words("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
_NUMBERS = ["", *_ONES, *_TEENS]  # 0 to 99
_NUMBERS += [f"{ten}{one}" for ten in _TENS for one in ["", *(f"-{one}" for one in _ONES)]]
_ORDINALS = _words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth "
    "twenty-first twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth "
    "twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
)


def _year_in_words(year: int) -> str:
    """Spell a year of 1900 to 2099, such as nineteen oh five."""
    century, rest = divmod(year, 100)
    if 2000 <= year < 2010:
        return f"two thousand {_NUMBERS[rest]}".rstrip()
    if rest < 10:
        return f"{_NUMBERS[century]} " + (f"oh {_NUMBERS[rest]}" if rest else "hundred")
    return f"{_NUMBERS[century]} {_NUMBERS[rest]}"


_FIRST, _LAST = date(1900, 1, 1), date(2099, 12, 31)
_DAYS = (_LAST - _FIRST).days + 1
_YEARS = [_year_in_words(year) for year in range(_FIRST.year, _LAST.year + 1)]

# The characters of "YYYY-MM-DD" that hold the year, the month and the day.
_YEAR, _MONTH, _DAY = (0, 1, 2, 3), (5, 6), (8, 9)
# field of a template -> (the characters of "YYYY-MM-DD" that it determines, date -> its text)
_FIELDS: dict[str, tuple[tuple[int, ...], Callable[[date], str]]] = {
    "year": (_YEAR, lambda day: str(day.year)),
    "year_in_words": (_YEAR, lambda day: _YEARS[day.year - _FIRST.year]),
    "month": (_MONTH, lambda day: _MONTHS[day.month - 1]),
    "mon": (_MONTH, lambda day: _MONTHS[day.month - 1][:3]),
    "day": (_DAY, lambda day: str(day.day)),
    "day_of_two": (_DAY, lambda day: f"{day.day:02}"),
    "ordinal": (_DAY, lambda day: _ORDINALS[day.day - 1]),
    "suffix": ((), lambda day: _ORDINALS[day.day - 1][-2:]),  # 3rd ends like third
    "weekday": ((), lambda day: _WEEKDAYS[day.weekday()]),
    "wkd": ((), lambda day: _WEEKDAYS[day.weekday()][:3]),
}
# name of a format -> (literal text, the field after it or None) in the order of the text
_PIECES = {
    name: [(literal, field) for literal, field, _, _ in string.Formatter().parse(template)]
    for name, template in FORMATS.items()
}


def render(day: date, name: str) -> tuple[str, list[tuple[int, int]]]:
    """Write a date in one format, and find which characters determine its ISO form.

    Args:
      day: in 1900 to 2099.
      name: of the format, a key of FORMATS.

    Returns:
      The text; and for each of the ten characters of "YYYY-MM-DD" the half-open span [start, end)
      of the text that determines it. For a digit of the year it is the same digit, or the whole
      phrase where the year is in words; for the digits of the month its name; for those of the
      day its number without the suffix, or its word. For a hyphen it is (0, 0), the empty span.

    Raises:
      ValueError: for a day outside those years, or an unknown format.

    >>> render(date(1998, 3, 3), "mar 3rd, 1998")[0]
    'mar 3rd, 1998'
    >>> render(date(1998, 3, 3), "mar 3rd, 1998")[1][2:]
    [(11, 12), (12, 13), (0, 0), (0, 3), (0, 3), (0, 0), (4, 5), (4, 5)]
    """
    if name not in FORMATS:  # checked here first: check_name goes through the whole table
        check_name("format", name, FORMATS)
    if not _FIRST <= day <= _LAST:
        raise ValueError(f"day must lie in {_FIRST.year} to {_LAST.year}; got {day}")
    text, spans = "", [(0, 0)] * 10
    for literal, field in _PIECES[name]:
        text += literal
        if field is None:  # literal text after the last field
            continue
        places, write = _FIELDS[field]
        start = len(text)
        text += write(day)
        for k, place in enumerate(places):
            spans[place] = (start + k, start + k + 1) if field == "year" else (start, len(text))
    return text, spans


# The length of the longest text: on this Wednesday every field has its greatest length.
MAX_LENGTH = max(len(render(date(1978, 9, 27), name)[0]) for name in FORMATS)


def _codes(texts: Sequence[str], length: int, vocabulary: str) -> UInt8[np.ndarray, "N {length}"]:
    """Encode characters as their places in a vocabulary, rows padded with 0 at the end."""
    table = np.zeros(128, np.uint8)
    table[[ord(character) for character in vocabulary]] = np.arange(len(vocabulary))
    padded = "".join(text.ljust(length, vocabulary[0]) for text in texts)
    return table[np.frombuffer(padded.encode("ascii"), np.uint8)].reshape(len(texts), length)


def encode_input(
    texts: Sequence[str], length: int | None = None
) -> tuple[UInt8[np.ndarray, "N L"], Int32[np.ndarray, "N"]]:
    """Encode texts as codes, places in INPUT, padded with 0 at the end; and count their lengths.

    Args:
      texts: made of the characters of INPUT other than the padding.
      length: the padded length L, at least that of the longest text, which is the default.

    Raises:
      ValueError: naming the first character that is not in the vocabulary, or a text longer
        than `length`.

    >>> codes, lengths = encode_input(["may", "3 may"])
    >>> "".join(INPUT[code] for code in codes[0]), lengths.tolist()
    ('may\\x00\\x00', [3, 5])
    """
    lengths = np.array([len(text) for text in texts], np.int32)
    length = int(lengths.max(initial=0)) if length is None else length
    for text in texts:
        if strange := [character for character in text if character not in INPUT[1:]]:
            raise ValueError(f"texts must be of the characters {INPUT[1:]!r}; got {strange[0]!r}")
        if len(text) > length:
            raise ValueError(f"texts must be at most {length} characters long; got {text!r}")
    return _codes(texts, length, INPUT), lengths


def decode_output(codes: Integer[np.ndarray, "... 10"]) -> list[str]:
    """Decode codes, places in OUTPUT, to texts of ten characters, leading axes flattened.

    Raises:
      ValueError: for a code outside the vocabulary.

    >>> decode_output(np.array([1, 9, 9, 8, 10, 0, 3, 10, 0, 3], np.uint8))
    ['1998-03-03']
    """
    last = len(OUTPUT) - 1
    if ((codes < 0) | (codes > last)).any():
        raise ValueError(f"codes must lie in 0 to {last}; got {codes.min()} to {codes.max()}")
    return ["".join(OUTPUT[code] for code in row) for row in codes.reshape(-1, 10)]


class Sequences(NamedTuple):
    """N pairs of texts: one split of the dates.

    Attributes:
      inputs: uint8 [N, L], codes of the texts, padded with 0; L is MAX_LENGTH.
      lengths: int32 [N], the number of characters before the padding.
      targets: uint8 [N, 10], codes of "YYYY-MM-DD", places in OUTPUT.
      spans: int16 [N, 10, 2], the [start, end) in the text that determines each target, as
        returned by `render`.
      formats: uint8 [N], the place in FORMATS of the format.
    """

    inputs: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray
    spans: np.ndarray
    formats: np.ndarray


class DateSource(NamedTuple):
    """A data set of dates in three splits.

    Attributes:
      train, validation, test: the splits; no day is in two of them.
      description: one line: what the dates are and how they were split.
    """

    train: Sequences
    validation: Sequences
    test: Sequences
    description: str


def _bits(seed: int, stream: int, n: int) -> np.ndarray:
    # Raw bits, as in batch_ids, under keys that no epoch has: those are [seed, epoch].
    return np.random.Philox(key=[seed, 2**32 + stream]).random_raw(n)


def _split(days: np.ndarray, formats: np.ndarray) -> Sequences:
    """Make a split from days since 1 January 1900 [N] and places in FORMATS [N]."""
    names = list(FORMATS)
    dates = [date.fromordinal(_FIRST.toordinal() + int(day)) for day in days]
    rendered = [render(day, names[i]) for day, i in zip(dates, formats, strict=True)]
    return Sequences(
        *encode_input([text for text, _ in rendered], MAX_LENGTH),
        targets=_codes([day.isoformat() for day in dates], 10, OUTPUT),
        spans=np.array([spans for _, spans in rendered], np.int16),
        formats=formats.astype(np.uint8),
    )


def load_dates(
    *, train: int = 40_000, validation: int = 1_000, test: int = 2_000, seed: int = 0
) -> DateSource:
    """Make a data set from the days of 1900 to 2099, each in formats drawn uniformly.

    The 73,049 days are permuted and divided first, so no day is in two splits. A split goes
    through its days in order and begins again after the last, so a smaller training split is the
    beginning of a larger one.

    Args:
      train, validation, test: the number of examples in each split, at least 1; validation and
        test together must leave a day for training.
      seed: of the division and of the formats, at least 0.

    Raises:
      ValueError: if an argument is out of range.

    >>> load_dates(train=3, validation=1, test=1).description
    'days of 1900 to 2099 in 16 formats: 3 train, 1 validation, 1 test, no day shared (seed 0)'
    """
    counts = {"train": train, "validation": validation, "test": test}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0; got {seed}")
    if test + validation >= _DAYS:
        raise ValueError(
            f"test + validation must be at most {_DAYS - 1}, to leave a day to train on; "
            f"got {test + validation}"
        )
    order = np.argsort(_bits(seed, 0, _DAYS), kind="stable")
    held_out = test + validation
    days = {"test": order[:test], "validation": order[test:held_out], "train": order[held_out:]}
    splits = {
        name: _split(np.resize(days[name], count), _bits(seed, stream, count) % len(FORMATS))
        for stream, (name, count) in enumerate(counts.items(), start=1)
    }
    sizes = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return DateSource(
        **splits,
        description=f"days of {_FIRST.year} to {_LAST.year} in {len(FORMATS)} formats: {sizes}, "
        f"no day shared (seed {seed})",
    )
