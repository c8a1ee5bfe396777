"""The command line of a push process: FLV in on its stdin, RTMP(S) out, nothing re-encoded.

Pure: builds a list. The only module that knows FFmpeg's flags for pushing. Every flag here was
measured with FFmpeg 5.1; the reasons are beside them.
"""

from __future__ import annotations

import ffmpeg

_PROBE_BYTES = 65536
"""Without it FFmpeg reads 5 MB before it connects."""

_RW_TIMEOUT_US = 3_000_000
"""FFmpeg's own deadline for the socket. Only a second line: it needs about three times this to
exit, so the verdict that counts is ours (``progress.StallWatch``)."""

_PROGRESS_PERIOD_S = 0.25


def push_command(
    program: str, url: str, progress_fd: int, send_buffer_bytes: int, *, rtmp_live: bool = True
) -> list[str]:
    """Arguments of one push process.

    Args:
        program: name or path of FFmpeg.
        url: where to push; holds the stream key, so the result must never be logged.
        progress_fd: descriptor, open in the child, that gets the ``-progress`` reports.
        send_buffer_bytes: kernel buffer of the socket. Small, so that a stalled ingest shows in
            1.5 s instead of 10 s.
        rtmp_live: False writes FLV to a file (tests).
    """
    source = ffmpeg.input(
        "pipe:0",
        f="flv",
        probesize=_PROBE_BYTES,
        # Trust the frame rate of onMetaData: otherwise a quiet picture (under 64 KiB in the first
        # seconds) keeps FFmpeg counting pictures for seconds before it connects.
        fpsprobesize=0,
    )
    options: dict[str, object] = {
        "c": "copy",
        "f": "flv",
        # Duration and size cannot be written back into a live stream.
        "flvflags": "no_duration_filesize",
        "flush_packets": 1,
    }
    if rtmp_live:
        options |= {
            "rw_timeout": _RW_TIMEOUT_US,
            "tcp_nodelay": 1,
            "send_buffer_size": send_buffer_bytes,
        }
    if url.startswith("rtmps:"):
        options["tls_verify"] = 1  # FFmpeg's default would hand the key to anybody
    output = ffmpeg.output(source["v"], source["a"], url, **options).global_args(
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning",
        "-progress", f"pipe:{progress_fd}", "-stats_period", str(_PROGRESS_PERIOD_S),
        # Our timestamps are the session's; without this FFmpeg moves the first one to zero.
        "-copyts",
    )  # fmt: skip
    command: list[str] = output.compile(cmd=program)
    return command
