"""One attempt: look the host up, judge its addresses, connect to one of them, POST, read a status.

The connection goes to the address that was judged, so a name that changes its mind between look-up
and connection (DNS rebinding) gains nothing. The standard library's client does the talking over a
socket that is opened here. Must never follow a redirect, and never take longer than the two limits
below, beside the look-up, whose limit is the system resolver's.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from broadcaster.callbacks.target import Address, Allowed, Target, why_refused
from broadcaster.errors import CallbackRefused

CONNECT_S = 5.0
"""For all addresses together, an equal share each."""

WHOLE_S = 5.0
"""From connected to the answer's head, however it drips."""

ADDRESSES_AT_MOST = 4
"""Tried in the resolver's order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: delivered, or why not, and whether trying again can help."""

    delivered: bool
    error: str = ""
    hopeless: bool = False


def deliver(
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Allowed,
    trust: ssl.SSLContext,
    whole_s: float = WHOLE_S,
) -> Outcome:
    """POST once.

    Args:
        target: where to.
        body: JSON.
        headers: beside ``Host`` and ``Content-Length``.
        allowed: exceptions for private receivers.
        trust: which certificates are believed; it must check names.
        whole_s: from connected to the answer's head; connecting takes no longer either.
    """
    try:
        connection = _connected(resolve(target, allowed), target, min(CONNECT_S, whole_s))
    except CallbackRefused as error:
        return Outcome(False, str(error), hopeless=True)
    except OSError as error:
        return Outcome(False, _said(error))
    cut = _Cut(connection, whole_s)
    try:
        with cut:
            outcome = _judged(_status(connection, target, body, headers, trust))
    except (OSError, http.client.HTTPException, ValueError) as error:
        outcome = Outcome(False, _said(error))
    # A head that was cut off in the middle can look like a whole one.
    return Outcome(False, f"no answer within {whole_s:g} s") if cut.fired else outcome


def resolve(target: Target, allowed: Allowed) -> list[Address]:
    """The addresses of the target's host.

    Raises:
        CallbackRefused: one of them must not be called, so none is.
        OSError: the host is not known.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("the host name cannot be looked up") from error
    addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]
    if not allowed.name(target.host):
        for address in addresses:
            if why := why_refused(address, allowed):
                raise CallbackRefused(f"{target.host} leads to {why}, which is not allowed")
    return addresses[:ADDRESSES_AT_MOST]


class _Cut:
    """Inside the block: after ``after_s`` the connection is shut down, whatever waits on it."""

    def __init__(self, connection: socket.socket, after_s: float) -> None:
        self._connection = connection
        self._timer = threading.Timer(after_s, self._fire)
        self._timer.daemon = True
        self.fired = False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # or it could shut down a descriptor that is somebody else's by then
        self._connection.close()

    def _fire(self) -> None:
        self.fired = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def _connected(addresses: list[Address], target: Target, timeout_s: float) -> socket.socket:
    """A connection to the first address that takes one.

    Raises:
        OSError: none does.
    """
    last: OSError = OSError("the host has no address")
    for address in addresses:
        try:
            return _connected_to(address, target.port, timeout_s / len(addresses))
        except OSError as error:
            last = error
    raise last


def _connected_to(address: Address, port: int, timeout_s: float) -> socket.socket:
    """Without ``create_connection``, which would look the address up once more.

    Raises:
        OSError: nobody takes it.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect((str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


def _status(
    connection: socket.socket,
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    trust: ssl.SSLContext,
) -> int:
    """Send the request and read the answer's head; its body is not read at all."""
    connection.settimeout(None)  # the cut ends every wait
    http_client = http.client.HTTPConnection(target.host, target.port)
    # A duplicate, so that shutting down the original reaches through TLS, whose wrapper owns it.
    own = connection.dup()
    try:
        if target.scheme == "https":
            own = trust.wrap_socket(own, server_hostname=target.host.rstrip("."))
        http_client.sock = own
        http_client.request("POST", target.path, body, {**headers, "Host": target.authority})
        return http_client.getresponse().status
    finally:
        own.close()
        http_client.close()


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome(True)
    if 300 <= status < 400:
        return Outcome(False, f"answered {status}: redirects are not followed", hopeless=True)
    return Outcome(False, f"answered {status}", hopeless=status == http.client.GONE)


def _said(error: Exception) -> str:
    """Why, in a few words that hold nothing of the URL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return "the host name is not known"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"no HTTP answer ({type(error).__name__})"
