"""A stand-in for a role with programmable faults; run as a program.

It can beat like the playout, answer HTTP like the API or the relay, answer the playout's status,
start a grandchild, die by itself, or ignore SIGTERM.
"""

from __future__ import annotations

import argparse
import http.server
import signal
import sys
import threading
import time
from pathlib import Path

from broadcaster.heartbeat import HeartbeatWriter
from broadcaster.processes import die_with_parent, start_child
from broadcaster.wire import LineReader, encode, listen


def main() -> int:
    options = _options()
    die_with_parent()
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if options.log:
        with options.log.open("a") as log:
            log.write(f"{time.monotonic()}\n")
    if options.grandchild:
        start_child(["sleep", "600"])
    if options.port:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), _Healthy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    if options.status:
        threading.Thread(target=_answer_status, args=(options.status,), daemon=True).start()
    _live(options)
    return options.exit_status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--heartbeat", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--status", type=Path)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--grandchild", action="store_true")
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--live-s", type=float, default=600.0)
    parser.add_argument("--exit-status", type=int, default=0)
    return parser.parse_args()


def _live(options: argparse.Namespace) -> None:
    writer = HeartbeatWriter(options.heartbeat) if options.heartbeat else None
    ticks = 0
    until = time.monotonic() + options.live_s
    while time.monotonic() < until:
        ticks += 1
        if writer:
            writer.beat(ticks, time.monotonic())
        time.sleep(0.04)


def _answer_status(path: Path) -> None:
    relay = {"name": "relay", "last_idr_age_s": 0.1}
    status = {"ok": True, "channels": [{"name": "main", "destinations": [relay]}]}
    server = listen(path)
    while True:
        client, _ = server.accept()
        with client:
            if LineReader().feed(client.recv(65536)):
                client.sendall(encode(status))


class _Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
