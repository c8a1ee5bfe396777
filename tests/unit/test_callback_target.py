"""Where a callback may go: every way to write a private address is refused."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.callbacks.target import (
    Allowed,
    literal_address,
    read_target,
    screen,
    why_refused,
)
from broadcaster.errors import CallbackRefused

NOBODY = Allowed()

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.16.0.1", "192.168.1.1",
    "100.64.0.1", "169.254.169.254", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2001:0:1::1",
    "2001:db8::1", "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "ff0e::1", "100::1",
    "3fff::1", "5f00::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert address in why_refused(parsed, NOBODY) or str(parsed) in why_refused(parsed, NOBODY)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(CallbackRefused, match="not allowed"):
        screen(f"http://{host}/hook", NOBODY)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not(address: str) -> None:
    assert why_refused(ipaddress.ip_address(address), NOBODY) == ""
    host = f"[{address}]" if ":" in address else address
    assert screen(f"https://{host}:8443/hook", NOBODY).port == 8443


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0x7f.1", "0177.0.0.1",
     "0x7f.0.0.0x1", "127.0.0.1.", "0", "0x", "3232235777", "[::ffff:7f00:1]", "127.0.0.01"],
)  # fmt: skip
def test_an_address_in_disguise_is_refused(host: str) -> None:
    with pytest.raises(CallbackRefused):
        screen(f"http://{host}/", NOBODY)


@given(
    st.lists(
        st.sampled_from(["0", "1", "127", "010", "0x7f", "255", "256", "65535", "08", "0x"]),
        min_size=1,
        max_size=5,
    )
)
def test_old_forms_are_read_as_the_c_library_reads_them(pieces: list[str]) -> None:
    host = ".".join(pieces)
    try:
        expected = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        expected = None
    try:
        found = literal_address(host)
    except CallbackRefused:
        found = None
    # Where we read more than the C library does (an empty 0x), it is refused or 0 all the same.
    if expected is not None or "0x" not in pieces:
        assert found == expected


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "metadata.google.internal"]
)
def test_names_of_this_machine_and_of_clouds_are_refused(host: str) -> None:
    with pytest.raises(CallbackRefused, match="this machine or its network"):
        screen(f"http://{host}/", NOBODY)


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
     "http://", "http:///x", "http://:80/", "https://user@example.com/", "https://u:p@example.com/",
     "https://@example.com/", "http://example.com:0/", "http://example.com:65536/",
     "http://example.com:x/", "http://exa mple.com/", "http://example.com/\r\nX: y",
     "http://example.com/\tx", "http://exämple.com/", "http://１２７.0.0.1/", "http://example.com\\@x/",
     "http://[::1/", "http://[zz]/", "http://-a.com/", "http://a..b/", "http://a%2eb/", "http://*/",
     "http://999.1.1.1/", "http://1.2.3.4.5/", "http://[fe80::1%25eth0]/",
     "https://example.com/" + "x" * 2048],
)  # fmt: skip
def test_what_is_no_address_to_call_is_refused(url: str) -> None:
    with pytest.raises(CallbackRefused):
        screen(url, NOBODY)


def test_a_url_is_taken_apart_once() -> None:
    target = read_target("https://Hooks.Example.com/a/b?c=d#e")
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.com", 443)
    assert target.path == "/a/b?c=d"
    assert target.place == "https://hooks.example.com"
    assert read_target("http://example.com:8080").authority == "example.com:8080"
    assert read_target("http://[2606:4700::1]:81/").authority == "[2606:4700::1]:81"


def test_what_is_allowed_is_exactly_that() -> None:
    allowed = Allowed(["10.0.0.0/8", "192.168.1.5", "fd00::/8", "hooks.lan", "Box.internal"])
    for url in ("http://10.9.9.9/", "http://192.168.1.5/", "http://[fd00::1]/", "http://hooks.lan/",
                "http://box.internal./", "http://[::ffff:10.0.0.1]/"):  # fmt: skip
        assert screen(url, allowed)
    for url in ("http://192.168.1.6/", "http://127.0.0.1/", "http://x.internal/", "http://[::1]/"):
        with pytest.raises(CallbackRefused):
            screen(url, allowed)
