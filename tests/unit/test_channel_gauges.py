"""What a channel tells the metrics: differences, in series that are there from the start."""

from __future__ import annotations

from prometheus_client import REGISTRY

from broadcaster.playout.gauges import SOURCES, ChannelGauges


def value(metric: str, channel: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"broadcaster_{metric}", {"channel": channel, **labels})


def test_counters_are_there_at_zero_before_anything_happens() -> None:
    ChannelGauges("newborn")
    for metric in ("ticks_total", "underruns_total", "late_pictures_total", "encode_seconds_count"):
        assert value(metric, "newborn") == 0


def test_counters_grow_by_what_is_new_since_the_last_time() -> None:
    gauges = ChannelGauges("counted")
    gauges.tell("idle", 0.0, (25, 0, 0), [])
    gauges.tell("idle", 0.0, (50, 2, 1), [])
    gauges.tell("idle", 0.0, (75, 2, 1), [])
    assert value("ticks_total", "counted") == 75
    assert value("underruns_total", "counted") == 2
    assert value("late_pictures_total", "counted") == 1


def test_every_encode_time_is_observed_once() -> None:
    gauges = ChannelGauges("encoded")
    gauges.tell("task", 0.0, (25, 0, 0), [0.003, 0.005, 0.05])
    gauges.tell("task", 0.0, (50, 0, 0), [])
    assert value("encode_seconds_count", "encoded") == 3
    assert value("encode_seconds_bucket", "encoded", le="0.04") == 2


def test_exactly_one_source_is_on_air() -> None:
    gauges = ChannelGauges("sourced")
    for source in SOURCES:
        gauges.tell(source, 0.0, (0, 0, 0), [])
        shown = {each: value("mixer_source", "sourced", source=each) for each in SOURCES}
        assert shown == {each: float(each == source) for each in SOURCES}
