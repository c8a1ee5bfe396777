"""Which engine is to draw an avatar, said with the upload: what is refused, what the page offers.

Without torch and weights nothing but ``photo`` can draw; ``tests/torch`` has those that can.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.avatar_files import HANDLES, portrait
from tests.doubles.avatar_station import AvatarStation
from tests.doubles.chromium import chromium, find_chromium

GIVEN = json.dumps(HANDLES)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AvatarStation]:
    """Its settings name files of weights that are not there; no studio makes anything."""
    root = tmp_path_factory.mktemp("engines") / "var"
    made = AvatarStation(root, pool={"engines": {"wav2lip": {"weights": str(root / "gone.pth")}}})
    made.api.start()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("sadtalker", "must be one of latentsync, musetalk, photo, wav2lip"),
        ("presenter", "must be one of"),
        ("tests.doubles.plaster_maker", "must be one of"),
        ("musetalk", "The engine musetalk cannot draw here: it has no unet."),
        ("latentsync", "Name the file of its unet in pool.engines.latentsync.unet."),
        ("wav2lip", "The engine wav2lip cannot draw here: "),
    ],
)
def test_an_engine_that_cannot_draw_is_refused_and_nothing_is_left(
    station: AvatarStation, engine: str, says: str
) -> None:
    status, headers, told = station.post(portrait(), name="me", engine=engine, handles=GIVEN)
    assert (status, headers["Content-Type"].startswith("application/problem+json")) == (422, True)
    assert says in told["error"]
    assert station.api.get("/avatars/me")[0] == 404
    assert station.left() == []


@pytest.mark.parametrize("engine", ["", " ", "photo"])
def test_nothing_said_is_the_engine_photo_and_the_same_avatar(
    station: AvatarStation, engine: str
) -> None:
    """A client that never heard of engines and one that names the usual one mean the same."""
    assert station.post(portrait(), name="me")[0] == 202
    status, headers, told = station.post(portrait(), name="me", engine=engine)
    assert (status, headers["Idempotency-Replayed"], told["engine"]) == (202, "true", "photo")
    assert station.delete("me") == 204


@pytest.mark.skipif(find_chromium() is None, reason="chromium is not installed")
def test_the_page_offers_the_engines_that_the_settings_give_weights(
    station: AvatarStation, tmp_path: Path
) -> None:
    (tmp_path / "me.jpg").write_bytes(portrait())
    with chromium() as browser:
        page = browser.new_page()
        page.open(f"http://127.0.0.1:{station.api.port}/")
        offered = "[...document.getElementById('avatar-engine').options].map((o) => o.value).join()"
        page.wait(f"{offered} === 'photo,wav2lip'", 20)
        assert page.run("document.getElementById('avatar-engines').offsetHeight > 0")
        page.run("document.getElementById('avatar-engine').value = 'wav2lip'")
        root = page.call("DOM.getDocument")["root"]["nodeId"]
        node = page.call("DOM.querySelector", nodeId=root, selector="#avatar-file")["nodeId"]
        page.call("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / "me.jpg")])
        said = "document.getElementById('shelf-said').textContent"
        page.wait(f"{said}.includes('The engine wav2lip cannot draw here')", 20)
        page.close()
