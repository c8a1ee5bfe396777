"""What a channel's studio decides, without a process, a socket or a clock."""

from __future__ import annotations

from broadcaster.studio.lane import DEATHS_AT_MOST, Held, Lane, Step, lane_state


def ready(task_id: str, samples: int = 100) -> Held:
    return Held(task_id, Step.READY, samples)


def test_an_empty_lane_wants_a_task_and_sends_none() -> None:
    lane = Lane("main")
    assert lane.wants_task()
    assert lane.to_send() is None


def test_the_next_task_is_prepared_while_the_first_is_on_air() -> None:
    lane = Lane("main").added(ready("a")).sent("a").heard("a", 0)
    assert lane.wants_task()


def test_only_one_task_is_prepared_at_a_time() -> None:
    assert not Lane("main").added(Held("a", Step.PREPARING)).wants_task()


def test_no_third_task_is_taken() -> None:
    assert not Lane("main").added(ready("a")).added(ready("b")).wants_task()


def test_a_task_is_never_sent_before_the_one_ahead_of_it() -> None:
    lane = Lane("main").added(Held("a", Step.PREPARING)).added(ready("b"))
    assert lane.to_send() is None
    lane = lane.prepared("a", 50)
    sent = lane.to_send()
    assert sent is not None
    assert sent.task_id == "a"


def test_the_second_task_is_sent_while_the_first_is_still_on_air() -> None:
    lane = Lane("main").added(ready("a")).sent("a").heard("a", 10).added(ready("b"))
    sent = lane.to_send()
    assert sent is not None
    assert sent.task_id == "b"


def test_a_lost_playout_makes_every_task_be_sent_again_with_its_progress() -> None:
    lane = Lane("main").added(ready("a")).added(ready("b")).sent("a").sent("b").heard("a", 40)
    lane = lane.unsent()
    assert [(h.task_id, h.step, h.played_samples) for h in lane.held] == [
        ("a", Step.READY, 40),
        ("b", Step.READY, 0),
    ]


def test_a_task_found_on_air_while_it_is_prepared_again_stays_there() -> None:
    """Else it would wait for ever for the playout to begin what it is saying already."""
    lane = Lane("main").added(Held("a", Step.PREPARING)).heard("a", 40).prepared("a", 100)
    assert [(held.step, held.samples) for held in lane.held] == [(Step.ON_AIR, 100)]
    assert lane.to_send() is None


def test_progress_never_goes_back() -> None:
    lane = Lane("main").added(ready("a")).sent("a").heard("a", 40).heard("a", 10)
    assert lane.held[0].played_samples == 40


def test_a_task_that_kills_the_playout_every_time_is_given_up() -> None:
    lane = Lane("main").added(ready("a")).added(ready("b"))
    for _ in range(DEATHS_AT_MOST):
        assert not lane.held[0].hopeless
        lane = lane.sent("a").sent("b").heard("a", 0).unsent()
    assert lane.held[0].hopeless
    assert not lane.held[1].hopeless, "the waiting task is not to blame"


def test_deaths_are_forgiven_when_the_task_was_heard_further() -> None:
    lane = Lane("main").added(ready("a", 10_000))
    for death in range(3 * DEATHS_AT_MOST):
        lane = lane.sent("a").heard("a", 10 * (death + 1)).unsent()
    assert not lane.held[0].hopeless


def test_an_adopted_task_comes_first() -> None:
    lane = Lane("main").added(ready("b")).adopted(Held("a", Step.SENT, 100))
    assert [held.task_id for held in lane.held] == ["a", "b"]


def test_the_state_in_words() -> None:
    lane = Lane("main")
    assert lane_state(lane, connected=False) == "waiting"
    lane = lane.added(ready("a")).sent("a").heard("a", 0)
    assert lane_state(lane, connected=True) == "on_air"
    assert lane_state(lane, connected=False) == "playout_down"
