"""The Grafana dashboards: complete, loadable, and asking only for what the station has."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from broadcaster import metrics
from tests.oracles.dashboards import CONFIG, FILES, alerts, load, metrics_of, panels, queries

GRID_COLUMNS = 24
SERIES_ENDINGS = re.compile(r"_(bucket|sum|count)$")

every_dashboard = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def known_metrics() -> set[str]:
    """Every name that the station's metrics module defines, as Prometheus shows it."""
    collectors = [
        each for each in vars(metrics).values() if isinstance(each, Counter | Gauge | Histogram)
    ]
    families = [(f.name, f.type) for each in collectors for f in each.collect()]
    return {f"{name}_total" if kind == "counter" else name for name, kind in families}


def test_both_dashboards_are_shipped() -> None:
    assert [file.name for file in FILES] == ["on_air.json", "speech_and_pool.json"]
    heads = [load(file) for file in FILES]
    assert len({head["uid"] for head in heads}) == len({head["title"] for head in heads}) == 2


@every_dashboard
def test_a_dashboard_has_what_grafana_needs_to_load_it(file: Path) -> None:
    board = load(file)
    assert board["id"] is None, "an id belongs to one Grafana"
    assert board["schemaVersion"] >= 39
    assert re.fullmatch(r"[a-z0-9-]{8,40}", board["uid"])
    ids = [panel["id"] for panel in panels(board)]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board)]
    assert all(titles)
    assert len(set(titles)) == len(titles)


@every_dashboard
def test_station_channel_and_data_source_can_be_chosen(file: Path) -> None:
    variables = {each["name"]: each for each in load(file)["templating"]["list"]}
    assert list(variables) == ["datasource", "instance", "channel"]
    assert variables["datasource"]["type"] == "datasource"
    for name in ("instance", "channel"):
        asked = variables[name]["query"]["query"]
        assert metrics_of(asked) <= known_metrics()
        assert re.search(rf", {name}\)$", asked)


@every_dashboard
def test_every_panel_asks_says_its_unit_and_what_it_means(file: Path) -> None:
    for panel in panels(load(file)):
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len(panel["description"]) > 15, panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"]
        assert defaults["thresholds"]["steps"][0]["value"] is None, "the base step"
        refs = [target["refId"] for target in panel["targets"]]
        assert refs
        assert len(set(refs)) == len(refs)
        for target in panel["targets"]:
            assert target["expr"].strip()
            assert target["legendFormat"]


@every_dashboard
def test_no_panel_covers_another_one(file: Path) -> None:
    places = [panel["gridPos"] for panel in load(file)["panels"]]
    assert all(each["x"] >= 0 and each["x"] + each["w"] <= GRID_COLUMNS for each in places)
    for a, b in itertools.combinations(places, 2):
        assert not (_meet(a, b, "x", "w") and _meet(a, b, "y", "h")), (a, b)


def _meet(a: dict[str, int], b: dict[str, int], at: str, size: str) -> bool:
    return a[at] < b[at] + b[size] and b[at] < a[at] + a[size]


def test_panels_and_alerts_read_metrics_that_the_station_has() -> None:
    asked = [query for file in FILES for query in queries(file)]
    expressions = {q.where: q.expression for q in asked} | {
        n: r["expr"] for n, r in alerts().items()
    }
    known = known_metrics() | {"up"}
    for where, expression in expressions.items():
        named = {
            name if name in known else SERIES_ENDINGS.sub("", name)
            for name in metrics_of(expression)
        }
        assert named <= known, where
        assert named or "ALERTS" in expression, where


def test_the_provisioning_examples_point_at_what_is_shipped() -> None:
    folder = CONFIG / "grafana" / "provisioning"
    sources = _one(folder / "datasources")
    assert [each["type"] for each in sources["datasources"]] == ["prometheus"]
    scraped = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text())
    interval = sources["datasources"][0]["jsonData"]["timeInterval"]
    assert interval == scraped["global"]["scrape_interval"]
    provider = _one(folder / "dashboards")["providers"][0]
    assert provider["type"] == "file"
    assert Path(provider["options"]["path"]).is_absolute()


def _one(folder: Path) -> dict[str, Any]:
    """The only file of a folder."""
    (file,) = folder.glob("*.yaml")
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    assert found["apiVersion"] == 1
    return found
