"""``check``: what each finding says when a thing is there, and when it is not."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcaster.checks.finding import Finding, as_json, as_text
from broadcaster.checks.machine import (
    check_disk,
    check_gpu,
    check_ports,
    check_shared_memory,
)
from broadcaster.checks.media import check_idle_media
from broadcaster.checks.network import check_destinations, check_relay
from broadcaster.checks.ports import port_holder
from broadcaster.checks.programs import check_encoders, check_ffmpeg
from broadcaster.checks.voices import check_voices
from broadcaster.settings.model import SettingsModel

KEY = "live_6f1d0c-very-secret"


def settings(**sections: Any) -> SettingsModel:
    return SettingsModel.model_validate(sections)


def only(findings: Iterator[Finding]) -> Finding:
    found = list(findings)
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


# --- ports ----------------------------------------------------------------------------------


def test_a_held_port_names_its_process(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "", "::ffff:127.0.0.1"):
        assert port_holder(host, port) == (os.getpid(), name), host
    assert port_holder("127.0.0.2", port) is None


def test_a_port_held_by_another_process_names_that_one() -> None:
    code = (
        "import socket; s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen();"
        "print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        holder = port_holder("127.0.0.1", port)
        other.communicate("\n")
    assert holder is not None
    assert holder[0] == other.pid


def test_a_dual_stack_wildcard_holds_the_ipv4_port() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 on this machine")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        assert port_holder("127.0.0.1", server.getsockname()[1]) is not None


def test_a_free_or_merely_connected_port_has_no_holder(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        assert port_holder("127.0.0.1", client.getsockname()[1]) is None
    assert port_holder("127.0.0.1", free_ports(1)[0]) is None


def test_a_busy_port_fails_with_its_key_and_pid(listener: socket.socket, tmp_path: Path) -> None:
    busy = listener.getsockname()[1]
    relay, stats = free_ports(2)
    findings = list(
        check_ports(
            settings(
                api={"port": busy},
                relay={"port": relay, "stat_port": stats},
                station={"state_dir": tmp_path},
            )
        )
    )
    assert [each.level for each in findings] == ["fail", "ok", "ok"]
    assert "(api.port) is held by " in findings[0].detail
    assert f"(pid {os.getpid()})" in findings[0].detail
    assert "set api.port" in findings[0].remedy


def test_a_port_held_by_the_running_station_is_fine(
    listener: socket.socket, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    # The listener is a child of a role, as a gunicorn worker is.
    (run / "roles.json").write_text(json.dumps({"roles": [{"name": "api", "pid": os.getppid()}]}))
    found = only(
        check_ports(
            settings(
                api={"port": listener.getsockname()[1]},
                relay={"mode": "none"},
                station={"state_dir": tmp_path},
            )
        )
    )
    assert (found.level, "held by this station" in found.detail) == ("ok", True)


def test_an_address_of_another_machine_cannot_be_listened_on(tmp_path: Path) -> None:
    found = only(
        check_ports(
            settings(
                api={"host": "192.0.2.1"}, relay={"mode": "none"}, station={"state_dir": tmp_path}
            )
        )
    )
    assert found.level == "fail"
    assert "no such address on this machine" in found.detail


# --- machine --------------------------------------------------------------------------------


def test_the_state_folder_need_not_exist_yet_and_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert only(check_disk(settings(station={"state_dir": folder}))).level in {"ok", "warn"}
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = only(check_disk(settings(station={"state_dir": tmp_path / "file" / "var"})))
    assert found.level == "fail"


def test_missing_shared_memory_fails_with_a_remedy(tmp_path: Path) -> None:
    assert only(check_shared_memory(tmp_path / "none")).level == "fail"
    assert "MB free" in only(check_shared_memory()).detail


@pytest.mark.parametrize(
    ("script", "level", "part"),
    [
        ("echo 'GPU 0: NVIDIA X (UUID: GPU-1)'", "ok", "GPU 0: NVIDIA X"),
        ("echo 'no devices'; exit 6", "warn", "shows none"),
        ("exit 0", "warn", "shows none"),
    ],
)
def test_gpus_are_what_the_driver_lists(script: str, level: str, part: str, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    found = only(check_gpu(str(program)))
    assert found.level == level
    assert part in found.detail
    assert "UUID" not in found.detail


def test_a_machine_without_a_gpu_is_fine(tmp_path: Path) -> None:
    assert only(check_gpu(str(tmp_path / "none"))).level == "ok"


# --- programs -------------------------------------------------------------------------------


def test_the_real_ffmpeg_has_all_parts() -> None:
    found = only(check_ffmpeg(SettingsModel()))
    assert found.level == "ok"
    assert "RTMP" in found.detail
    assert "RTMPS" not in found.detail


def test_an_ffmpeg_without_rtmps_fails_only_when_rtmps_is_wanted(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        "#!/bin/sh\ncase $2 in\n"
        "-formats) echo ' DE flv  FLV';;\n"
        "-protocols) echo 'Input: pipe rtmp';;\n"
        "-codecs) echo ' DEA.L. aac x'; echo ' DEV.LS h264 x';;\n"
        "*) echo ffmpeg version 0;;\nesac\n"
    )
    program.chmod(0o755)
    push = {"ffmpeg": str(program)}
    secure = [{"destinations": [{"name": "a", "url": f"rtmps://h/app/{KEY}"}]}]
    assert only(check_ffmpeg(settings(push=push))).level == "ok"
    found = only(check_ffmpeg(settings(push=push, channels=secure)))
    assert (found.level, found.detail.endswith("missing RTMPS")) == ("fail", True)


@pytest.mark.parametrize("program", ["/no/such/ffmpeg", "/bin/false", "/etc/passwd"])
def test_a_wrong_ffmpeg_fails_with_a_remedy(program: str) -> None:
    found = only(check_ffmpeg(settings(push={"ffmpeg": program})))
    assert found.level == "fail"
    assert found.remedy


@pytest.mark.parametrize(
    ("wanted", "levels"), [("auto", {"ok"}), ("nvenc", {"ok", "warn"}), ("x264", {"ok"})]
)
def test_encoders_are_tried_and_hardware_is_never_needed(wanted: str, levels: set[str]) -> None:
    picture, sound, hardware = check_encoders(settings(playout={"video_encoder": wanted}))
    assert (picture.level, sound.level) == ("ok", "ok")
    assert hardware.level in levels
    if "does not work" in hardware.detail:
        assert "falls back to x264" in hardware.detail


# --- media ----------------------------------------------------------------------------------


def idle(path: Path, **more: Any) -> SettingsModel:
    return settings(channels=[{"idle": {"clips": [{"path": path}], **more}}])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("clips") / "clip.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=160x120:r=10:d=2", str(file)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return file


def test_a_good_clip_is_described(clip: Path) -> None:
    found = only(check_idle_media(idle(clip)))
    assert found.level == "ok"
    assert found.detail.endswith("160x120, 2.0 s, no sound")


def test_a_clip_that_is_too_long_warns(clip: Path) -> None:
    found = only(check_idle_media(idle(clip, max_clip_s=1)))
    assert (found.level, "only the first 1 s" in found.detail) == ("warn", True)


def test_missing_broken_and_pictureless_clips_fail(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video" * 100)
    sound = tmp_path / "sound.wav"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=1", str(sound)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    for file, part in (
        (tmp_path / "gone.mp4", "no such file"),
        (broken, "Invalid data"),
        (sound, "no picture in it"),
    ):
        found = only(check_idle_media(idle(file)))
        assert (found.level, part in found.detail) == ("fail", True), found


# --- network --------------------------------------------------------------------------------


def test_the_embedded_relay_is_tried_with_its_real_configuration() -> None:
    assert only(check_relay(settings(relay={"port": free_ports(1)[0]}))).level == "ok"


def test_an_embedded_relay_off_loopback_fails_with_the_right_remedy() -> None:
    found = only(check_relay(settings(relay={"host": "0.0.0.0"})))
    assert (found.level, "relay.host" in found.remedy) == ("fail", True)


def test_an_external_relay_is_reached_or_not(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    there = settings(relay={"mode": "external", "url": f"rtmp://127.0.0.1:{port}/live"})
    gone = settings(relay={"mode": "external", "url": f"rtmp://127.0.0.1:{free_ports(1)[0]}/live"})
    assert only(check_relay(there)).level == "ok"
    assert only(check_relay(gone)).level == "fail"


def test_a_station_nobody_can_see_warns() -> None:
    assert only(check_relay(settings(relay={"mode": "none"}))).level == "warn"


def test_destinations_say_reachable_or_not_and_what_the_limits_do(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    places = [
        ("one", f"rtmp://127.0.0.1:{port}/app/{KEY}", "twitch"),
        ("two", f"rtmp://127.0.0.1:{free_ports(1)[0]}/app/{KEY}", "youtube"),
        ("three", f"rtmp://no-such-host.invalid/app/{KEY}", "generic"),
    ]
    found = list(
        check_destinations(
            settings(
                push={"connect_timeout_s": 2},
                channels=[
                    {
                        "video": {"bitrate_kbps": 9000},
                        "destinations": [
                            {"name": n, "url": u, "platform": p} for n, u, p in places
                        ],
                    }
                ],
            )
        )
    )
    assert [each.level for each in found] == ["ok", "fail", "fail", "ok", "warn", "warn"]
    assert "new session every 48 h" in found[0].detail
    assert "refused" in found[1].detail
    assert "key interval 1 s" in found[3].detail
    assert "disagree on the key interval" in found[4].detail
    assert "6000 kb/s instead of the set 9000" in found[5].detail
    assert KEY not in as_text(found) + as_json(found)


def test_text_puts_the_remedy_below_its_line() -> None:
    text = as_text([Finding("fail", "port 1", "held", "Stop it."), Finding("ok", "gpu", "none")])
    assert text.splitlines() == [
        "fail  port 1                 held",
        "                             -> Stop it.",
        "ok    gpu                    none",
    ]


def test_the_voice_of_each_channel_is_looked_for() -> None:
    channels = [{"name": "a", "avatar": "anna"}, {"name": "l", "avatar": "leon"}]
    channels.append({"name": "n", "avatar": "none"})
    found = list(check_voices(settings(channels=channels)))
    assert [each.level for each in found] == ["ok"] * 3
    assert [each.detail.split()[0] for each in found] == ["espeak+f2", "espeak+edward", "espeak"]
    named = only(check_voices(settings(speech={"voice": "espeak:de"})))
    assert (named.level, named.detail) == ("ok", "espeak:de (speech.voice)")


@pytest.mark.parametrize("voice", ["espeak:xx", "espeak:de+nobody", "espeak+nobody"])
def test_a_voice_that_is_not_there_is_found_before_somebody_wants_to_speak(voice: str) -> None:
    found = only(check_voices(settings(speech={"voice": voice})))
    assert found.level == "fail"
    assert voice in found.detail
    assert "speech.voice" in found.remedy
