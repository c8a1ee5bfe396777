"""The offline voice: a real child with the real library, and children that fail on purpose."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from broadcaster.errors import SpeechError
from broadcaster.speech.speaking import fitting_voice, make_voice
from broadcaster.speech.text import UnspeakableTextError
from broadcaster.speech.voices.espeak import EspeakSettings, EspeakVoice
from broadcaster.speech.voices.espeak_names import LANGUAGES, read_choice
from broadcaster.speech.voices.voice import SpokenPiece, Voice, VoiceFailedError
from gpu_pool.engines.mouth import COLUMNS
from gpu_pool.engines.mouth.phonemes import mouth_track, segments, spoken_closures
from tests.oracles.pitch import median_pitch_hz

FAULTY = Path(__file__).parents[1] / "doubles" / "faulty_voice.py"


@pytest.fixture(scope="module")
def voice() -> Iterator[EspeakVoice]:
    speaker = EspeakVoice(EspeakSettings())
    yield speaker
    speaker.close()


def faulty(fault: str, timeout_s: float = 10.0) -> EspeakVoice:
    return EspeakVoice(
        EspeakSettings(command=(sys.executable, str(FAULTY), fault), timeout_s=timeout_s)
    )


def children() -> list[int]:
    """Processes of ours that speak."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(each) for each in (task / "children").read_text().split()]
    return [pid for pid in found if b"voice" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def spoken_by(voice: Voice, text: str) -> list[SpokenPiece]:
    return list(voice.speak(text))


def names(pieces: list[SpokenPiece]) -> list[str]:
    return [each.name for piece in pieces for each in piece.phonemes or () if each.name]


def test_english_is_spoken(voice: EspeakVoice) -> None:
    pieces = spoken_by(voice, "Good evening. Papa bought a big bag of plums.")
    assert [piece.text for piece in pieces] == ["Good evening.", "Papa bought a big bag of plums."]
    assert {piece.language for piece in pieces} == {"en"}
    seconds = [len(piece.sound) / piece.sample_rate for piece in pieces]
    assert 0.8 < seconds[0] < 2.0
    assert 2.0 < seconds[1] < 5.0
    assert "".join(names(pieces)).startswith("ɡʊdiːvnɪŋ")
    assert all(np.abs(piece.sound).max() > 3000 for piece in pieces)


@pytest.mark.parametrize("text", ["Good evening. It stays dry.", "晚上好，欢迎收看。"])
@pytest.mark.parametrize(
    ("presenter", "low_hz", "high_hz"), [("anna", 165, 230), ("leon", 80, 130)]
)
def test_each_presenters_voice_has_the_pitch_of_such_a_person(
    presenter: str, low_hz: float, high_hz: float, text: str
) -> None:
    voice = make_voice(fitting_voice("", "auto", presenter))
    try:
        pieces = spoken_by(voice, text)
    finally:
        voice.close()
    sound = np.concatenate([piece.sound for piece in pieces]) / 32768
    assert low_hz < median_pitch_hz(sound, pieces[0].sample_rate) < high_hz


def test_mandarin_is_spoken_and_not_spelt(voice: EspeakVoice) -> None:
    pieces = spoken_by(voice, "你好，欢迎来到直播间。")
    said = "".join(names(pieces))
    assert pieces[0].language == "zh"
    assert said.startswith("niχɑu")
    assert "tʃ" not in said  # letter names and English words have it, Mandarin's is tɕ or ts.
    assert 2.0 < len(pieces[0].sound) / pieces[0].sample_rate < 4.5


def test_each_sentence_of_a_mixed_text_has_its_voice(voice: EspeakVoice) -> None:
    pieces = spoken_by(voice, "Hello to all of you. 大家好。Guten Abend und willkommen.")
    assert [piece.language for piece in pieces] == ["en", "zh", "de"]
    assert [piece.start_sample for piece in pieces] == [
        0,
        *itertools.accumulate(len(piece.sound) for piece in pieces[:-1]),
    ]


@pytest.mark.parametrize(
    "text", ["Stop. The big brown bear!", "大家好。你吃饭了吗？", "Ça va, Paul ?"]
)
def test_phoneme_times_follow_each_other_inside_the_speech(voice: EspeakVoice, text: str) -> None:
    pieces = spoken_by(voice, text)
    told = [each for piece in pieces for each in piece.phonemes or ()]
    length_s = sum(len(piece.sound) for piece in pieces) / pieces[0].sample_rate
    assert told[0].start_s >= 0
    assert told[-1].end_s <= length_s + 1e-6
    assert all(each.end_s > each.start_s for each in told)
    assert all(a.end_s <= b.start_s + 1e-6 for a, b in itertools.pairwise(told))


def test_phonemes_are_where_the_sound_is(voice: EspeakVoice) -> None:
    piece = spoken_by(voice, "Banana.")[0]
    audible = np.flatnonzero(np.abs(piece.sound.astype(int)) > 200) / piece.sample_rate
    said = [each for each in piece.phonemes or () if each.name]
    assert said[0].start_s == pytest.approx(audible[0], abs=0.03)
    assert said[-1].end_s == pytest.approx(audible[-1], abs=0.15)


def test_the_voices_own_times_close_the_lips_on_every_p_b_and_m(voice: EspeakVoice) -> None:
    piece = spoken_by(voice, "Papa bought a big bag of plums from Mabel.")[0]
    told = [(each.name, each.start_s, each.end_s) for each in piece.phonemes or ()]
    sound = (piece.sound / 32768).astype(np.float32)
    track = mouth_track(told, len(sound) / piece.sample_rate, 25, sound, piece.sample_rate)
    closures = spoken_closures(segments(told))
    assert len(closures) >= 9
    for start_s, end_s in closures:
        assert track[int(start_s * 25) : int(end_s * 25) + 2, COLUMNS.index("open")].min() < 0.1
    assert track[:, 0].max() > 0.6


def test_the_presenter_is_a_woman_and_may_be_another(voice: EspeakVoice) -> None:
    man = EspeakVoice(EspeakSettings(choice=read_choice("espeak:en-us+m3")))
    try:
        text = "We are always on the air."
        assert pitch_hz(spoken_by(voice, text)[0]) > 1.25 * pitch_hz(spoken_by(man, text)[0])
        assert man.name == "espeak:en-us+m3"
        assert voice.name == "espeak"
    finally:
        man.close()


def pitch_hz(piece: SpokenPiece) -> float:
    """The median of the frames' strongest period between 70 and 400 Hz."""
    sound, rate = piece.sound.astype(np.float64), piece.sample_rate
    found = []
    for at in range(0, len(sound) - 2048, 1024):
        frame = sound[at : at + 2048] - sound[at : at + 2048].mean()
        if np.abs(frame).max() > 2000:
            likeness = np.correlate(frame, frame, "full")[2047:]
            low = rate // 400
            found.append(rate / (low + int(np.argmax(likeness[low : rate // 70]))))
    return float(np.median(found))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_that_is_claimed_has_a_voice(voice: EspeakVoice, language: str) -> None:
    speaker = EspeakVoice(EspeakSettings(default_language=language))
    try:
        assert spoken_by(speaker, "1 2 3")[0].language == language
    finally:
        speaker.close()


@pytest.mark.parametrize("text", ["", " \n", "...", "🎉"])
def test_a_text_without_words_is_refused_before_it_is_spoken(voice: EspeakVoice, text: str) -> None:
    with pytest.raises(UnspeakableTextError, match="nothing that can be spoken"):
        voice.speak(text)


def test_a_text_of_the_longest_length_is_spoken_whole(voice: EspeakVoice) -> None:
    pieces = spoken_by(voice, ("word " * 1000)[:5000])
    assert sum(len(piece.text.split()) for piece in pieces) == 1000
    with pytest.raises(UnspeakableTextError, match="longer than 5000"):
        voice.speak("word " * 1001)


def test_markup_is_read_out_and_not_obeyed(voice: EspeakVoice) -> None:
    said = names(spoken_by(voice, '<audio src="/etc/passwd"/> [[ha]] hello'))
    assert "".join(said).endswith("həloʊ")


def test_a_voice_that_does_not_exist_is_a_clear_error() -> None:
    speaker = EspeakVoice(EspeakSettings(choice=read_choice("espeak:en-xyz")))
    try:
        with pytest.raises(VoiceFailedError, match="no voice en-xyz"):
            spoken_by(speaker, "Hello.")
    finally:
        speaker.close()


def test_a_warm_voice_has_its_child_ready(voice: EspeakVoice) -> None:
    speaker = EspeakVoice(EspeakSettings())
    try:
        speaker.warm()
        before = children()
        assert spoken_by(speaker, "Hello.")
        assert children() == before
    finally:
        speaker.close()
    speaker.close()


def test_a_child_that_was_killed_between_sentences_is_replaced(voice: EspeakVoice) -> None:
    speaker = EspeakVoice(EspeakSettings())
    try:
        speaker.warm()
        mine = max(children())
        os.kill(mine, signal.SIGKILL)
        wait_until(lambda: _is_zombie(mine))
        assert spoken_by(speaker, "Hello.")
    finally:
        speaker.close()


def test_a_real_child_that_stands_still_is_given_up_in_time_and_replaced() -> None:
    speaker = EspeakVoice(EspeakSettings(timeout_s=1.0))
    try:
        speaker.warm()
        os.kill(max(children()), signal.SIGSTOP)
        with pytest.raises(VoiceFailedError, match="took too long"):
            spoken_by(speaker, "Hello.")
        assert spoken_by(speaker, "Hello.")
    finally:
        speaker.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("never ready", "took too long"),
        ("dies at once", "ended unexpectedly"),
        ("not installed", "cannot be loaded"),
        ("hangs", "took too long"),
        ("dies", "ended unexpectedly"),
        ("nonsense", "nonsense"),
        ("bad phonemes", "nonsense"),
        ("never stops", "does not stop"),
    ],
)
def test_whatever_a_child_does_ends_in_an_error_and_leaves_no_process(
    fault: str, message: str
) -> None:
    before = children()
    speaker = faulty(fault, 2.0 if message == "took too long" else 20.0)
    began_s = time.monotonic()
    with pytest.raises(SpeechError, match=message):
        spoken_by(speaker, "Hello.")
    assert time.monotonic() - began_s < 15
    assert children() == before


def test_a_program_that_cannot_be_started_is_a_clear_error() -> None:
    speaker = EspeakVoice(EspeakSettings(command=("/nonexistent/voice",)))
    with pytest.raises(VoiceFailedError, match="cannot be started"):
        speaker.warm()


def test_two_threads_may_speak_at_once(voice: EspeakVoice) -> None:
    said: dict[str, str] = {}

    def speak(text: str) -> None:
        said[text] = "".join(names(spoken_by(voice, text)))

    texts = ("One. Two. Three. Four.", "Red. Green. Blue. Black.")
    alone = {text: "".join(names(spoken_by(voice, text))) for text in texts}
    threads = [threading.Thread(target=speak, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert said == alone


def test_the_library_stays_out_of_this_process(voice: EspeakVoice) -> None:
    """The GPL boundary: even after speaking, the parent has neither library nor wheel loaded."""
    code = (
        "import sys\n"
        "from broadcaster.speech.voices.espeak import EspeakSettings, EspeakVoice\n"
        "voice = EspeakVoice(EspeakSettings())\n"
        "assert list(voice.speak('Hello.'))\n"
        "maps = open('/proc/self/maps').read()\n"
        "voice.close()\n"
        "print('espeak-ng' in maps, 'espeakng_loader' in sys.modules,\n"
        "      'broadcaster.speech.voices.espeak_child' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_the_child_dies_with_its_parent() -> None:
    code = (
        "import os, signal\n"
        "from broadcaster.speech.voices.espeak import EspeakSettings, EspeakVoice\n"
        "voice = EspeakVoice(EspeakSettings())\n"
        "voice.warm()\n"
        "print(voice._child._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))


def test_the_child_has_its_limits() -> None:
    speaker = EspeakVoice(EspeakSettings())
    try:
        assert spoken_by(speaker, "Hello.")
        limits = Path(f"/proc/{max(children())}/limits").read_text()
        rows = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()[1:]}
        assert rows["Max address space"] == str(512 << 20)
        assert int(rows["Max cpu time"]) <= 20
        assert rows["Max core file size"] == "0"
    finally:
        speaker.close()


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(true: Callable[[], bool], deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
