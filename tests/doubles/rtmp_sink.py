"""An RTMP ingest of our own: records every message of many sessions and misbehaves on request."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.doubles import rtmp_chunks as rtmp

_STATUS_TEXT = {"NetStream.Publish.BadName": "Already publishing"}


@dataclass(frozen=True, slots=True)
class Received:
    """One media message: ``arrival`` is the sink's monotonic clock when its last byte came."""

    arrival: float
    kind: int
    timestamp: int
    body: bytes

    @property
    def is_header(self) -> bool:
        return self.kind in (rtmp.AUDIO, rtmp.VIDEO) and len(self.body) > 1 and self.body[1] == 0

    @property
    def is_idr(self) -> bool:
        return self.kind == rtmp.VIDEO and self.body[0] == 0x17 and self.body[1] == 1


@dataclass(slots=True)
class SinkSession:
    accepted: float
    app: str = ""
    key: str = ""
    published: float | None = None
    ended: float | None = None
    end: str = ""
    """"unpublish" (deleteStream or FCUnpublish came), "eof", "error: ..." or "cut" by the sink."""
    messages: list[Received] = field(default_factory=list)

    def first_idr(self) -> Received | None:
        return next((m for m in list(self.messages) if m.is_idr), None)


class RtmpSink:
    """Use as a context manager; ``url(key)`` is where to push. Faults are plain attributes."""

    def __init__(self, port: int = 0, receive_buffer: int | None = None) -> None:
        self.refuse_with: str | None = None
        self.bytes_per_s: float | None = None
        self.receive_buffer = receive_buffer
        self.sessions: list[SinkSession] = []
        self.accepts: list[float] = []
        self.last_byte_at = 0.0
        self._reading = threading.Event()
        self._reading.set()
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = port

    def __enter__(self) -> RtmpSink:
        self.listen()
        return self

    def __exit__(self, *exc: object) -> None:
        self._reading.set()
        self.bytes_per_s = None
        self.stop_listening()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def url(self, key: str = "key") -> str:
        return f"rtmp://127.0.0.1:{self.port}/live/{key}"

    # faults

    def listen(self) -> float:
        """Open the port (again, the same one); returns when, on the monotonic clock."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.receive_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer // 2)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(16)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._spawn(self._accept, listener)
        return time.monotonic()

    def stop_listening(self) -> None:
        """Close the port; sessions that are open stay."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def stop_reading(self) -> None:
        self._reading.clear()

    def read_again(self) -> None:
        self._reading.set()

    def cut(self, *, reset: bool = False) -> None:
        """End every session now, by FIN or (``reset``) by RST."""
        with self._changed:
            sockets = list(self._sockets)
        for connection in sockets:
            with contextlib.suppress(OSError):
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    connection.close()
                else:
                    connection.shutdown(socket.SHUT_RDWR)

    # what came

    def wait_for(self, what: Callable[[RtmpSink], bool], timeout_s: float) -> bool:
        """True once ``what(self)``; looked at after each message."""
        with self._changed:
            return self._changed.wait_for(lambda: what(self), timeout_s)

    def published(self) -> list[SinkSession]:
        return [s for s in list(self.sessions) if s.published is not None]

    def wait_for_idr(self, sessions: int, timeout_s: float) -> SinkSession:
        """The ``sessions``-th accepted publish, once its first IDR is here."""

        def arrived(sink: RtmpSink) -> bool:
            good = sink.published()
            return len(good) >= sessions and good[sessions - 1].first_idr() is not None

        if not self.wait_for(arrived, timeout_s):
            raise AssertionError(f"no IDR in session {sessions} within {timeout_s} s")
        return self.published()[sessions - 1]

    # inside

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                self.accepts.append(time.monotonic())
                self._sockets.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = SinkSession(accepted=time.monotonic())
        with self._changed:
            self.sessions.append(session)
        reason = "eof"
        try:
            _Publisher(self, connection, session).run()
        except (EOFError, _Over) as end:
            reason = str(end) or "eof"
        except OSError as error:
            reason = f"error: {error.strerror or error}"
        with self._changed:
            session.ended = time.monotonic()
            session.end = session.end or reason
            self._sockets.discard(connection)
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            connection.close()

    def record(self, session: SinkSession, received: Received) -> None:
        with self._changed:
            session.messages.append(received)
            self._changed.notify_all()

    def mark(self, session: SinkSession, *, published: bool = False, end: str = "") -> None:
        with self._changed:
            if published:
                session.published = time.monotonic()
            session.end = session.end or end
            self._changed.notify_all()

    def may_read(self) -> None:
        self._reading.wait()


class _Over(Exception):
    """The dialogue ended in an orderly way."""


class _Publisher:
    """The server's side of one connection."""

    def __init__(self, sink: RtmpSink, connection: socket.socket, session: SinkSession) -> None:
        self._sink, self._connection, self._session = sink, connection, session
        self._buffer = bytearray()

    def run(self) -> None:
        c0_c1 = self._read(1537)
        s1 = struct.pack(">II", 0, 0) + bytes(1528)
        self._connection.sendall(b"\x03" + s1 + c0_c1[1:])
        self._read(1536)
        reader = rtmp.ChunkReader(self._read)
        while True:
            message = reader.next_message()
            if message.kind in (rtmp.AUDIO, rtmp.VIDEO, rtmp.DATA):
                received = Received(time.monotonic(), message.kind, message.timestamp, message.body)
                self._sink.record(self._session, received)
            elif message.kind == rtmp.COMMAND:
                self._command(rtmp.amf_values(message.body))

    def _read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._sink.may_read()
            rate = self._sink.bytes_per_s
            want = 65536 if rate is None else max(1, int(rate / 20))
            data = self._connection.recv(want)
            if not data:
                raise EOFError
            self._sink.last_byte_at = time.monotonic()
            if rate is not None:
                time.sleep(len(data) / rate)
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _command(self, values: list[object]) -> None:
        name, transaction = values[0], values[1]
        if name == "connect":
            connect = values[2]
            assert isinstance(connect, dict)
            self._session.app = str(connect.get("app", ""))
            self._send(2, rtmp.WINDOW_ACK_SIZE, struct.pack(">I", 2_500_000))
            self._send(2, rtmp.PEER_BANDWIDTH, struct.pack(">IB", 2_500_000, 2))
            self._send(2, rtmp.SET_CHUNK_SIZE, struct.pack(">I", 4096))
            status = {"level": "status", "code": "NetConnection.Connect.Success"}
            self._call("_result", transaction, {"fmsVer": "FMS/3,0,1,123"}, status)
        elif name == "createStream":
            self._call("_result", transaction, None, 1)
        elif name == "publish":
            self._publish(str(values[3]))
        elif name in ("deleteStream", "closeStream", "FCUnpublish"):
            self._sink.mark(self._session, end="unpublish")
            if name == "deleteStream":
                raise _Over("unpublish")

    def _publish(self, key: str) -> None:
        self._session.key = key
        code = self._sink.refuse_with or "NetStream.Publish.Start"
        level = "error" if self._sink.refuse_with else "status"
        text = _STATUS_TEXT.get(code, code)
        status = {"level": level, "code": code, "description": text}
        body = rtmp.amf("onStatus", 0, None, status)
        self._connection.sendall(rtmp.message(5, rtmp.COMMAND, body, 1))
        if level == "error":
            self._sink.mark(self._session, end="refused")
        else:
            self._sink.mark(self._session, published=True)

    def _call(self, *values: object) -> None:
        self._send(3, rtmp.COMMAND, rtmp.amf(*values))

    def _send(self, csid: int, kind: int, body: bytes) -> None:
        self._connection.sendall(rtmp.message(csid, kind, body))
