"""A real Chromium without a screen, driven over its debugging pipe: no driver, no extra package.

The pipe speaks the DevTools protocol: JSON messages that end with a zero byte, on descriptors 3
(to the browser) and 4 (from it).
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--mute-audio", "--disable-dev-shm-usage", "--no-proxy-server",
)  # fmt: skip
UNMUTED = "--autoplay-policy=no-user-gesture-required"
ANSWER_S = 20.0
POLL_S = 0.02


def find_chromium() -> str | None:
    """The program, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One tab."""

    def __init__(self, browser: Chromium, target: str) -> None:
        self._browser, self._target = browser, target
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.console: list[str] = []
        browser.listen(self._session, self._heard)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def open(self, url: str, width: int = 1280, height: int = 800) -> None:
        """Go there; returns when the navigation has begun, not when everything is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self.call("Page.navigate", url=url)

    def run(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:600])
        return answer["result"].get("value")

    def wait(self, expression: str, timeout_s: float, what: str = "") -> float:
        """Poll until the expression is true; returns the seconds it took."""
        begun = time.monotonic()
        while True:
            with suppress(RuntimeError):  # the page is just being replaced
                if self.run(expression):
                    return time.monotonic() - begun
            if time.monotonic() - begun > timeout_s:
                raise TimeoutError(f"not within {timeout_s:g} s: {what or expression}")
            time.sleep(POLL_S)

    def screenshot(self, file: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _heard(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled":
            self.console.append(str([a.get("value") for a in params["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"])[:400])
        elif method == "Log.entryAdded":
            self.console.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


class Chromium:
    """The browser process and its pipe."""

    def __init__(self, program: str, flags: Sequence[str] = ()) -> None:
        self.profile = Path(tempfile.mkdtemp(prefix="chromium-"))
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={self.profile}", *flags, "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *command],
            pass_fds=(to_read, to_write), start_new_session=True,
            env={**os.environ, "TMPDIR": str(self.profile)},  # killed, it leaves its folders
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._listeners: dict[str, Any] = {}
        threading.Thread(target=self._receive, daemon=True).start()

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answers = self._answers[number] = queue.Queue()
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        try:
            answer = answers.get(timeout=ANSWER_S)
        except queue.Empty:
            raise TimeoutError(f"Chromium does not answer {method}") from None
        finally:
            del self._answers[number]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def listen(self, session: str, listener: Any) -> None:
        self._listeners[session] = listener

    def new_page(self) -> Page:
        return Page(self, self.call("Target.createTarget", url="about:blank")["targetId"])

    def kill(self) -> None:
        """As a crash would: no goodbye to any server."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        self.kill()
        for handle in (self._write, self._read):
            with suppress(OSError):
                os.close(handle)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _receive(self) -> None:
        pending = b""
        with suppress(OSError):
            while data := os.read(self._read, 1 << 20):
                *messages, pending = (pending + data).split(b"\0")
                for each in messages:
                    self._take(json.loads(each))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            waiting = self._answers.get(message["id"])
            if waiting is not None:
                waiting.put(message)
        elif message.get("sessionId") in self._listeners:
            self._listeners[message["sessionId"]](message["method"], message["params"])


@contextmanager
def chromium(*flags: str) -> Iterator[Chromium]:
    program = find_chromium()
    assert program is not None, "chromium is not installed"
    made = Chromium(program, flags)
    try:
        yield made
    finally:
        made.close()
