"""The real API under the real gunicorn, on a port of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel

Answer = tuple[int, dict[str, str], Any]


class ApiServer:
    """Starts gunicorn as the supervisor does, with the state folder ``root``."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.paths = StatePaths(root)
        self.paths.make()
        document = SettingsModel().model_dump(mode="json")
        document["station"]["state_dir"] = str(root)
        document["relay"]["mode"] = "none"
        for section, values in settings.items():
            if isinstance(values, dict):
                document[section].update(values)
            else:
                document[section] = values
        self.paths.resolved_settings.write_text(json.dumps(document))
        self.settings_file = self.paths.resolved_settings
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, prefix: tuple[str, ...] = ()) -> ApiServer:
        self.listener.listen(512)
        os.set_inheritable(self.listener.fileno(), True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path.cwd()),
            "BROADCASTER_SETTINGS_JSON": str(self.settings_file),
            "PROMETHEUS_MULTIPROC_DIR": str(self.paths.metrics),
        }
        environment.pop("BROADCASTER_PARENT_PID", None)
        self.process = subprocess.Popen(
            [
                *prefix,
                *(sys.executable, "-m", "gunicorn", "--bind", f"fd://{self.listener.fileno()}"),
                *("--worker-class", "broadcaster.api.worker.PatientWorker"),
                *("--workers", "1", "--threads", "16", "--keep-alive", "5"),
                *("--graceful-timeout", "2", "--log-level", "warning", "--no-control-socket"),
                "broadcaster.api.app:create_app()",
            ],
            env=environment,
            pass_fds=(self.listener.fileno(),),
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                if self.get("/healthz", timeout_s=1)[0] == 200:
                    return self
            except OSError:
                pass
            assert self.process.poll() is None, "gunicorn ended"
            assert time.monotonic() < deadline, "the API did not come up"
            time.sleep(0.05)

    def worker_pid(self) -> int:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
        self.listener.close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 20,
        chunked: bool = False,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=chunked)
            response = connection.getresponse()
            data = response.read()
            kind = response.headers.get_content_type()
            parsed = json.loads(data) if kind.endswith("json") else data.decode("utf-8", "replace")
            return response.status, dict(response.headers), parsed
        finally:
            connection.close()

    def get(self, path: str, timeout_s: float = 20) -> Answer:
        return self.request("GET", path, timeout_s=timeout_s)

    def post_file(
        self, content: bytes, name: str = "voice.wav", fields: dict[str, str] | None = None
    ) -> Answer:
        body, kind = form(content, name, fields or {})
        return self.request("POST", "/generate_video", body, {"Content-Type": kind})


def form(
    content: bytes | None, name: str, fields: dict[str, str], part: str = "audio_file"
) -> tuple[bytes, str]:
    """A multipart body and its content type."""
    boundary = uuid.uuid4().hex
    parts = []
    for key, value in fields.items():
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'.encode()
        )
        parts.append(value.encode() + b"\r\n")
    if content is not None:
        head = (
            f"--{boundary}\r\nContent-Disposition: form-data; "
            f'name="{part}"; filename="{name}"\r\n\r\n'
        )
        parts += [head.encode(), content, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"
