"""The page of a station that wants a token, in a real browser: it asks, keeps it, and sends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broadcaster.access.role import Role
from broadcaster.access.tokens import TokenFile
from broadcaster.clock import wall_time_s
from tests.doubles.api_server import ApiServer
from tests.doubles.chromium import Chromium, Page, chromium, find_chromium

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="chromium is not installed (requirements/setup.sh test)"
)

ASKS = "document.getElementById('token-dialog').open"
NAMES = "[...document.querySelectorAll('.avatar .name')].map(each => each.textContent)"
FETCHED = "[...document.querySelectorAll('.avatar img')].filter(each => each.naturalWidth).length"
USE = "document.querySelector('.avatar button[aria-label=\"Use leon\"]')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    made = ApiServer(tmp_path_factory.mktemp("locked") / "var", api={"access": "tokens"})
    made.start()
    yield made
    made.close()


@pytest.fixture
def page(browser: Chromium, station: ApiServer) -> Iterator[Page]:
    made = browser.new_page()
    made.open(f"http://127.0.0.1:{station.port}/")
    made.wait(ASKS, 20, "the question for a token")
    yield made
    made.close()


def token(station: ApiServer, role: Role) -> str:
    return TokenFile(station.paths.tokens).create(role, role.value, wall_time_s())


def sign_in(page: Page, secret: str) -> None:
    page.run(f"document.getElementById('token').value = '{secret}'")
    page.run("document.getElementById('token-form').requestSubmit()")


def test_nothing_is_shown_before_and_everything_after_it(page: Page, station: ApiServer) -> None:
    assert page.run("document.getElementById('air').textContent") == "LOCKED"
    assert page.run(NAMES) == []
    sign_in(page, token(station, Role.VIEWER))
    page.wait(f"{NAMES}.join() === 'anna,leon' && {FETCHED} === 2", 20, "the shelf")
    page.run("location.reload()")
    page.wait(f"{NAMES}.join() === 'anna,leon'", 20, "the shelf again")
    assert not page.run(ASKS), "the tab keeps the token"
    page.run(f"{USE}.click()")
    page.wait("document.getElementById('shelf-said').textContent.includes('role operator')", 10)


def test_a_wrong_one_is_asked_for_again(page: Page) -> None:
    sign_in(page, "bct_wrong")
    page.wait("document.getElementById('token-fault').textContent.includes('not accepted')", 10)
    assert page.run(ASKS)
    page.run("document.getElementById('token-later').click()")
    page.wait("document.getElementById('sign-in').checkVisibility()", 10)
    assert not page.run(ASKS), "who only looks at it is left alone"
