"""Every exception the station raises on purpose, as one tree.

::

    BroadcasterError
    ├── ConfigError            the settings cannot be used (unknown key, bad value, port taken)
    ├── SourceError            an idle clip or a task cannot be played
    │   ├── MediaError         undecodable or empty media; the message is for the user
    │   └── SpeechError        a text cannot be spoken; the message is for the user
    ├── AvatarError            an avatar cannot be made or used; the message is for the user
    │   ├── AvatarNotFound     no such avatar
    │   └── AvatarConflict     its name is taken, or it is in use
    ├── EncodeError            a codec refused to open or produced something unusable
    ├── PushError              a destination cannot be reached or died
    ├── StoreError             the task store cannot do what was asked
    │   ├── StoreFull          no space left on the device
    │   ├── TaskNotFound       no such task
    │   └── TaskConflict       the task is in a state that forbids the request
    ├── CallbackRefused        an address that must not be called
    ├── RenderError            a film cannot be rendered or written
    ├── TaskRejected           a request to speak is refused, with an HTTP status
    └── PreviewRefused         a viewer is not let in, with an HTTP status
"""

from __future__ import annotations


class BroadcasterError(Exception):
    """Base of all deliberate errors; ``str(error)`` is fit to be shown to an operator."""


class ConfigError(BroadcasterError):
    """The settings cannot be used."""


class SourceError(BroadcasterError):
    """An idle clip or a task cannot be played."""


class MediaError(SourceError):
    """Media that is undecodable, empty or over a limit."""


class SpeechError(SourceError):
    """A text that cannot be spoken, or a voice that failed."""


class AvatarError(BroadcasterError):
    """An avatar cannot be made, read, changed or removed."""


class AvatarNotFound(AvatarError):
    """No avatar has this name."""


class AvatarConflict(AvatarError):
    """The name is taken, or the avatar is in use."""


class EncodeError(BroadcasterError):
    """A codec refused to open or produced something unusable."""


class PushError(BroadcasterError):
    """A destination cannot be reached or died."""


class StoreError(BroadcasterError):
    """The task store cannot do what was asked."""


class StoreFull(StoreError):
    """No space is left for the store or its spool."""


class TaskNotFound(StoreError):
    """No task has this id."""


class TaskConflict(StoreError):
    """The task is in a state that forbids the request."""


class CallbackRefused(BroadcasterError):
    """An address that callbacks must not go to; the message is for the client."""


class RenderError(BroadcasterError):
    """A film cannot be rendered or written."""


class TaskRejected(BroadcasterError):
    """A request to speak is refused.

    Args:
        status: the HTTP status that fits the reason.
        message: one sentence for the client.
        retry_after_s: when set, the client may try again after so many seconds.
    """

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class PreviewRefused(BroadcasterError):
    """A viewer is not let in.

    Args:
        status: the HTTP status that fits the reason.
        message: one sentence for the client.
        retry_after_s: when set, the viewer may try again after so many seconds.
    """

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
