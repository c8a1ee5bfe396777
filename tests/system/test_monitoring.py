"""A real Prometheus scrapes a real station that speaks: no panel is empty, no alert is blind."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.prometheus import Prometheus
from tests.doubles.station import Station
from tests.oracles.dashboards import FILES, RULES, Query, alerts, metrics_of, queries

VIDEO = "{width: 480, height: 270, bitrate_kbps: 900}"
WINDOW = "30s"
"""Holds a dozen scrapes of this Prometheus, as ``$__rate_interval`` holds four in Grafana."""

SPOKEN_S = 60.0


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """It has scraped the station before, during and after one spoken task."""
    station = Station(f"channels: [{{name: main, avatar: anna, video: {VIDEO}}}]\n")
    try:
        station.start()
        with Prometheus(station.api, RULES.read_text()) as found:
            found.wait(
                lambda: (
                    found.query('broadcaster_pool_workers{state="ready"} == 1')
                    and found.query("broadcaster_disk_free_bytes > 0")
                ),
                "the station is scraped",
                30,
            )
            say(station, "Good evening.")
            found.wait(
                lambda: found.query('broadcaster_tasks_total{outcome="done"} == 1'),
                "the spoken task is scraped",
                SPOKEN_S,
            )
            found.wait(
                lambda: found.query(
                    f"sum(increase(broadcaster_encode_seconds_count[{WINDOW}])) > 5"
                ),
                "its pictures are scraped",
                10,
            )
            yield found
    finally:
        station.stop()


def say(station: Station, text: str) -> None:
    answer = subprocess.run(
        ["curl", "-s", "-F", f"text={text}", f"http://127.0.0.1:{station.api}/generate_video"],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert json.loads(answer.stdout)["status"] == "processing_started"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_shows_something(prometheus: Prometheus, file: Path) -> None:
    asked = queries(file, WINDOW)
    empty = [query.where for query in asked if not numbers(prometheus, query)]
    assert asked
    assert empty == []


def numbers(prometheus: Prometheus, query: Query) -> list[float]:
    """The values of a question's series that are numbers."""
    values = [float(each["value"][1]) for each in prometheus.query(query.expression)]
    return [value for value in values if math.isfinite(value)]


@pytest.mark.parametrize("name", alerts())
def test_an_alert_has_the_series_it_judges_by(prometheus: Prometheus, name: str) -> None:
    metrics = metrics_of(alerts()[name]["expr"])
    assert metrics
    assert [metric for metric in metrics if not prometheus.query(metric)] == []


def test_a_station_that_is_well_is_left_alone(prometheus: Prometheus) -> None:
    assert prometheus.query("vector(1)")
    assert prometheus.alerts() == {}
