"""Checks of avatars: those that channels name, those on the shelf, and what finds faces."""

from __future__ import annotations

from collections.abc import Iterator

from broadcaster.avatars.neural import engine_fault
from broadcaster.checks.finding import Finding, Level
from broadcaster.settings.model import SettingsModel


def check_avatars(settings: SettingsModel) -> Iterator[Finding]:
    """What channels show, what lies on the shelf, the face models."""
    from broadcaster.avatars.catalogue import Catalogue  # noqa: PLC0415 (slow)
    from broadcaster.avatars.making import making_settings  # noqa: PLC0415
    from broadcaster.avatars.shelf import Shelf  # noqa: PLC0415
    from broadcaster.avatars.substitute import avatar_fault  # noqa: PLC0415

    for channel in settings.channels:
        if fault := avatar_fault(channel, settings):
            remedy = f"Correct channels.{channel.name}.avatar; broadcaster avatar list tells which."
            yield Finding("fail", f"avatar of {channel.name}", fault, remedy)
    yield _check_face_models(settings)
    shelf = Shelf(settings.station.state_dir / "avatars")
    entries = Catalogue(shelf, making_settings(settings).limits).entries()
    bundled = ", ".join(each.name for each in entries if each.is_bundled)
    yield Finding("ok", "avatars", f"{bundled} come with the station")
    for entry in entries:
        what = f"avatar {entry.name}"
        if entry.error:
            remedy = f"Make it anew, or: broadcaster avatar remove {entry.name}"
            yield Finding("warn", what, entry.error, remedy)
        elif not entry.is_bundled:
            notes = "".join(f"; {each}" for each in entry.warnings)
            size = f"{entry.kind} {entry.width}x{entry.height}"
            fault, remedy = engine_fault(entry.engine, settings)
            level: Level = "warn" if fault else "ok"
            lost = f"; nothing will be drawn: {fault}" if fault else ""
            yield Finding(level, what, f"{size}, {entry.engine}{lost}{notes}", remedy)


def _check_face_models(settings: SettingsModel) -> Finding:
    from gpu_pool.engines.face.models import FaceModels  # noqa: PLC0415 (slow)
    from gpu_pool.engines.face.refused import AvatarRefused  # noqa: PLC0415

    try:
        models = FaceModels.load(settings.avatars.models)
    except AvatarRefused as error:
        return Finding("warn", "face models", str(error), "Remove them, then: make avatars")
    if models is None:
        detail = "not there: faces of new avatars are found roughly, their mouths guessed"
        return Finding("warn", "face models", detail, "make avatars")
    return Finding("ok", "face models", "there")
