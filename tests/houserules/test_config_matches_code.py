"""The annotated file and the code say the same, key by key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from broadcaster.settings.load import load_settings
from broadcaster.settings.model import Section, SettingsModel

FILE = Path(__file__).parents[2] / "config" / "broadcaster.yaml"
LINES = FILE.read_text(encoding="utf-8").splitlines()

_EXAMPLE = re.compile(r"^(\s*)# ((?:  )*(?:- )?[a-z_]+:(?: .*)?)$")
_KEY = re.compile(r"^(?:\s*# )?\s*(?:- )?([a-z_]+):(?:\s+(.*))?$")


def with_examples() -> str:
    """The file with its commented examples made real."""
    lines = [_EXAMPLE.sub(r"\1\2", line) for line in LINES]
    empty = re.compile(
        r"\s*(clips|destinations|ice_addresses|ice_servers|hosts|cors_origins|allow): \[\]"
    )
    return "\n".join(line for line in lines if not empty.match(line))


def test_the_file_as_it_stands_changes_nothing() -> None:
    assert SettingsModel.model_validate(yaml.safe_load(FILE.read_text())) == SettingsModel()


def test_the_file_names_every_key_of_every_section() -> None:
    written = yaml.safe_load(with_examples())
    model = SettingsModel.model_validate(written)
    assert _unset(model, "") == []


def _unset(value: object, place: str) -> list[str]:
    """Keys that have a value only by default."""
    if isinstance(value, tuple):
        assert value, f"{place} has no example"
        return [line for i, each in enumerate(value) for line in _unset(each, f"{place}.{i}")]
    if not isinstance(value, Section | SettingsModel):
        return []
    missing = [
        f"{place}.{name}" for name in type(value).model_fields if name not in value.model_fields_set
    ]
    for name in type(value).model_fields:
        missing += _unset(getattr(value, name), f"{place}.{name}")
    return missing


def test_the_examples_show_the_defaults() -> None:
    channel = SettingsModel.model_validate(yaml.safe_load(with_examples())).channels[0]
    clip, destination = channel.idle.clips[0], channel.destinations[0]
    for example in (clip, destination):
        for name, field in type(example).model_fields.items():
            if not field.is_required():
                assert getattr(example, name) == field.default, name


@pytest.mark.parametrize("line", [line for line in LINES if _KEY.match(line)])
def test_every_key_has_a_comment(line: str) -> None:
    value = _KEY.match(line)[2] or ""  # type: ignore[index]
    section = re.fullmatch(r"(station|\s*# (clips|destinations|ice_servers)):", line)
    assert section or len(value.partition("#")[2].strip()) > 3, line


def test_every_number_names_its_unit_or_meaning() -> None:
    """A key that ends in a unit repeats it in its comment."""
    units = {
        "_s": "s",
        "_ms": "ms",
        "_h": "h",
        "_kbps": "kb/s",
        "_mb": "MB",
        "_kib": "KiB",
        "_hours": "h",
    }
    for line in LINES:
        match = _KEY.match(line)
        for suffix, unit in units.items():
            if match and match[1].endswith(suffix):
                comment = (match[2] or "").partition("#")[2]
                assert re.search(rf"(^|\s){re.escape(unit)}\b", comment), line


def test_the_file_loads_from_the_top_of_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILE.parents[1])
    assert load_settings().push == SettingsModel().push
