"""What a training notes for TensorBoard, read back by TensorBoard's own reader, also after kills and resumes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from artmaster_pipeline.training.monitoring.tensorboard import EventWriter


def read(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    keep_all = {"scalars": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=keep_all).Reload()


def curve(folder: Path, tag: str) -> dict[int, float]:
    """Step -> value; fails where a step is there twice."""
    events = read(folder).Scalars(tag)
    values = {event.step: event.value for event in events}
    assert len(values) == len(events)
    return values


def test_numbers_pictures_and_words_come_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    journal = EventWriter(tmp_path / "new" / "folder", 0)
    journal.text("settings", "epochs: 3")
    for step in range(1, 6):
        journal.scalars(step, {"loss/velocity": 1 / step, "rank": 40 - step})
    journal.picture(5, "held out/1", pixels)
    journal.close()
    events = read(tmp_path / "new" / "folder")
    assert set(events.Tags()["scalars"]) == {"loss/velocity", "rank"}
    assert curve(tmp_path / "new" / "folder", "rank") == {step: 40 - step for step in range(1, 6)}
    (image,) = events.Images("held out/1")
    assert (image.step, image.width, image.height) == (5, 30, 20)
    assert np.array_equal(decoded(image.encoded_image_string), pixels)
    assert words(tmp_path / "new" / "folder", "settings") == [(1, "epochs: 3")]


def decoded(png: bytes) -> np.ndarray:
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)))


def words(folder: Path, tag: str) -> list[tuple[int, str]]:
    """(step, words) as TensorBoard's own pages get them; the accumulator for scripts forgets to purge words."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload().Tensors(f"{tag}/text_summary")
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in events]


def test_after_resumes_no_step_is_there_twice_and_the_last_word_counts(tmp_path):
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    for session, (done, last, pixels) in enumerate([(0, 9, black), (4, 7, black), (4, 12, white)], start=1):
        journal = EventWriter(tmp_path, done)
        journal.text("session", str(session))
        for step in range(done + 1, last + 1):
            journal.scalars(step, {"loss": session})
        journal.picture(6, "held out", pixels)
        journal.close()
    assert curve(tmp_path, "loss") == {step: 1 if step <= 4 else 3 for step in range(1, 13)}
    assert words(tmp_path, "session") == [(1, "1"), (5, "3")]
    (image,) = read(tmp_path).Images("held out")
    assert decoded(image.encoded_image_string).min() == 255


def test_a_resume_under_a_clock_that_goes_behind_still_comes_last(tmp_path, monkeypatch):
    for done, clock in ((0, 2_000_000_000.0), (2, 1_500_000_000.0), (3, 1_500_000_000.0), (1, 1_400_000_000.0)):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        journal = EventWriter(tmp_path, done)
        for step in range(done + 1, 6):
            journal.scalars(step, {"loss": clock})
        journal.close()
    assert curve(tmp_path, "loss") == {1: 2e9} | dict.fromkeys(range(2, 6), 1.4e9)


def test_a_training_that_begins_anew_shows_nothing_of_the_attempt_before_and_touches_no_other_file(tmp_path):
    for value in (1.0, 2.0):
        journal = EventWriter(tmp_path, 0)
        journal.scalars(0, {"before": value})
        journal.scalars(1, {"loss": value})
        journal.close()
        (tmp_path / "notes.txt").write_text("mine")
    assert (curve(tmp_path, "before"), curve(tmp_path, "loss")) == ({0: 2.0}, {1: 2.0})
    assert (tmp_path / "notes.txt").read_text() == "mine"


KILLED = """
import os, signal, sys
from pathlib import Path
from artmaster_pipeline.training.monitoring.tensorboard import EventWriter
journal = EventWriter(Path(sys.argv[1]), 0)
for step in range(1, 9):
    journal.scalars(step, {"loss": 1.0})
    if step == 6:
        journal.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_flushed_survives_a_kill_and_a_torn_end_of_file_does_not_hide_what_follows(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False).returncode == -9
    (file,) = tmp_path.glob("events.out.tfevents.*")
    assert set(range(1, 7)) <= set(curve(tmp_path, "loss"))
    os.truncate(file, file.stat().st_size - 5)
    journal = EventWriter(tmp_path, 5)
    for step in range(6, 11):
        journal.scalars(step, {"loss": 2.0})
    journal.close()
    assert curve(tmp_path, "loss") == {step: 1.0 if step <= 5 else 2.0 for step in range(1, 11)}
