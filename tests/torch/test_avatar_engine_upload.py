"""An avatar for a neural engine made of an upload, by the real API and studio, where torch is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gpu_pool.engines.checkpoint import layout
from tests.doubles.avatar_files import HANDLES, portrait
from tests.doubles.avatar_station import AvatarStation
from tests.doubles.weight_files import zero_weights

GIVEN = json.dumps(HANDLES)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AvatarStation]:
    folder = tmp_path_factory.mktemp("upload")
    right = zero_weights(folder / "w.pth", layout("wav2lip96"), "F16")
    other = str(zero_weights(folder / "o.pth", layout("s3fd"), "F16"))
    engines = {
        "wav2lip": {"weights": str(right)},
        "musetalk": {"unet": other, "vae": other, "whisper": other},
    }
    made = AvatarStation(folder / "var", pool={"engines": engines})
    made.api.start()
    made.start_studio()
    yield made
    made.close()


def test_the_same_face_is_another_avatar_for_another_engine(station: AvatarStation) -> None:
    status, _, told = station.post(portrait(), "me.jpg", engine="wav2lip", handles=GIVEN)
    assert (status, told["name"], told["engine"]) == (202, "me", "wav2lip")
    made = station.ended("me")
    assert (made["state"], made["engine"]) == ("ready", "wav2lip"), made["error"]
    again = station.post(portrait(), "me.jpg", engine="wav2lip", handles=GIVEN)
    assert (again[1]["Idempotency-Replayed"], again[2]["name"]) == ("true", "me")
    other = station.post(portrait(), "me.jpg", handles=GIVEN)
    assert (other[0], other[2]["name"], other[2]["engine"]) == (202, "me-2", "photo")
    assert station.ended("me-2")["state"] == "ready"
    moved = {**made["handles"], "chin": [641.0, 327.0]}
    assert station.put(made["links"]["handles"], moved)[0] == 202
    assert station.ended("me")["handles"] == moved


@pytest.mark.parametrize(
    ("engine", "handles", "says"),
    [
        ("musetalk", GIVEN, "this is S3FD face detector, not MuseTalk UNet"),
        ("wav2lip", "", "needs the face's landmarks"),
    ],
)
def test_weights_of_another_network_and_no_landmarks_are_refused(
    station: AvatarStation, engine: str, handles: str, says: str
) -> None:
    status, _, told = station.post(portrait(), name="x", engine=engine, handles=handles)
    assert status == 422
    assert says in told["error"]
    assert station.left() == []
