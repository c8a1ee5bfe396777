"""The shipped alert rules and Grafana dashboards, read for tests."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "prometheus" / "alerts.yml"
FOLDER = CONFIG / "grafana" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))

_METRIC = re.compile(r"\b(?:broadcaster_[a-z_]+|up)\b")
_TEXT = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Query:
    """One target of a panel, its variables replaced; ``where`` names it."""

    where: str
    expression: str


def load(file: Path) -> dict[str, Any]:
    """A dashboard."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel, those inside collapsed rows too."""
    found = []
    for panel in dashboard["panels"]:
        found += [panel, *panel.get("panels", [])]
    return found


def queries(file: Path, window: str = "1m") -> list[Query]:
    """What the dashboard asks Prometheus, all stations and channels chosen.

    Args:
        file: a dashboard.
        window: for ``$__rate_interval``.
    """
    values = {"$__rate_interval": window, "$instance": ".*", "$channel": ".*"}
    found = []
    for panel in panels(load(file)):
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in values.items():
                expression = expression.replace(name, value)
            where = f"{file.name}: {panel['title']} {target['refId']}"
            found.append(Query(where, expression))
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """The alerting rules by name."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def metrics_of(expression: str) -> set[str]:
    """Names of the metrics that an expression reads."""
    return set(_METRIC.findall(_LABELS.sub("", _TEXT.sub("", expression))))
