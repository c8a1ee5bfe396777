"""What a client asks for, read from the fields of a form or of a JSON object. Pure.

Unknown fields are ignored. A known field with a value that cannot be meant is refused by name:
guessing would put the wrong thing on air.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from broadcaster.api.problems import Refusal
from broadcaster.speech.text import LONGEST_TEXT

MOST_PRIORITY = 100
"""Priorities go from minus this to this; 0 is ordinary."""

MOST_GUIDANCE = 100.0
"""Engines use 1 to 3; far beyond it is a slip."""

MOST_STEPS = 200
"""Of denoising, as ``gpu_pool.engines.diffusion.ddim`` has it; 20 are usual."""

LONGEST_KEY = 255

_WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off", ""), False),
}

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Wishes:
    """One request to speak, without its sound.

    ``text`` is None where sound is sent instead; empty names mean the station's own choice.
    """

    text: str | None = None
    voice: str = ""
    channel: str = ""
    avatar: str = ""
    priority: int = 0
    interrupts: bool = False
    idempotency_key: str = ""
    callback_url: str = ""
    options: Mapping[str, float] = field(default_factory=dict)

    @property
    def options_json(self) -> str:
        """The options as the store keeps them."""
        return json.dumps(dict(self.options), sort_keys=True)


def read_wishes(fields: Fields, has_sound: bool, header_key: str = "") -> Wishes:
    """Read the fields that came with a request.

    Args:
        fields: name to value; values are strings, or what JSON made of them.
        has_sound: whether a sound file came with it.
        header_key: of the header ``Idempotency-Key``.

    Raises:
        Refusal: 400 both or neither of sound and text, 413 a text too long, 422 anything else.
    """
    asked = {
        "guidance_scale": _number(fields, "guidance_scale"),
        "inference_steps": _whole(fields, "inference_steps", 1, MOST_STEPS),
    }
    return Wishes(
        text=_text_to_say(fields, has_sound),
        voice=_word(fields, "voice"),
        channel=_word(fields, "channel"),
        avatar=_word(fields, "avatar"),
        priority=_whole(fields, "priority", -MOST_PRIORITY, MOST_PRIORITY) or 0,
        interrupts=_flag(fields, "interrupt"),
        idempotency_key=_key(_word(fields, "idempotency_key"), header_key),
        callback_url=_word(fields, "callback_url").strip(),
        options={name: value for name, value in asked.items() if value is not None},
    )


def read_key(header: str) -> str:
    """The value of ``Idempotency-Key``; its draft wants quotation marks, most clients send none.

    Raises:
        Refusal: 422, it is no key.
    """
    if len(header) > 1 and header[0] == header[-1] == '"':
        header = header[1:-1]
    if len(header) > LONGEST_KEY or not header.isprintable():
        raise Refusal(422, f"An idempotency key has 1 to {LONGEST_KEY} printable characters.")
    return header


def _text_to_say(fields: Fields, has_sound: bool) -> str | None:
    text = fields.get("text")
    if text is not None and not isinstance(text, str):
        raise Refusal(422, "The field text must be a string.")
    if has_sound:
        if text and text.strip():
            raise Refusal(400, "Send audio_file or text, not both.")
        return None
    if text is None:
        raise Refusal(400, "No audio_file and no text was sent: one of them is needed.")
    if len(text) > LONGEST_TEXT:
        raise Refusal(413, f"The text is longer than {LONGEST_TEXT} characters.")
    # Half a character, which JSON can smuggle in, cannot be stored.
    return text.encode("utf-8", "replace").decode("utf-8")


def _word(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(422, f"The field {name} must be a string.")
    return value


def _flag(fields: Fields, name: str) -> bool:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    known = _WORDS.get(str(value).strip().lower())
    if known is None:
        raise Refusal(422, f"The field {name} must be true or false.")
    return known


def _whole(fields: Fields, name: str, least: int, most: int) -> int | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and len(value) <= 5 and value.isascii():
            number = int(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            raise ValueError
        if not least <= number <= most:
            raise ValueError
    except ValueError:
        raise Refusal(
            422, f"The field {name} must be a whole number from {least} to {most}."
        ) from None
    return number


def _number(fields: Fields, name: str) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
        if not math.isfinite(number) or not 0 <= number <= MOST_GUIDANCE:
            raise ValueError
    except (ValueError, OverflowError):
        raise Refusal(
            422, f"The field {name} must be a number from 0 to {MOST_GUIDANCE:g}."
        ) from None
    return number


def _key(in_body: str, in_header: str) -> str:
    header, body = read_key(in_header), read_key(in_body)
    if header and body and header != body:
        raise Refusal(422, "Two different idempotency keys were sent.")
    return header or body
