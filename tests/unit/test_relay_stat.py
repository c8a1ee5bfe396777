"""nginx-rtmp's health page as values."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.relay.stat import StreamStat, fetch_stat, parse_stat

PAGE = b"""<?xml version="1.0" encoding="utf-8" ?>
<rtmp><nginx_version>1.22.1</nginx_version><uptime>12</uptime><bw_in>2504</bw_in>
<server><application><name>live</name><live>
<stream><name>main</name><time>8123</time><bw_in>2521000</bw_in><bytes_in>2560000</bytes_in>
<client><id>1</id></client><nclients>2</nclients><publishing/><active/></stream>
<stream><name>gone</name><time>50</time><bw_in>0</bw_in><bytes_in>0</bytes_in>
<nclients>1</nclients></stream>
<nclients>3</nclients></live></application></server></rtmp>"""


def test_streams_are_read_with_their_units() -> None:
    stat = parse_stat(PAGE)
    assert stat.uptime_s == 12
    assert stat.stream("main") == StreamStat("main", True, 2560000, 2521000, 2, 8.123)
    gone = stat.stream("gone")
    assert gone is not None
    assert not gone.publishing
    assert stat.stream("other") is None


@pytest.mark.parametrize(
    "page", [b"", b"<html></html>", b"<rtmp>", b"<rtmp><uptime>x</uptime></rtmp>"]
)
def test_anything_else_is_a_value_error(page: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_stat(page)


@given(st.binary(max_size=300))
def test_no_page_can_raise_anything_but_a_value_error(page: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_stat(page)


def test_a_closed_port_is_an_os_error_and_a_wrong_address_a_value_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            fetch_stat(f"http://127.0.0.1:{taken.getsockname()[1]}/stat", 1.0)
    with pytest.raises(ValueError, match="http://"):
        fetch_stat("rtmp://127.0.0.1/live", 1.0)
