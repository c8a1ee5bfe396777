"""Web pages from elsewhere: recognised by what browsers cannot leave out."""

from __future__ import annotations

import pytest

from broadcaster.access.origin import known_host, may_change

OWN = {"tv.example.com"}


@pytest.mark.parametrize(
    "host",
    [None, "", "127.0.0.1:11001", "127.0.0.1", "[::1]:11001", "localhost:11001", "LocalHost",
     "page.localhost", "192.168.1.2:80", "tv.example.com", "TV.example.com:8443", "broadcaster:80",
     "x"],
)  # fmt: skip
def test_an_address_and_our_own_names_are_known(host: str | None) -> None:
    assert known_host(host, OWN)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:11001", "tv.example.com.evil.example",
     "localhost.evil.example", "[::1", "[x]", "1.2.3", "a.127.0.0.1", ":", "@"],
)  # fmt: skip
def test_a_name_that_leads_here_by_rebinding_is_not(host: str) -> None:
    assert not known_host(host, OWN)


@pytest.mark.parametrize(
    ("origin", "site", "host"),
    [
        (None, None, "127.0.0.1:11001"),  # curl
        (None, "none", "127.0.0.1:11001"),
        (None, "same-origin", "127.0.0.1:11001"),
        ("http://127.0.0.1:11001", "same-origin", "127.0.0.1:11001"),
        ("http://localhost:11001", None, "LOCALHOST:11001"),
        ("https://tv.example.com", None, "127.0.0.1:11001"),  # a proxy that hides its name
    ],
)
def test_our_own_page_and_programs_may_change_things(
    origin: str | None, site: str | None, host: str
) -> None:
    assert may_change(origin, site, host, OWN)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("http://evil.example", "cross-site"),
        ("http://evil.example", None),
        ("null", None),
        ("", None),
        ("http://127.0.0.1:8000", "same-site"),  # another program's page on this machine
        ("http://127.0.0.1", None),
        ("http://127.0.0.1:11001.evil.example", None),
        ("http://[", None),
        (None, "cross-site"),
        (None, "same-site"),
    ],
)
def test_a_page_from_elsewhere_may_not(origin: str | None, site: str | None) -> None:
    assert not may_change(origin, site, "127.0.0.1:11001", OWN)
