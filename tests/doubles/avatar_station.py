"""The real API and the real studio on one state folder, for avatars."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broadcaster.avatars.shelf import Shelf
from broadcaster.store.avatars import AvatarJournal
from broadcaster.studio.doorbell import ring
from tests.doubles.api_server import Answer, ApiServer, form


def until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


class AvatarStation:
    """Sound only: nobody renders, so that a studio is there at once."""

    def __init__(self, root: Path, *, pool: dict[str, Any] | None = None, **avatars: Any) -> None:
        settings = {"make_timeout_s": 60.0, "models": str(root.parent / "no-models"), **avatars}
        channels = [{"name": "main", "avatar": "none"}]
        callbacks = {"allow": ["127.0.0.1"]}
        self.api = ApiServer(
            root, channels=channels, avatars=settings, callbacks=callbacks, pool=pool or {}
        )
        self.paths = self.api.paths
        self.shelf = Shelf(self.paths.avatars)
        self.journal = AvatarJournal(self.paths.database, 100)
        self.process: subprocess.Popen[bytes] | None = None

    def start_studio(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        environment.pop("BROADCASTER_PARENT_PID", None)
        command = [sys.executable, "-m", "broadcaster.studio"]
        command += ["--settings", str(self.paths.resolved_settings)]
        self.process = subprocess.Popen(command, env=environment)
        until(self.paths.doorbell.exists, "the studio's doorbell")

    def kill_studio(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.paths.doorbell.unlink(missing_ok=True)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill_studio()
        self.api.close()
        self.journal.close()

    def post(self, content: bytes, file_name: str = "a.jpg", **fields: str) -> Answer:
        body, kind = form(content, file_name, fields, part="file")
        return self.api.request("POST", "/avatars", body, {"Content-Type": kind})

    def get(self, name: str) -> Any:
        return self.api.get(f"/avatars/{name}")[2]

    def ended(self, name: str) -> Any:
        """An avatar once nobody makes it any more."""
        until(lambda: self.get(name)["state"] != "making", f"{name} is made or has failed")
        return self.get(name)

    def put(self, path: str, document: Any) -> Answer:
        kind = {"Content-Type": "application/json"}
        return self.api.request("PUT", path, json.dumps(document), kind)

    def delete(self, name: str) -> int:
        return self.api.request("DELETE", f"/avatars/{name}")[0]

    def ring(self) -> None:
        ring(self.paths.doorbell)

    def left(self) -> list[str]:
        """What lies about that belongs to no avatar: uploads, drafts."""
        folders = [
            self.paths.spool / "incoming",
            self.paths.avatars / ".uploads",
            self.paths.avatars / ".drafts",
        ]
        return [str(each) for folder in folders if folder.is_dir() for each in folder.iterdir()]
