"""One line of ``broadcaster check``: how it is, what was looked at, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw.

    ``warn`` means the station runs, but not as asked; ``fail`` means that something asked for will
    not work. Both carry a one-line ``remedy``.
    """

    level: Level
    what: str
    detail: str
    remedy: str = ""


def as_text(findings: Iterable[Finding]) -> str:
    """One line per finding, with its remedy on an indented line below."""
    lines = []
    for each in findings:
        lines.append(f"{each.level:<5} {each.what:<22} {each.detail}".rstrip())
        if each.remedy:
            lines.append(f"{'':<28} -> {each.remedy}")
    return "\n".join(lines)


def as_json(findings: Iterable[Finding]) -> str:
    """``{"ok": bool, "findings": [{level, what, detail, remedy}]}``."""
    rows = [asdict(each) for each in findings]
    return json.dumps({"ok": all(row["level"] != "fail" for row in rows), "findings": rows})
