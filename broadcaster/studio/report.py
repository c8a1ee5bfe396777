"""The studio's state for ``/status``: a small JSON file, replaced whole when it changes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from broadcaster.condition import Condition, ConditionReport

FILE_NAME = "studio.json"
SUBSTITUTES_FILE_NAME = "substitutes.json"
"""What the supervisor found missing at start, in the same form."""


class Report:
    """Writes the conditions of a studio; costs nothing while they stay the same."""

    def __init__(self, run_folder: Path, file_name: str = FILE_NAME) -> None:
        self._file = run_folder / file_name
        self._written: tuple[Condition, ...] = ()

    def write(self, conditions: tuple[Condition, ...]) -> None:
        """Replace the file; a full disk only makes the report old."""
        if conditions == self._written:
            return
        things = [
            {"name": c.name, "state": c.state, "last_error": c.last_error, "since": c.since}
            for c in conditions
        ]
        part = self._file.with_suffix(".part")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps({"things": things}), encoding="utf-8")
            part.replace(self._file)
            self._written = conditions


def read_report(run_folder: Path, now: float, file_name: str = FILE_NAME) -> list[ConditionReport]:
    """What the studio last said; empty when it never did."""
    try:
        found = json.loads((run_folder / file_name).read_text(encoding="utf-8"))
        return [Condition(**thing).report(now) for thing in found["things"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
