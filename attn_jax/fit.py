"""Whether an estimator and a read belong together: the tags of what one gives and the other takes.

The estimators and reads that a message names come from `estimators.MEMBERS` and `ops.READS`.
"""

from typing import get_args

from attn_jax.checks import check_instance
from attn_jax.estimators import MEMBERS
from attn_jax.ops import READS
from attn_jax.types import Estimator, Given, Read, Tag


def check_fit(estimator: Estimator, read: Read) -> None:
    """Refuse an estimator whose choice the read does not take.

    Raises:
      TypeError: for what is no estimator or no read, such as one that was not called.
      ValueError: naming what is given, what is taken, and the members that fit.

    >>> from attn_jax import estimators, ops
    >>> check_fit(estimators.gaussian(0.1), ops.retina(8))
    """
    check_instance("estimator", estimator, Estimator, "estimators.gaussian(0.1)")
    check_instance("read", read, Read, "ops.retina(8)")
    if estimator.gives not in get_args(Given):
        raise ValueError(
            f"estimator.gives must be one of {sorted(get_args(Given))}; got {estimator.gives!r}"
        )
    if read.takes not in get_args(Tag):
        raise ValueError(f"read.takes must be one of {sorted(get_args(Tag))}; got {read.takes!r}")
    given, taken = tag_of(estimator.gives), read.takes
    if given != taken:
        raise ValueError(
            f"the estimator gives {estimator.gives!r}, but the read takes {taken!r}; "
            f"reads that take {given!r}: {', '.join(reads_that_take(given))}; "
            f"estimators that give {taken!r}: {', '.join(estimators_that_give(taken))}"
        )


def tag_of(gives: Given) -> Tag:
    """The tag that a read must take: a one-hot is read as weights."""
    return "weights" if gives == "one_hot" else gives


def reads_that_take(tag: Tag) -> list[str]:
    """The names in `ops.READS` of the reads that take this tag."""
    return [name for name, member in READS.items() if member.takes == tag]


def estimators_that_give(tag: Tag) -> list[str]:
    """The names in `estimators.MEMBERS` of the estimators that a read of this tag takes.

    >>> estimators_that_give("homography")
    ["identity(gives='homography')"]
    """
    names = [name for name, member in MEMBERS.items() if tag_of(member.gives) == tag]
    # identity is one member, listed by its default; it gives any tag but weights.
    if tag != "weights" and "identity" not in names:
        names.append(f"identity(gives={tag!r})")
    return names
