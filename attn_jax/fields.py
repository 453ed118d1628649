"""Config sections as frozen dataclasses whose fields carry their meaning, range and valid names.

A section is a dataclass of `field`s and of other sections; `read` makes it from a config's plain
values, and refuses what does not fit by the full name of the field, such as train.batch.
"""

import dataclasses
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import numpy as np

from attn_jax.errors import check_name, nearest_name

T = TypeVar("T")


class Rule(NamedTuple):
    """The meaning of a field, and the values it may have; for a tuple, of each of its entries.

    Attributes:
      meaning: a phrase for the reader.
      least, most, above, below: bounds of a number; None: those of int32 and float32.
      names: valid names of a str.
      empty: whether a tuple may be empty.
      settle: () -> the value that a run has where the config says None; None: no such value.
    """

    meaning: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    names: tuple[str, ...] = ()
    empty: bool = False
    settle: Callable[[], Any] | None = None

    @property
    def range(self) -> str:
        """The valid values in words; "" if any is."""
        if self.names:
            return "one of " + ", ".join(self.names)
        if self.below is not None:
            start = f"({self.above:g}" if self.above is not None else f"[{self.least or 0:g}"
            return f"in {start}, {self.below:g})"
        if self.most is not None:
            return f"from {self.least or 0:g} to {self.most:g}"
        if self.above is not None:
            return "positive" if self.above == 0 else f"above {self.above:g}"
        return "" if self.least is None else f"at least {self.least:g}"

    def check(self, name: str, value: Any) -> None:
        """Refuse a value outside the range.

        Raises:
          ValueError: naming the field, what it may be and what came.
        """
        if isinstance(value, tuple):
            if len(value) > _MOST_ENTRIES:
                raise ValueError(f"{name} may hold {_MOST_ENTRIES} numbers; got {len(value)}")
            for one in value:
                if not self._holds(one):
                    raise ValueError(f"{name} must hold numbers {self.range}; got {value}")
                _check_int(name, one)
            if not value and not self.empty:
                raise ValueError(f"{name} must hold a number or more; got ()")
        elif isinstance(value, str):
            if self.names:
                check_name(name, value, self.names)
        elif isinstance(value, float):
            self._check_float(name, value)
        elif not self._holds(value):
            raise ValueError(f"{name} must be {self.range}; got {value}")
        else:
            _check_int(name, value)

    def _check_float(self, name: str, value: float) -> None:
        rounded = _float32(value)  # what it becomes on the device: 1e-60 is 0, 1e39 infinite
        if not math.isfinite(rounded):
            raise ValueError(f"{name} must be finite; got {value:g}")
        if not self._holds(value):
            raise ValueError(f"{name} must be {self.range}; got {value:g}")
        if not self._holds(rounded):
            raise ValueError(f"{name} must be {self.range} in float32; got {value!r}")

    def _holds(self, value: Any) -> bool:
        return value is None or (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


_MOST_ENTRIES, _MOST_INT = 64, 2**31 - 1


def _check_int(name: str, value: Any) -> None:
    if value is not None and value > _MOST_INT:
        raise ValueError(f"{name} must be at most {_MOST_INT}; got {value}")


def _float32(value: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.float32(value))


def field(
    meaning: str,
    *,
    names: Iterable[str] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    empty: bool = False,
    settle: Callable[[], Any] | None = None,
) -> Any:
    """A field of a section.

    Args:
      meaning: a phrase, with its unit.
      names: valid names of a str: a table's keys.
      least, most, above, below: bounds of a number, or of each number of a tuple.
      empty: whether a tuple may be empty.
      settle: () -> what None stands for on this machine; a run keeps it wherever it goes on.
    """
    rule = Rule(meaning, least, most, above, below, tuple(names), empty, settle)
    return dataclasses.field(metadata={"rule": rule})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def section(cls: type[T]) -> type[T]:
    """Make a class of fields a section: a frozen dataclass."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def read(cls: type[T], values: Mapping[str, Any], path: str = "", like: str = "") -> T:
    """A section from a config's plain values.

    Args:
      cls: the section.
      values: by name; nested mappings for the sections in it.
      path: prefix of the names, such as "train.".
      like: a config that has these fields, for messages.

    Raises:
      ValueError: for a field or section that is missing, unknown, of another type or out of range.

    >>> @section
    ... class Train:
    ...     batch: int = field("examples in an update", least=1)
    >>> read(Train, {"batch": 0}, "train.")
    Traceback (most recent call last):
    ValueError: train.batch must be at least 1; got 0
    """
    hints = typing.get_type_hints(cls)
    members = {one.name: one for one in dataclasses.fields(cls)}  # type: ignore[arg-type]
    _check_members(members, hints, values, path, like and f"; see {like}")
    made = {}
    for name, member in members.items():
        kind, full = hints[name], path + name
        if dataclasses.is_dataclass(kind):
            made[name] = read(kind, values[name], f"{full}.", like)
        else:
            made[name] = _converted(kind, values[name], full)
            member.metadata["rule"].check(full, made[name])
    return cls(**made)


def settled(cls: type, values: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose fields that are None have the value that the machine settles, if it does.

    Args:
      cls: the section.
      values: the config.
      before: that of the run which goes on; its values come first. {} of a new run.

    >>> @section
    ... class Compute:
    ...     sampler: str | None = field("how to sample", settle=lambda: "native")
    >>> settled(Compute, {"sampler": None}, {})
    {'sampler': 'native'}
    >>> settled(Compute, {"sampler": None}, {"sampler": "xla"})
    {'sampler': 'xla'}
    """
    made, hints = dict(values), typing.get_type_hints(cls)
    for member in dataclasses.fields(cls):
        name, kind = member.name, hints[member.name]
        old, value = before.get(name), made.get(name)
        if dataclasses.is_dataclass(kind):
            if isinstance(value, Mapping):
                made[name] = settled(kind, value, old if isinstance(old, Mapping) else {})
        elif name in made and value is None and (settle := member.metadata["rule"].settle):
            made[name] = settle() if old is None else old
    return made


def _check_members(
    members: Mapping[str, Any],
    hints: Mapping[str, Any],
    values: Mapping[str, Any],
    path: str,
    see: str,
) -> None:
    kinds = {
        name: "section" if dataclasses.is_dataclass(hints[name]) else "field" for name in members
    }
    if missing := [name for name in members if name not in values]:
        strange = [name for name in values if name not in members]
        near = nearest_name(missing[0], strange)
        hint = f"; it has {path}{near}" if near else ""
        names = ", ".join(path + name for name in missing)
        raise ValueError(f"the config has no {kinds[missing[0]]} {names}{hint}{see}")
    if strange := [path + name for name in values if name not in members]:
        near = nearest_name(strange[0], [path + name for name in members])
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"there is no field {', '.join(strange)}{hint}{see}")
    for name, kind in kinds.items():
        if kind == "section" and not isinstance(values[name], Mapping):
            raise ValueError(f"{path}{name} must be a section; got {values[name]!r}")


def _converted(kind: Any, value: Any, name: str) -> Any:
    """The value as `kind`: a list becomes a tuple, a whole number a float."""
    optional = isinstance(kind, types.UnionType)
    if optional:
        if value is None:
            return None
        kind = next(one for one in typing.get_args(kind) if one is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        if isinstance(value, list | tuple) and all(type(one) is int for one in value):
            return tuple(value)
        raise ValueError(f"{name} must be a tuple of whole numbers; got {value!r}")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be {_KINDS[kind]}; got {value!r}")
    return value


_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


def describe(cls: type, values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, ...]]:
    """Every field as (full name, value, range, meaning), in order."""
    hints = typing.get_type_hints(cls)
    for member in dataclasses.fields(cls):
        value, full = values.get(member.name), path + member.name
        if dataclasses.is_dataclass(hints[member.name]):
            yield from describe(hints[member.name], value or {}, f"{full}.")
        else:
            rule = member.metadata["rule"]
            yield full, str(value), rule.range, rule.meaning


def construct(make: Callable[..., T], *sections: Any, **rest: Any) -> T:
    """Call a constructor with the fields that its signature names.

    The constructor's signature is the schema: a field of a section goes to the argument of its
    name, and no list of names is copied.

    Args:
      make: the constructor.
      *sections: where its arguments are looked up.
      **rest: arguments that are not fields, or in the place of one.

    >>> @section
    ... class Glimpse:
    ...     size: int = field("pixels")
    ...     unit: float = field("pixels")
    >>> construct(lambda size, scales: (size, scales), Glimpse(size=8, unit=1.0), scales=2)
    (8, 2)
    """
    wanted = inspect.signature(make).parameters
    found = {
        one.name: getattr(section, one.name)
        for section in sections
        for one in dataclasses.fields(section)
        if one.name in wanted
    }
    return make(**(found | rest))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}.

    >>> flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, Mapping)
        flat |= flatten(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as plain JSON data: tuples become lists."""
    return json.loads(json.dumps(config))


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], places: tuple[str, str] = ("there", "now")
) -> list[str]:
    """The fields of two configs that differ, each with both values."""
    one, other = flatten(before), flatten(now)
    return [
        f"{name}: {one.get(name)!r} {places[0]}, {other.get(name)!r} {places[1]}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]
