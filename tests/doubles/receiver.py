"""A server that is called back: real sockets and TLS, answers and faults as scripted."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HANG = b"hang"
"""Take the request and say nothing."""
DRIP = b"drip"
"""A head that never ends, a byte every 20 ms."""
HUGE = b"huge"
"""200, and a body without end."""
DEAF = b"deaf"
"""Do not even read."""


def redirect(url: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Heard:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Listens until closed; each connection gets the next of ``answers``, and ``OK`` after those.

    ``bytes_sent`` tells how much of a huge answer was taken.
    """

    def __init__(
        self, *answers: bytes, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers = deque(answers)
        self.heard: list[Heard] = []
        self.connections = 0
        self.bytes_sent = 0
        self._tls = tls
        self._ending = threading.Event()
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/hook?key=1"

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            answer = self.answers.popleft() if self.answers else OK
            serving = threading.Thread(target=self._serve, args=(client, answer))
            self._threads.append(serving)
            serving.start()

    def _serve(self, client: socket.socket, answer: bytes) -> None:
        client.settimeout(10)
        with contextlib.suppress(OSError), contextlib.closing(client):
            if answer == DEAF:
                self._ending.wait(20)
                return
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            with contextlib.closing(client):
                self.heard.append(_read(client))
                self._answer(client, answer)

    def _answer(self, client: socket.socket, answer: bytes) -> None:
        if answer == HANG:
            self._ending.wait(20)
        elif answer == DRIP:
            client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not self._ending.wait(0.02):
                client.sendall(b"x")
        elif answer == HUGE:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self._ending.is_set():
                self.bytes_sent += client.send(bytes(65536))
        else:
            client.sendall(answer)


def _read(client: socket.socket) -> Heard:
    with client.makefile("rb") as file:
        line = file.readline().decode().strip()
        headers = {}
        while (field := file.readline().decode().strip()) != "":
            name, _, value = field.partition(": ")
            headers[name] = value
        return Heard(line, headers, file.read(int(headers.get("Content-Length", "0"))))


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for ``names``, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = datetime.datetime.now(tz=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "receiver.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
