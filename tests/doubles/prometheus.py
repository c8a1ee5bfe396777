"""A real Prometheus on loopback that scrapes one station with given rules; ended by its owner."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.doubles.fake_station import free_port

READY_S = 30.0
POLL_S = 0.1


class Prometheus:
    """Use as a context manager.

    Args:
        target: port of the station's API.
        rules: text of a rules file.
        pace_s: seconds between scrapes, and between looks at the rules.
    """

    def __init__(self, target: int, rules: str, pace_s: int = 1) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="prometheus-"))
        (self._folder / "alerts.yml").write_text(rules)
        (self._folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {pace_s}s, evaluation_interval: {pace_s}s}}\n"
            "rule_files: [alerts.yml]\n"
            "scrape_configs:\n"
            "  - job_name: broadcaster\n"
            f"    scrape_timeout: {pace_s}s\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Prometheus:
        command = [
            "prometheus", f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ]  # fmt: skip
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self.wait(self._ready, "Prometheus is ready", READY_S)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it and delete its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with ``metric`` and ``value``.

        Raises:
            ValueError: the expression is refused.
        """
        words = urllib.parse.urlencode({"query": expression})
        found: list[dict[str, Any]] = self._get(f"/api/v1/query?{words}")["result"]
        return found

    def alerts(self) -> dict[str, list[dict[str, Any]]]:
        """The alerts that are pending or firing, by name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in self._get("/api/v1/alerts")["alerts"]:
            found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        alerts = self.alerts().items()
        return {name for name, each in alerts if any(a["state"] == "firing" for a in each)}

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float) -> float:
        """Seconds until ``condition``; AssertionError when it does not come."""
        begun = time.monotonic()
        while time.monotonic() - begun < timeout_s:
            with contextlib.suppress(OSError):
                if condition():
                    return time.monotonic() - begun
            time.sleep(POLL_S)
        raise AssertionError(f"not within {timeout_s} s: {what}")

    def _ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"it ended: {(self._folder / 'log').read_text()[-2000:]}")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)

    def _get(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as got:
                answer = json.loads(got.read())
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode(errors="replace")) from error
        data: dict[str, Any] = answer["data"]
        return data
