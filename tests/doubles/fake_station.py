"""Runs the real supervisor over stand-in roles, as a process of its own.

``python -m tests.doubles.fake_station '{"state_dir": ..., "roles": [...], ...}'``: each role is
``{"name", "args"}`` for ``fake_role`` plus optional ``watch`` ("heartbeat" or a port), ``limit_s``
and ``stop_by``.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel
from broadcaster.supervisor.main import run_station
from broadcaster.supervisor.role import RoleSpec
from broadcaster.supervisor.watch import HeartbeatWatch, HttpWatch, Watch

REPO = Path(__file__).parents[2]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], deadline_s: float, what: str) -> Any:
    """The first true value of ``condition``; fails after ``deadline_s``."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {deadline_s} s: {what}")


def remove_memory(paths: StatePaths) -> None:
    """Take away what a killed supervisor left in memory (the next station would do it too)."""
    if paths.memory.is_symlink():
        shutil.rmtree(paths.memory.resolve(), ignore_errors=True)


class FakeStation:
    """A started supervisor and what it has told; end it with ``close``."""

    def __init__(
        self,
        state_dir: Path,
        roles: Sequence[dict[str, Any]],
        settings: dict[str, Any] | None = None,
        **popen: Any,
    ) -> None:
        self.paths = StatePaths(state_dir)
        self.settings = {
            "station": {"state_dir": str(state_dir)},
            "api": {"port": free_port()},
            "relay": {"mode": "none"},
            **(settings or {}),
        }
        plan = json.dumps({"settings": self.settings, "roles": list(roles)})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.fake_station", plan],
            cwd=REPO,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen},
        )

    def roster(self) -> dict[str, dict[str, Any]]:
        """The roles as ``roles.json`` has them, by name."""
        try:
            entries = json.loads((self.paths.run / "roles.json").read_text())["roles"]
        except FileNotFoundError:
            return {}
        return {entry["name"]: entry for entry in entries}

    def running(self, name: str, other_than: int | None = None) -> int:
        """The pid of a role once it runs (and is another process than before)."""

        def pid() -> int | None:
            role = self.roster().get(name, {})
            new = role.get("state") == "running" and role["pid"] != other_than
            return role["pid"] if new else None

        return int(wait_for(pid, 15, f"{name} running: {self.roster()}"))

    def output(self) -> tuple[str, str]:
        """Everything it printed; waits for its end."""
        out, err = self.process.communicate(timeout=10)
        return (out or b"").decode(), (err or b"").decode()

    def close(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)
        remove_memory(self.paths)


def main(plan: dict[str, Any]) -> int:
    """Run the station of ``plan``."""
    settings = SettingsModel.model_validate(plan["settings"])

    def roles(_settings: SettingsModel, paths: StatePaths) -> Sequence[RoleSpec]:
        return [_spec(role, paths) for role in plan["roles"]]

    return run_station(settings, roles)


def _spec(role: dict[str, Any], paths: StatePaths) -> RoleSpec:
    argv = [sys.executable, "-m", "tests.doubles.fake_role", *role.get("args", [])]
    watch: Watch | None = None
    limit_s = role.get("limit_s", 8.0)
    if role.get("watch") == "heartbeat":
        watch = HeartbeatWatch(paths.heartbeat, limit_s, 20.0)
        argv += ["--heartbeat", str(paths.heartbeat), "--status", str(paths.playout_socket)]
    elif role.get("watch"):
        watch = HttpWatch("127.0.0.1", role["watch"], "/", 1.0, 1.0, limit_s, 20.0)
        argv += ["--port", str(role["watch"])]
    return RoleSpec(
        role["name"], tuple(role.get("argv", argv)), watch=watch, stop_by=role.get("stop_by", 0.5)
    )


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
