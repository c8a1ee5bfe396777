"""Reads an engine's options: what a settings file or a task may say, against a dataclass.

Beside the signal path; in the worker, before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, cast

from gpu_pool.contracts import Json, PoolError

O = TypeVar("O")  # noqa: E741 (an options class)

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
}


class OptionsRefused(PoolError):
    """What the settings give an engine cannot be used; for an operator."""


def read_options(kind: type[O], engine: str, given: Mapping[str, Json]) -> O:
    """The options of an engine.

    Args:
        kind: a dataclass of texts, numbers and flags; fields without a default are required.
        engine: its name, for the error.
        given: as it comes from the settings.

    Raises:
        OptionsRefused: one is unknown, missing, or of another type.
    """
    known = {each.name: each for each in fields(cast(Any, kind))}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise OptionsRefused(f"{engine} has no option {unknown[0]!r}; it has {', '.join(known)}")
    for name, each in known.items():
        if name not in given:
            if each.default is MISSING:
                where = f"pool.engines.{engine}.{name} in the settings"
                raise OptionsRefused(f"{engine} needs {name}: {where}")
            continue
        types, words = _KINDS[str(each.type)]
        value = given[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise OptionsRefused(f"{engine}: {name} has to be {words}")
    return kind(**cast(dict[str, Any], dict(given)))


def check_least(engine: str, options: object, **least: int) -> None:
    """Whether numbers are large enough.

    Raises:
        OptionsRefused: one is not.
    """
    for name, value in least.items():
        if getattr(options, name) < value:
            raise OptionsRefused(f"{engine}: {name} has to be {value} or more")
