"""The two places settings come from: a YAML file and the environment.

Apart from ``load`` because pydantic-settings costs a quarter of a second to import, which roles
that only read resolved settings must not pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from broadcaster.errors import ConfigError
from broadcaster.settings.model import Section, SettingsModel

PREFIX = "BROADCASTER_"
DELIMITER = "__"

NOT_SETTINGS = frozenset({"BROADCASTER_CONFIG", "BROADCASTER_SETTINGS_JSON"})
"""Variables with our prefix that name files and are no keys."""


class _Environment(SettingsModel, BaseSettings):
    """Tells pydantic-settings which keys to look for; never instantiated."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=DELIMITER)


# What PyYAML raises for odd but parseable scalars such as "!!bool x" or "2001-99-99".
_YAML_FAULTS = (
    yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError,
)  # fmt: skip


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping.

    Raises:
        ConfigError: unreadable, not YAML, or not a mapping. The text of the file is never quoted:
            it holds stream keys.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{file}: cannot be read: {reason}") from None
    try:
        twice = _key_given_twice(yaml.compose(text, Loader=yaml.SafeLoader))
        data = yaml.safe_load(text)
    except _YAML_FAULTS as error:
        raise ConfigError(_yaml_fault(file, error)) from None
    if twice:
        raise ConfigError(f"{file}: {twice}")
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{file}: must be a mapping of sections (push:, api:, ...)")
    return {key: value for key, value in data.items() if not _is_empty_section(key, value)}


def _key_given_twice(root: yaml.Node | None) -> str:
    """The first key that stands twice in one mapping: PyYAML would silently keep the last."""
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if node is None or id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))  # anchors can make a node its own child
        if isinstance(node, yaml.SequenceNode):
            pending.extend(node.value)
            continue
        keys = set[str]()
        for key, value in node.value:
            pending.append(value)
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                return f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice"
            keys.add(str(key.value))
    return ""


def _yaml_fault(file: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
    return f"{where}: not valid YAML: {getattr(error, 'problem', None) or type(error).__name__}"


def _is_empty_section(key: str, value: object) -> bool:
    """A section whose keys are all commented out reads as null and means its defaults."""
    return value is None and key in SettingsModel.model_fields


def read_environment(environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The settings in BROADCASTER_* variables, and one line per variable that is no setting."""
    faults = [line for name in sorted(environment) if (line := _variable_fault(name))]
    if faults:
        return {}, faults
    source = EnvSettingsSource(_Environment)
    source.env_vars = {name.lower(): value for name, value in environment.items()}
    try:
        return source(), []
    except SettingsError:
        return {}, [f"{name}: not valid JSON" for name in _json_variables(environment)]


def _json_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that hold a whole section or list, and so must be JSON."""
    whole = {PREFIX + section.upper() for section in SettingsModel.model_fields}
    return sorted(name for name in environment if name.upper() in whole)


def _variable_fault(variable: str) -> str:
    """Why a variable of ours names no setting; empty when it does or is not ours.

    A name without ``__`` is only ours when it is a key spelt with one underscore: container
    platforms put variables such as BROADCASTER_SERVICE_HOST into every environment.
    """
    name = variable.upper()
    if not name.startswith(PREFIX) or name in NOT_SETTINGS:
        return ""
    section, found, key = name.removeprefix(PREFIX).lower().partition(DELIMITER)
    if section == "channels" and found:
        return f"{variable}: channels are a list: give all of it as JSON in {PREFIX}CHANNELS"
    if found:
        return "" if key in _keys_of(section) else f"{variable}: unknown key"
    for each in SettingsModel.model_fields:
        key = section.removeprefix(f"{each}_")
        if key != section and key in _keys_of(each):
            return f"{variable}: unknown key; did you mean {PREFIX}{each.upper()}__{key.upper()}?"
    return ""


def _keys_of(section: str) -> frozenset[str]:
    field = SettingsModel.model_fields.get(section)
    kind = field.annotation if field else None
    if isinstance(kind, type) and issubclass(kind, Section):
        return frozenset(kind.model_fields)
    return frozenset()
