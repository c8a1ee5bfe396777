"""The settings as frozen values: one model per section of ``config/broadcaster.yaml``.

Before the signal path: every role is built from these. Values only; nothing here opens a file or
reads the environment. Units are in the names (``_s``, ``_ms``, ``_h``, ``_kbps``, ``_mb``,
``_kib``); what each key means stands beside it in the YAML file.

Every key has its default here and its comment in the YAML; a test holds the two together. Unknown
keys are errors at every level: pydantic-settings checks only the top one, so each section inherits
the strict ``Section`` base.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    SecretStr,
    field_validator,
    model_validator,
)

import idle_media

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]

_HOST_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")
HostName = Annotated[str, Field(pattern=_HOST_NAME.pattern)]
WebOrigin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.\[\]:-]+$")]

_RTMP_URL = re.compile(r"^rtmps?://[^/\s]+/\S+$")

CREDENTIAL = re.compile(r"credential:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})")
"""Instead of an address: the name of a systemd credential that holds it."""


_STRICT = ConfigDict(
    extra="forbid",
    frozen=True,
    hide_input_in_errors=True,  # an input may be a stream key
    allow_inf_nan=False,
)


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = _STRICT


class Station(Section):
    """What belongs to the whole station."""

    name: str = "Broadcaster"
    state_dir: Path = Path("var")
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Api(Section):
    """The HTTP door."""

    host: str = "127.0.0.1"
    port: Port = 11001
    threads: Annotated[int, Field(ge=2, le=64)] = 8
    max_upload_mb: Annotated[int, Field(ge=1)] = 200
    max_sound_s: Positive = 1800.0
    queue_limit: Annotated[int, Field(ge=1)] = 100
    history_hours: Positive = 24.0
    event_clients: Annotated[int, Field(ge=0, le=64)] = 8
    access: Literal["auto", "open", "tokens"] = "auto"
    hosts: tuple[HostName, ...] = ()
    cors_origins: tuple[WebOrigin, ...] = ()
    rate_per_minute: Annotated[int, Field(ge=0)] = 600
    speak_per_minute: Annotated[int, Field(ge=0)] = 60
    body_timeout_s: Positive = 300.0


class Relay(Section):
    """The RTMP server that viewers and the preview pull from.

    ``embedded`` runs nginx on ``host:port`` with its statistics on ``stat_port``; ``external`` uses
    ``url`` (and ``stat_url`` if given); ``none`` pushes only to the channels' own destinations.
    """

    mode: Literal["embedded", "external", "none"] = "embedded"
    host: str = "127.0.0.1"
    port: Port = 1935
    stat_port: Port = 11935
    url: str = ""
    stat_url: str = ""

    @model_validator(mode="after")
    def _external_needs_a_url(self) -> Relay:
        if self.mode == "external" and not _RTMP_URL.match(self.url):
            raise ValueError("relay.url must be an rtmp(s):// address when relay.mode is external")
        return self


class IceServer(Section):
    """A STUN or TURN server that the preview itself uses."""

    url: Annotated[str, Field(pattern=r"^(stun|turns?):[^\s]+$")]
    username: str = ""
    credential: SecretStr = SecretStr("")


class Preview(Section):
    """The picture on the page, by WebRTC; needs a relay."""

    enabled: bool = True
    max_viewers: Annotated[int, Field(ge=1, le=1000)] = 20
    ice_addresses: tuple[IPvAnyAddress, ...] = ()
    ice_servers: tuple[IceServer, ...] = ()


class Push(Section):
    """How every destination is supervised."""

    ffmpeg: str = "ffmpeg"
    stall_after_s: Positive = 1.2
    connect_timeout_s: Positive = 5.0
    first_retry_s: Annotated[float, Field(ge=0)] = 0.2
    retry_s: Positive = 2.0
    late_retry_s: Positive = 5.0
    late_retry_after_s: Positive = 300.0
    loopback_retry_s: Positive = 1.0
    send_buffer_kib: Annotated[int, Field(ge=16)] = 64
    queue_s: Positive = 2.0
    rollover_after_h: Annotated[float, Field(gt=0, le=480)] = 480.0


class Playout(Section):
    """The tick loop."""

    reanchor_after_s: Positive = 1.0
    audio_ahead_ms: Annotated[int, Field(ge=20, le=500)] = 60
    fade_ms: Annotated[int, Field(ge=0, le=5000)] = 400
    hang_after_s: Positive = 8.0
    nice: Annotated[int, Field(ge=-20, le=19)] = -5
    video_encoder: Literal["auto", "x264", "nvenc"] = "auto"
    idle_path: Literal["auto", "live"] = "auto"


class Pool(Section):
    """The workers that render pictures."""

    devices: Literal["auto"] | tuple[Annotated[str, Field(pattern=r"^(cpu|cuda:\d+)$")], ...] = (
        "auto"
    )
    ring_mb: Annotated[int, Field(ge=16)] = 256
    engines: dict[Name, dict[str, bool | int | float | str]] = {}

    @field_validator("devices")
    @classmethod
    def _some_device(cls, devices: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not devices:
            raise ValueError("pool.devices must name a device, or be auto")
        return devices


class Speech(Section):
    """Who speaks texts, how loud everything becomes, and limits of the child that decodes."""

    voice: Annotated[str, Field(pattern=r"^(auto|espeak(:[A-Za-z0-9-]+)?(\+\w+)?)$")] = "auto"
    normalise: bool = True
    loudness_lufs: Annotated[float, Field(ge=-40, le=-5)] = -16.0
    decode_timeout_s: Positive = 120.0
    decode_memory_mb: Annotated[int, Field(ge=512)] = 2048


class Callbacks(Section):
    """How receivers of callbacks know that it is us, and which private ones may be called."""

    secret: SecretStr = SecretStr("")
    allow: tuple[str, ...] = ()

    @field_validator("secret")
    @classmethod
    def _is_hard_to_guess(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < 16:
            raise ValueError("callbacks.secret must have at least 16 characters")
        return secret

    @field_validator("allow")
    @classmethod
    def _are_hosts_or_networks(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for each in allow:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                if not _HOST_NAME.match(each):
                    raise ValueError(
                        "callbacks.allow takes host names and networks such as 10.0.0.0/8"
                    ) from None
        return allow


class Avatars(Section):
    """Avatars made here, and limits of the child that makes them."""

    max_upload_mb: Annotated[int, Field(ge=1)] = 200
    max_clip_s: Positive = 60.0
    queue_limit: Annotated[int, Field(ge=1, le=100)] = 4
    make_timeout_s: Positive = 900.0
    make_memory_mb: Annotated[int, Field(ge=1024)] = 4096
    models: Path | None = None


class Supervisor(Section):
    """Restarting and stopping."""

    restart_min_s: Positive = 0.2
    restart_max_s: Positive = 30.0
    stop_after_s: Positive = 4.0
    relay_hung_after_s: Positive = 3.0


class IdleClip(Section):
    """One clip of the idle programme."""

    path: Path
    mode: Literal["pingpong", "loop"] = "loop"
    fit: Literal["letterbox", "crop"] = "letterbox"
    sound: bool = True


class Idle(Section):
    """What is on air while nobody speaks; no clips means the station's own test card."""

    clips: tuple[IdleClip, ...] = ()
    card_sound: bool = True
    max_clip_s: Positive = 600.0


class Video(Section):
    """The picture of a channel."""

    width: Annotated[int, Field(ge=64, le=3840, multiple_of=2)] = 1280
    height: Annotated[int, Field(ge=64, le=2160, multiple_of=2)] = 720
    fps: Literal[25, 30] = 25
    bitrate_kbps: Annotated[int, Field(ge=100, le=50000)] = 2500
    gop_s: Annotated[float, Field(ge=0.4, le=10)] = 1.0
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = "veryfast"


class Audio(Section):
    """The sound of a channel."""

    sample_rate: Literal[44100, 48000] = 48000
    bitrate_kbps: Annotated[int, Field(ge=32, le=320)] = 128


class Destination(Section):
    """One place to push to. The URL holds the stream key, so it is a secret.

    ``credential:NAME`` stands for an address that ``load`` takes from a file.
    """

    name: Name
    url: SecretStr
    platform: Name = "generic"

    @field_validator("url")
    @classmethod
    def _is_rtmp(cls, url: SecretStr) -> SecretStr:
        given = url.get_secret_value()
        if not (_RTMP_URL.match(given) or CREDENTIAL.fullmatch(given)):
            raise ValueError(
                "a destination's url must look like rtmp(s)://host/app/key or credential:NAME"
            )
        return url


class Channel(Section):
    """One continuous programme."""

    name: Name = "main"
    video: Video = Video()
    audio: Audio = Audio()
    avatar: Name = "auto"
    idle: Idle = Idle()
    destinations: tuple[Destination, ...] = ()

    @property
    def presenter(self) -> str:
        """The name of the avatar on this channel, which need not exist; empty for none."""
        if self.avatar == "none" or (self.avatar == "auto" and self.idle.clips):
            return ""
        return idle_media.DEFAULT if self.avatar == "auto" else self.avatar

    @model_validator(mode="after")
    def _ticks_are_whole(self) -> Channel:
        gop = self.video.gop_s * self.video.fps
        if abs(gop - round(gop)) > 1e-9:
            raise ValueError(
                f"channel {self.name}: gop_s {self.video.gop_s} is not a whole number of pictures "
                f"at {self.video.fps} fps"
            )
        if self.audio.sample_rate % self.video.fps:
            raise ValueError(f"channel {self.name}: samples per picture must be whole")
        names = [d.name for d in self.destinations]
        if len(set(names)) != len(names) or "relay" in names:
            raise ValueError(
                f"channel {self.name}: destination names must differ and 'relay' is taken"
            )
        return self


class SettingsModel(BaseModel):
    """The whole file, without its sources; ``load`` adds YAML and environment."""

    model_config = _STRICT

    station: Station = Station()
    api: Api = Api()
    relay: Relay = Relay()
    preview: Preview = Preview()
    push: Push = Push()
    playout: Playout = Playout()
    speech: Speech = Speech()
    pool: Pool = Pool()
    callbacks: Callbacks = Callbacks()
    avatars: Avatars = Avatars()
    supervisor: Supervisor = Supervisor()
    channels: tuple[Channel, ...] = (Channel(),)

    @property
    def has_preview(self) -> bool:
        """Whether viewers are served: wanted, and there is a relay to pull from."""
        return self.preview.enabled and self.relay.mode != "none"

    @model_validator(mode="after")
    def _channels_differ(self) -> SettingsModel:
        names = [c.name for c in self.channels]
        if not names:
            raise ValueError("at least one channel is needed")
        if len(set(names)) != len(names):
            raise ValueError("channel names must differ")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> SettingsModel:
        ports = {"api.port": self.api.port}
        if self.relay.mode == "embedded":
            ports |= {"relay.port": self.relay.port, "relay.stat_port": self.relay.stat_port}
        if len(set(ports.values())) != len(ports):
            raise ValueError(f"{', '.join(ports)} must differ")
        return self
