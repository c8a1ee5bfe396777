"""How often a caller may ask, in virtual time."""

from __future__ import annotations

import pytest

from broadcaster.access.rates import RateLimit, address_group


def test_a_minutes_worth_may_come_at_once_and_then_at_the_rate() -> None:
    limit = RateLimit(60)
    assert [limit.wait_s("a", 0.0) for _ in range(60)] == [0] * 60
    assert limit.wait_s("a", 0.0) == 1
    assert limit.wait_s("a", 0.9) == 1
    assert limit.wait_s("a", 1.0) == 0
    assert limit.wait_s("a", 1.0) == 1


def test_who_waits_as_told_is_let_in() -> None:
    limit = RateLimit(6)
    for _ in range(6):
        limit.wait_s("a", 100.0)
    wait_s = limit.wait_s("a", 100.0)
    assert wait_s == 10
    assert limit.wait_s("a", 100.0 + wait_s) == 0


def test_in_the_long_run_nobody_gets_more_than_the_rate() -> None:
    limit = RateLimit(600)
    let_in = sum(limit.wait_s("a", tick / 100) == 0 for tick in range(100 * 60 * 10))
    assert let_in == pytest.approx(600 * 10 + 600, abs=1)


def test_callers_do_not_share_a_limit() -> None:
    limit = RateLimit(1)
    assert limit.wait_s("a", 0.0) == 0
    assert limit.wait_s("a", 0.0) > 0
    assert limit.wait_s("b", 0.0) == 0


def test_nought_is_no_limit() -> None:
    limit = RateLimit(0)
    assert {limit.wait_s("a", 0.0) for _ in range(10_000)} == {0}
    assert len(limit) == 0


def test_a_million_callers_are_not_remembered() -> None:
    limit = RateLimit(1, callers=100)
    for number in range(10_000):
        assert limit.wait_s(f"c{number}", 0.0) == 0
    assert len(limit) == 100
    assert limit.wait_s("c9999", 0.0) > 0, "the newest are known"


def test_who_keeps_asking_is_not_forgotten_for_those_who_asked_once() -> None:
    limit = RateLimit(1, callers=10)
    limit.wait_s("busy", 0.0)
    for number in range(1000):
        limit.wait_s(f"c{number}", 0.0)
        assert limit.wait_s("busy", 0.0) > 0


@pytest.mark.parametrize(
    ("address", "group"),
    [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"),
     ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"), ("x", "x")],
)  # fmt: skip
def test_addresses_of_one_household_are_one_caller(address: str, group: str) -> None:
    assert address_group(address) == group
