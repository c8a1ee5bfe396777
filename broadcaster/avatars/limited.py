"""Runs the child that touches what strangers sent, within limits on memory, time and files.

The child is killed with whoever runs it. Must never hand it the station's environment: that may
hold stream keys.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from broadcaster.errors import AvatarError, StoreFull
from broadcaster.processes import kill_group, start_child

FILE_BYTES = 2 << 30
"""The largest file that a child may write: a minute of clip has a few hundred megabytes at most."""

JUDGE_TIMEOUT_S = 20.0
"""Looking into a file takes half a second; a loaded machine gets more."""

_LOOK_S = 0.5
"""How often it is asked whether the work is still wanted."""

_TOLD_BYTES = 2000
_PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use; ``timeout_s`` bounds CPU seconds as well as wall seconds."""

    memory_mb: int
    timeout_s: float


class NotWanted(AvatarError):
    """The work was called off while it was being done."""


class MakerBroken(AvatarError):
    """The child ended without a word, or cannot be started: nothing that the sender could mend."""


Progress = Callable[[float, str], bool]
"""Takes how far a child is, and what it does; False calls the work off."""


def go_on(_done: float, _step: str) -> bool:
    """For whoever does not care how far it is."""
    return True


def run_child(
    job: Mapping[str, Any], limits: Limits, progress: Progress = go_on
) -> Mapping[str, Any]:
    """Let a child do a job.

    Returns:
        Its last word, once it is done.

    Raises:
        AvatarError: the file cannot become an avatar, or not within the limits; for the user.
        NotWanted: ``progress`` said so.
        MakerBroken: the child crashed or cannot be started.
        StoreFull: no space is left.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            child = start_child(
                _command(job, limits),
                env=_environment(),
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        except OSError as error:
            raise MakerBroken("the program that makes avatars cannot be started") from error
        try:
            told = _listen(child, limits, progress)
        finally:
            if child.poll() is None:
                kill_group(child.pid)
            code = child.wait()
            assert child.stdout is not None
            child.stdout.close()
        _judge(told, code, complaints, limits)
    return told


def _listen(child: subprocess.Popen[bytes], limits: Limits, progress: Progress) -> dict[str, Any]:
    """The child's last word; empty when it ended without one."""
    deadline = time.monotonic() + limits.timeout_s
    done, step, rest = 0.0, "", b""
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left_s := deadline - time.monotonic()) > 0:
            if selector.select(min(left_s, _LOOK_S)):
                data = os.read(child.stdout.fileno(), 65536)
                if not data:
                    return {}
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    told: dict[str, Any] = json.loads(line)
                    if "progress" not in told:
                        return told
                    done, step = float(told["progress"]), str(told["step"])
            if not progress(done, step):
                raise NotWanted("it is not wanted any more")
    raise _too_slow(limits)


def _judge(told: Mapping[str, Any], code: int, complaints: IO[bytes], limits: Limits) -> None:
    if told.get("done"):
        return
    if told.get("full"):
        raise StoreFull("no space left for the avatar")
    if told.get("refused"):
        raise AvatarError(str(told["refused"]))
    complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - _TOLD_BYTES))
    said = complaints.read().decode("utf-8", "replace").strip()
    if code in {-_SIGXCPU, 128 + _SIGXCPU}:
        raise _too_slow(limits)
    if "MemoryError" in said or "Insufficient memory" in said or "bad_alloc" in said:
        raise AvatarError(f"It needs more memory than {limits.memory_mb} MB.")
    _log.error("the child that makes avatars ended with %d: %s", code, said)
    raise MakerBroken("The station could not make the avatar: its maker ended unexpectedly.")


_SIGXCPU = 24


def _too_slow(limits: Limits) -> AvatarError:
    return AvatarError(f"It takes longer than {limits.timeout_s:g} s.")


def _command(job: Mapping[str, Any], limits: Limits) -> list[str]:
    """Nice 10: making gives way to the playout."""
    return [
        *("nice", "-n", "10", "prlimit"),
        f"--as={limits.memory_mb << 20}",
        f"--cpu={max(1, round(limits.timeout_s))}",
        f"--fsize={FILE_BYTES}",
        "--core=0",
        *(sys.executable, "-m", "broadcaster.avatars.child", json.dumps(dict(job))),
    ]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, **_ONE_THREAD, "PYTHONDONTWRITEBYTECODE": "1"}
