"""Bugs that put earlier realtime presenters off the air, each with the tests that keep it out here.

The first thirteen are those of LatentsyncRealtime, the service whose API this station keeps. The
list only names; the tests it names do the work, and this module fails when one of them is gone.
"""

from __future__ import annotations

import ast

import pytest

from tests.houserules.source_tree import REPO

KNOWN_BUGS = {
    "the encoder freezes by itself: nobody reads its stderr": (
        "component/test_push_process.py::test_a_flood_on_stderr_neither_stops_the_push_nor_shows_the_key",
    ),
    "no reconnect and no supervision of the push": (
        "component/test_push_process.py::test_a_process_that_ends_is_replaced_again_and_again",
        "system/test_push_rtmp.py::test_a_killed_push_is_back_with_an_idr_within_one_and_a_half_seconds",
        "system/test_push_rtmp.py::test_a_closed_ingest_is_published_to_again_soon_after_it_is_back",
    ),
    "a dead worker kills the stream": (
        "component/test_pool_deaths.py::test_a_worker_that_ends_costs_one_retry_and_nothing_else",
        "component/test_studio_stage.py::test_a_worker_that_dies_is_not_noticed_in_the_pictures",
        "system/test_speaking.py::test_a_sentence_survives_the_death_of_who_renders_it",
    ),
    "a failed batch loses everything behind it": (
        "component/test_pool_deaths.py::test_a_batch_that_kills_two_workers_is_lost_and_the_rest_of_the_task_comes",
        "component/test_channel_rendered.py::test_lost_pictures_show_idle_under_the_real_sound",
    ),
    "sound is cut to the template's length and to whole batches": (
        "unit/test_performance.py::test_every_picture_is_asked_for_once_with_the_fade_out_included",
        "unit/test_pool_windows.py::test_every_picture_is_in_exactly_one_batch",
        "component/test_channel_door.py::test_a_sound_file_is_played_to_its_last_sample",
    ),
    "two tasks interleave": (
        "component/test_studio.py::test_tasks_are_said_whole_in_order_and_their_files_go",
        "component/test_channel_tasks.py::test_tasks_follow_one_another_without_an_idle_sample",
    ),
    "starvation is a frozen stream": (
        "component/test_channel_rendered.py::test_a_ring_run_dry_pauses_sound_and_picture_together_and_loses_no_sample",
        "component/test_channel_tasks.py::test_a_task_that_runs_dry_fades_out_and_comes_back_without_a_sample_lost",
    ),
    "slow reaction: idle that is queued already plays first": (
        "component/test_channel_tasks.py::test_an_interrupt_is_over_within_the_lead_and_one_mixed_picture",
        "component/test_channel_rendered.py::test_a_task_is_on_air_at_the_tick_it_was_rendered_for",
    ),
    "the cross-fade starts from a picture that was never on air": (
        "component/test_splices.py::test_every_picture_is_the_one_that_should_be_on_air",
        "component/test_channel_rendered.py::test_a_task_is_on_air_at_the_tick_it_was_rendered_for",
    ),
    "a guidance scale that every batch fails on is accepted": (
        "component/test_api_requests.py::test_a_guidance_scale_that_no_engine_could_use_is_refused_before_it_is_a_task",
    ),
    "leaks: temporary files, queues without a bound, pictures": (
        "component/test_studio.py::test_tasks_are_said_whole_in_order_and_their_files_go",
        "component/test_studio_stage.py::test_a_task_behind_another_holds_a_third_of_the_ring_and_the_first_one_the_rest",
        "component/test_channel_rendered.py::test_every_picture_comes_back_once_also_after_an_interrupt",
    ),
    "an encoding that platforms refuse: no key frames, no rate limit, 16 kHz mono, clipping": (
        "component/test_splices.py::test_the_idr_grid_is_kept_and_no_two_idrs_are_adjacent",
        "component/test_splices.py::test_the_decoders_buffer_never_underflows",
        "system/test_station.py::test_the_channel_is_what_was_promised",
    ),
    "no limit, no format check, no timeout": (
        "component/test_api_flood.py::test_a_flood_of_junk_kills_nothing_and_an_upload_gets_through",
        "component/test_studio.py::test_sound_that_cannot_be_decoded_fails_with_a_sentence",
    ),
}
"""Bug -> ``file::test`` below ``tests/``."""


@pytest.mark.parametrize("bug", KNOWN_BUGS)
def test_a_known_bug_has_its_tests(bug: str) -> None:
    for name in KNOWN_BUGS[bug]:
        file, _, test = name.partition("::")
        tree = ast.parse((REPO / "tests" / file).read_text(encoding="utf-8"))
        assert test in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, name
