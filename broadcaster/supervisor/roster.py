"""The file in which the roles' states stand for ``/status``; written at each change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_roster(file: Path, entries: Sequence[Mapping[str, object]]) -> None:
    """Replace ``file`` in one step, so that no reader sees half of it.

    Raises:
        OSError: the folder cannot be written.
    """
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(json.dumps({"roles": list(entries)}))
    fresh.replace(file)
