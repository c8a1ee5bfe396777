"""A playout without pictures: the real control socket and protocol, a clock of its own.

It "plays" a task at ``speed`` times real time, or only when told (``speed=0`` and ``advance``).
Faults are switched on by name: ``die``, ``hang``, ``refuse``. ``said`` records every sample that
was heard, across deaths, as (task, from, to).
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broadcaster.wire import LineReader, Message, encode, listen

STEP_S = 0.02


@dataclass
class Playing:
    task_id: str
    samples: int
    at: int
    pcm: str
    started: bool = False
    told: int = 0


@dataclass
class FakeDestination:
    name: str = "relay"
    state: str = "on_air"
    last_idr_age_s: float | None = 0.5
    last_error: str = ""

    def report(self) -> Message:
        return {
            "name": self.name,
            "state": self.state,
            "last_error": self.last_error,
            "since_s": 1.0,
            "url": "rtmp://127.0.0.1/live/***",
            "last_idr_age_s": self.last_idr_age_s,
            "session_age_s": 10.0,
            "restarts": 0,
        }


@dataclass
class FakePlayout:
    path: Path
    channels: tuple[str, ...] = ("main",)
    sample_rate: int = 48_000
    speed: float = 50.0
    late_ms: float = 0.1
    remembers_ended: bool = False
    destinations: list[FakeDestination] = field(default_factory=lambda: [FakeDestination()])
    plays: list[Message] = field(default_factory=list)
    interrupts: list[Message] = field(default_factory=list)
    said: list[tuple[str, int, int]] = field(default_factory=list)
    status_asked: int = 0
    root: str = ""
    """Where the studio's files are seen from here, if it has a view of its own."""
    avatars: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._refusals: list[str] = []
        self._hanging = False
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self.held: dict[str, list[Playing]] = {}
        self._ended: dict[str, list[Message]] = {}

    # --- what tests do to it -------------------------------------------------------------------

    def start(self) -> FakePlayout:
        """Begin to serve, with nothing on air."""
        self.held = {name: [] for name in self.channels}
        self._ended = {name: [] for name in self.channels}
        self._stop = threading.Event()
        server = listen(self.path)
        self._thread = threading.Thread(target=self._run, args=(server, self._stop), daemon=True)
        self._thread.start()
        return self

    def die(self) -> None:
        """End as SIGKILL would: connections break, everything on air is forgotten."""
        assert self._stop is not None
        assert self._thread is not None
        self._stop.set()
        self._thread.join(5)
        self._stop = None

    def hang(self, hanging: bool = True) -> None:
        """Keep the connections, answer nothing."""
        self._hanging = hanging

    def refuse(self, *errors: str) -> None:
        """Answer the next ``play`` requests with these errors."""
        self._refusals.extend(errors)

    def advance(self, seconds: float) -> None:
        """Let time pass for what is on air (with ``speed=0``)."""
        with self._lock:
            self._step(int(seconds * self.sample_rate))

    def close(self) -> None:
        """End it if it still runs."""
        if self._stop is not None:
            self.die()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> FakePlayout:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what it does --------------------------------------------------------------------------

    def _run(self, server: socket.socket, stop: threading.Event) -> None:
        self._selector = selectors.DefaultSelector()
        self._subscribers: list[socket.socket] = []
        readers: dict[socket.socket, LineReader] = {}
        server.setblocking(False)
        self._selector.register(server, selectors.EVENT_READ)
        last = time.monotonic()
        while not stop.is_set():
            ready = [key.fileobj for key, _ in self._selector.select(STEP_S)]
            now = time.monotonic()
            if self._hanging:
                time.sleep(STEP_S)
                last = now
                continue
            with self._lock:
                self._step(int((now - last) * self.speed * self.sample_rate))
            last = now
            for each in ready:
                if each is server:
                    client, _ = server.accept()
                    readers[client] = LineReader()
                    self._selector.register(client, selectors.EVENT_READ)
                elif isinstance(each, socket.socket):
                    self._serve(each, readers)
        for client in readers:
            client.close()
        server.close()
        self._selector.close()

    def _serve(self, client: socket.socket, readers: dict[socket.socket, LineReader]) -> None:
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(client)
            readers.pop(client)
            if client in self._subscribers:
                self._subscribers.remove(client)
            client.close()
            return
        for request in readers[client].feed(data):
            with self._lock, contextlib.suppress(OSError):
                if request["op"] == "subscribe":
                    self._subscribers.append(client)
                    client.sendall(encode({"ok": True}))
                else:
                    client.sendall(encode(self._answer(request)))

    def _answer(self, request: Message) -> Message:
        match request["op"]:
            case "status":
                self.status_asked += 1
                return {
                    "ok": True,
                    "ticks": 1000,
                    "late_ms": self.late_ms,
                    "channels": [self._channel(name) for name in self.channels],
                }
            case "play":
                return self._play(request)
            case "interrupt":
                self.interrupts.append(request)
                return {"ok": True, "task_id": self._interrupt(request)}
            case "withdraw":
                return {"ok": self._withdraw(request)}
        return {"ok": False, "error": "unknown op"}

    def _channel(self, name: str) -> Message:
        held = self.held[name]
        report: Message = {
            "name": name,
            "source": "task" if held and held[0].started else "idle",
            "task_id": held[0].task_id if held else None,
            "played_samples": held[0].at if held else 0,
            "live_video": bool(held),
            "idle": {"name": "idle", "state": "card", "last_error": "", "since_s": 1.0},
            "encoder": {"name": "x264", "idle_path": "spliced", "note": ""},
            "destinations": [each.report() for each in self.destinations],
        }
        if name in self.avatars:
            shown = {"name": self.avatars[name], "version": "1", "engine": "photo"}
            report["avatar"] = {"on_air": shown, "next": None, "state": "on_air", "error": ""}
        if self.remembers_ended:
            report["ended"] = self._ended[name]
        return report

    def _play(self, request: Message) -> Message:
        self.plays.append(request)
        if self._refusals:
            return {"ok": False, "error": self._refusals.pop(0)}
        held = self.held.get(request["channel"])
        if held is None:
            return {"ok": False, "error": "no such channel"}
        if any(each.task_id == request["task_id"] for each in held):
            return {"ok": True}
        if request.get("held_only") or len(held) >= 2:
            return {"ok": False, "error": "gone" if request.get("held_only") else "busy"}
        if Path(self.root + request["pcm"]).stat().st_size != request["samples"] * 4:
            return {"ok": False, "error": "no such sound"}
        held.append(
            Playing(request["task_id"], request["samples"], request["from_sample"], request["pcm"])
        )
        return {"ok": True}

    def _interrupt(self, request: Message) -> str | None:
        wanted = request.get("task_id")
        for each in self.held.get(request["channel"], []):
            if wanted in (None, each.task_id):
                self.held[request["channel"]].remove(each)
                self._tell("interrupted", request["channel"], each)
                return each.task_id
        return None

    def _withdraw(self, request: Message) -> bool:
        for each in self.held.get(request["channel"], []):
            if each.task_id == request["task_id"] and not each.started:
                self.held[request["channel"]].remove(each)
                return True
        return False

    def _step(self, samples: int) -> None:
        for channel, held in self.held.items():
            left = samples
            while held and (left > 0 or not held[0].started):
                playing = held[0]
                if not playing.started:
                    playing.started = True
                    playing.told = playing.at
                    self._tell("started", channel, playing)
                begin = playing.at
                playing.at = min(playing.samples, playing.at + left)
                left -= playing.at - begin
                self.said.append((playing.task_id, begin, playing.at))
                while playing.at - playing.told >= self.sample_rate:
                    playing.told += self.sample_rate
                    self._tell("progress", channel, playing, playing.told)
                if playing.at < playing.samples:
                    break
                held.pop(0)
                self._tell("done", channel, playing)

    def _tell(self, kind: str, channel: str, playing: Playing, played: int | None = None) -> None:
        event: dict[str, Any] = {
            "event": kind,
            "channel": channel,
            "task_id": playing.task_id,
            "played_samples": playing.at if played is None else played,
            "at_tick": playing.at * 25 // self.sample_rate,
            "error": "",
        }
        if kind in {"done", "interrupted", "failed"}:
            self._ended[channel].append({k: v for k, v in event.items() if k != "channel"})
        for client in list(getattr(self, "_subscribers", [])):
            with contextlib.suppress(OSError):
                client.sendall(encode(event))

    def heard(self, task_id: str) -> list[tuple[int, int]]:
        """The stretches of a task that were heard, joined where they meet."""
        joined: list[tuple[int, int]] = []
        for name, begin, end in self.said:
            if name != task_id or begin == end:
                continue
            if joined and joined[-1][1] == begin:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((begin, end))
        return joined
