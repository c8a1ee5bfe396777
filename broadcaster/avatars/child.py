"""The child that touches what strangers sent: ``python -m broadcaster.avatars.child JOB``.

One JSON object per line on standard output: how far it is, at last what became of it. It runs
under the limits of ``limited`` and without a network; it may crash or be killed at any time, and
then nothing of it is on the shelf.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from broadcaster.avatars.found import BUNDLED_ENGINE
from broadcaster.avatars.isolation import refuse_network
from broadcaster.avatars.maker import Maker, Wanted, facts_to_json, maker_of
from broadcaster.errors import AvatarError
from broadcaster.store.spool import no_space

Job = Mapping[str, Any]


class _Answers:
    """What the parent reads. Libraries that print must not be taken for an answer."""

    def __init__(self) -> None:
        self._out: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self.facts: list[object] = []
        os.dup2(2, 1)

    def say(self, **told: object) -> None:
        """One line."""
        self._out.write(json.dumps(told) + "\n")
        self._out.flush()

    def progress(self, done: float, step: str) -> None:
        """How far it is."""
        self.say(progress=round(min(max(done, 0.0), 1.0), 3), step=step[:200])


def main() -> int:
    """Do one job; returns 0 whenever the outcome was told."""
    answers = _Answers()
    refuse_network()
    job = json.loads(sys.argv[1])
    try:
        _JOBS[job["op"]](job, answers)
    except AvatarError as error:
        answers.say(refused=str(error))
    except MemoryError:
        answers.say(refused="It needs more memory than the station allows.")
    except OSError as error:
        if not no_space(error):
            raise
        answers.say(full=True)
    else:
        answers.say(done=True, facts=answers.facts)
    return 0


def _judge(job: Job, answers: _Answers) -> None:
    maker_of(job["engine"]).judge(_wanted(job))


def _make(job: Job, answers: _Answers) -> None:
    maker, files = maker_of(job["engine"]), Path(job["files"])
    maker.make(_wanted(job), files, answers.progress)
    _finish(maker, files, Path(job["picture"]))


def _import(job: Job, answers: _Answers) -> None:
    """Also tells which engine it is for."""
    from broadcaster.avatars.imported import engine_for, take_over  # noqa: PLC0415 (slow)

    engine = engine_for(Path(job["source"]), job["engine"])
    files = Path(job["files"])
    take_over(_wanted(job), engine, job["fps"], files, answers.progress)
    _finish(maker_of(engine), files, Path(job["picture"]))
    answers.facts.append(engine)


def _wanted(job: Job) -> Wanted:
    models = Path(job["models"]) if job["models"] else None
    return Wanted(Path(job["source"]), job["name"], job["handles"], models, job["max_clip_s"])


def _change(job: Job, answers: _Answers) -> None:
    maker, files = maker_of(job["engine"]), Path(job["files"])
    answers.progress(0.1, "setting the handles")
    maker.change_handles(files, job["handles"])
    _finish(maker, files, Path(job["picture"]))


def _finish(maker: Maker, files: Path, picture: Path) -> None:
    """What is put on the shelf can be read, and has its first picture beside it."""
    from broadcaster.avatars.pictures import write_picture  # noqa: PLC0415 (slow)

    maker.read(files)
    write_picture(picture, maker.first_picture(files))


def _check(job: Job, answers: _Answers) -> None:
    """What several folders hold; one that is broken is told with its fault."""
    for engine, files in job["avatars"]:
        try:
            answers.facts.append(facts_to_json(maker_of(engine).read(Path(files))))
        except (AvatarError, OSError, ImportError) as error:
            answers.facts.append({"fault": str(error)})


def _sheet(job: Job, answers: _Answers) -> None:
    from broadcaster.avatars.contact_sheet import draw_sheet  # noqa: PLC0415 (slow)
    from broadcaster.avatars.pictures import write_picture  # noqa: PLC0415

    if job["engine"] == BUNDLED_ENGINE:
        picture = draw_sheet(job["name"])
    else:
        picture = maker_of(job["engine"]).contact_sheet(Path(job["files"]), job["name"])
    write_picture(Path(job["out"]), picture)
    answers.facts.append([picture.shape[1], picture.shape[0]])


def _bundled(job: Job, answers: _Answers) -> None:
    from broadcaster.avatars.pictures import write_bundled  # noqa: PLC0415 (slow)

    write_bundled(job["name"], Path(job["folder"]))


_JOBS: Mapping[str, Callable[[Job, _Answers], None]] = {
    "judge": _judge,
    "make": _make,
    "import": _import,
    "change": _change,
    "check": _check,
    "sheet": _sheet,
    "bundled": _bundled,
}


if __name__ == "__main__":
    raise SystemExit(main())
