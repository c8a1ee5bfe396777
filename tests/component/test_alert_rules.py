"""Alert rules and dashboards as Prometheus's own tool judges them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.oracles.dashboards import CONFIG, FILES, alerts, queries

CASES = Path(__file__).parents[1] / "fixtures" / "alerts_test.yml"


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *words], check=False, capture_output=True, text=True, timeout=60
    )


def test_the_shipped_configuration_is_valid() -> None:
    done = promtool("check", "config", CONFIG / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(alerts())} rules found" in done.stdout


def test_every_alert_fires_and_clears_on_made_up_series() -> None:
    done = promtool("test", "rules", CASES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", alerts())
def test_an_alert_has_a_case_that_fires_and_a_later_one_that_is_quiet(name: str) -> None:
    rounds = []
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        samples = [str(asked["exp_samples"]) for asked in case.get("promql_expr_test", [])]
        firing = [f'alertname="{name}"' in each for each in samples]
        rounds.append(True in firing and not firing[-1])
    assert any(rounds)


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert "{{" in rule["annotations"]["summary"], "which station, channel or role"
    assert len(rule["annotations"]["description"]) > 80


def test_every_question_of_the_dashboards_is_valid(tmp_path: Path) -> None:
    asked = [query for file in FILES for query in queries(file)]
    rules = [{"record": f"panel:{n}", "expr": q.expression} for n, q in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(asked)} rules found" in done.stdout
