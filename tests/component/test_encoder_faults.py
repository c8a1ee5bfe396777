"""A picture that the encoder refuses costs at most itself: ticks go on, the task's sound too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from broadcaster.mixer.blend import Picture
from broadcaster.playout.channel import ChannelAir
from broadcaster.timeline.grid import next_grid
from tests.doubles.programme import (
    SMALL,
    MemoryTask,
    Recorder,
    make_loop,
    moving_pictures,
    speech_like,
)
from tests.doubles.virtual_air import run_until
from tests.oracles import splice_check

BROKEN = range(10, 13)


class BrokenPictures(MemoryTask):
    """Some of its pictures are no pictures at all."""

    def picture(self, index: int, idle: Picture) -> Picture:
        if index in BROKEN:
            shape: NDArray[np.uint8] = np.zeros(32, np.uint8)
            return shape
        return super().picture(index, idle)


def test_a_picture_the_encoder_refuses_never_stops_the_ticks() -> None:
    pictures = moving_pictures(SMALL.video, 50, 1)
    events: list[dict[str, object]] = []
    channel = ChannelAir("main", SMALL, make_loop(SMALL, pictures), 0, 60, True, events.append)
    recorder = Recorder()
    channel.destinations.append(recorder)
    voice = speech_like(40 * SMALL.samples_per_tick, 1)
    task = BrokenPictures("t", pictures, voice, SMALL.samples_per_tick)
    channel._commands.append(lambda: channel._tasks.add(task))
    while not events and channel.tick < 1000:
        run_until(channel, channel.tick + 1)
    start, last = channel.tick - 1, channel.tick + 150
    run_until(channel, last)
    channel.close(1.0)
    assert [e["event"] for e in events][-1] == "done"
    assert [t.tick for t in recorder.ticks] == list(range(last))
    report = channel.report(0.0)["encoder"]
    assert report["faults"] >= 1
    assert "libx264" in report["note"]
    packets = [p for t in recorder.ticks for p in t.audio]
    heard = splice_check.decode_sound(packets, channel.headers.aac_config)
    assert float(np.abs(heard).max()) > 0.1
    clean = next_grid(start + 90, SMALL.gop_ticks)  # the bad pictures may have harmed one GOP
    decoded = splice_check.decode_video(recorder.ticks[clean:], channel.headers)
    later = [splice_check.psnr(p, pictures[(clean + n) % 50]) for n, p in enumerate(decoded)]
    assert len(decoded) == last - clean
    assert min(later) > 38.0
