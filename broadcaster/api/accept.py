"""From a request that has arrived to a task on the disk.

Nothing becomes a task that is known to be unspeakable, and nothing becomes two.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from broadcaster.access.role import Role
from broadcaster.api.access import guard
from broadcaster.api.problems import Refusal
from broadcaster.api.station import StationView
from broadcaster.api.upload import Received, SpoolingRequest, receive
from broadcaster.api.wishes import Wishes, read_wishes
from broadcaster.callbacks.target import screen
from broadcaster.clock import wall_time_s
from broadcaster.errors import CallbackRefused, ConfigError
from broadcaster.speech.probe import Heard, hear_upload
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.speech.speaking import AUTO, check_voice, expected_s, fitting_voice
from broadcaster.speech.text import read_text
from broadcaster.store import Incoming, Task, TaskState
from broadcaster.store.line import ahead_of
from broadcaster.store.spool import disk_may_be_full

PREPARING_S = 0.5
"""What decoding and the first pictures of a task usually take; part of every estimate."""

BUFFERING_S = 0.3
"""The same where the sound is decoded."""

_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """A task that is on the disk; ``again`` when an earlier request had put it there."""

    task: Task
    again: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a task stands: tasks said before it, seconds until it is on air; None once ended."""

    position: int | None
    eta_s: float | None


def accept(view: StationView, request: SpoolingRequest, header_key: str) -> Accepted:
    """Read the body, judge it, store it.

    Raises:
        TaskRejected, MediaError, SpeechError, StoreError: as ``problems`` maps them.
    """
    received = receive(view, request)
    wishes = read_wishes(received.fields, received.sound is not None, header_key)
    if wishes.interrupts:
        guard().require(Role.OPERATOR, "To interrupt others")
    channel = require_channel(view, wishes.channel)
    voice = _voice(view, wishes, channel)
    _check_avatar(view, wishes, channel)
    _check_callback(view, wishes)
    key = wishes.idempotency_key or None
    fingerprint = _fingerprint(wishes, channel, received.sound) if key else ""
    earlier = view.store.accepted_before(key, fingerprint)
    if earlier is not None:
        return Accepted(earlier, again=True)
    heard = _judge(view, wishes, received, view.channels[channel].audio.sample_rate)
    incoming = received.sound or _text_file(wishes, request)
    task = Task(
        id=incoming.task_id,
        channel=channel,
        source_name=received.file_name,
        sample_rate=view.channels[channel].audio.sample_rate,
        priority=wishes.priority,
        text=wishes.text or "",
        voice=voice,
        options=wishes.options_json,
        interrupts=wishes.interrupts,
        expected_s=round(heard.length_s, 3),
        samples=heard.decoded.samples if heard.decoded else 0,
        gain_db=heard.decoded.gain_db if heard.decoded else None,
        idempotency_key=key,
        fingerprint=fingerprint,
        callback_url=wishes.callback_url,
    )
    stored = view.store.accept(task, incoming)
    return Accepted(stored, again=stored.id != task.id)


def require_channel(view: StationView, name: object) -> str:
    """The named channel, or the first one when none is named.

    Raises:
        Refusal: 422, there is no such channel.
    """
    if name is None or name == "":
        return next(iter(view.channels))
    if not isinstance(name, str) or name not in view.channels:
        raise Refusal(422, f"No such channel; there is {', '.join(view.channels)}.")
    return name


def standing(task: Task, active: list[Task]) -> Standing:
    """Where a task stands among the ``active`` ones of its channel."""
    if task.ended:
        return Standing(None, None)
    if task.state is TaskState.ON_AIR:
        return Standing(0, 0.0)
    ahead = ahead_of(task, active, wall_time_s())
    least_s = BUFFERING_S if task.samples else PREPARING_S
    return Standing(ahead.tasks, round(max(ahead.sound_s, least_s), 1))


def _voice(view: StationView, wishes: Wishes, channel: str) -> str:
    """Who speaks; a voice that was named must exist even where nothing is to be spoken."""
    if not wishes.voice and wishes.text is None:
        return ""
    shown = _shown(view, channel)
    voice = fitting_voice(wishes.voice, view.settings.speech.voice, shown)
    try:
        check_voice(voice)
    except ConfigError as error:
        raise Refusal(422, str(error)) from error
    return voice if wishes.text is not None else ""


def _check_avatar(view: StationView, wishes: Wishes, channel: str) -> None:
    if wishes.avatar in {"", "auto"}:
        return
    there = _shown(view, channel) or "none"
    if wishes.avatar != there:
        raise Refusal(422, f"No such avatar on this channel; there is {there}.")


def _shown(view: StationView, channel: str) -> str:
    """The avatar that a task of now will show; empty without one."""
    presenter = view.channels[channel].presenter
    return view.avatars.of(channel).coming(presenter) if presenter else ""


def _check_callback(view: StationView, wishes: Wishes) -> None:
    """What can be known of a callback's address without looking it up."""
    if wishes.callback_url:
        try:
            screen(wishes.callback_url, view.callbacks_allowed)
        except CallbackRefused as error:
            raise Refusal(422, f"The {error}.") from error


def _judge(view: StationView, wishes: Wishes, received: Received, sample_rate: int) -> Heard:
    """How long the speech is expected to be; it can be spoken or decoded."""
    if wishes.text is not None:
        read_text(wishes.text, "en")
        return Heard(expected_s(wishes.text))
    arrived = received.sound
    assert arrived is not None
    files = SoundFiles(arrived.sound, arrived.sound_16k)
    with disk_may_be_full("the decoded sound"):
        return hear_upload(arrived.path, files, sample_rate, view.decoding)


def _text_file(wishes: Wishes, request: SpoolingRequest) -> Incoming:
    """A text lies in the spool like a sound: its task's folder is there from the start."""
    incoming = request.begin()
    incoming.file.write((wishes.text or "").encode())
    return incoming


def _fingerprint(wishes: Wishes, channel: str, sound: Incoming | None) -> str:
    """The same for the same request: what is said, where and how, but not the file's name.

    The voice as asked for: who fits changes with the channel's avatar.
    """
    voice = "" if wishes.voice == AUTO else wishes.voice
    said = hashlib.sha256()
    if sound is not None:
        with sound.path.open("rb") as file:
            while block := file.read(_HASHED_AT_ONCE):
                said.update(block)
    asked = [wishes.text, channel, voice, wishes.priority, wishes.interrupts, wishes.options_json]
    if wishes.callback_url:
        asked.append(wishes.callback_url)
    return hashlib.sha256(json.dumps([said.hexdigest(), *asked]).encode()).hexdigest()
