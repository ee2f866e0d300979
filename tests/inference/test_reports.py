"""What becomes of results on their way out: written, sent, held back or cancelled at the last moment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.exchange.outputs import Files, Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.protocol import (
    Alive,
    Answer,
    Batch,
    Began,
    Compare,
    Event,
    Failed,
    Finished,
    Picture,
    Progress,
    Region,
    because,
    logs,
    pack,
)
from tests.inference import tiny
from tests.inference.conftest import ask_for, uploaded
from tests.inference.folders import bytes_of, data_folder
from tests.inference.serving import Serving
from tests.inference.test_files import full_disk

PAINTED = Painted(image=tiny.picture(), source="trainedAlgorithmicMedia", texts={})
SOON_S = 30.0


class Held(Files):
    """A disk that takes its time: a picture is written when it is let."""

    def __init__(self, incoming: Path) -> None:
        super().__init__(incoming, marking.ALL)
        self.asked, self.let = threading.Event(), threading.Event()

    def keep(self, painted: Painted) -> Picture:
        self.asked.set()
        assert self.let.wait(SOON_S)
        return super().keep(painted)


def running(report: Reporter, *jobs: int) -> None:
    for job in jobs:
        assert report.accept(job)
        assert report.begin(job)


def returns(work: Callable[[], object]) -> bool:
    """Whether this comes to its end by itself."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SOON_S)
    return not thread.is_alive()


def ends(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, Finished | Failed)]


def test_a_result_is_on_disk_when_the_bot_hears_of_it(tmp_path: Path) -> None:
    there: list[bytes] = []

    def heard(event: Event) -> None:
        if isinstance(event, Finished):
            there.extend((tmp_path / picture.file).read_bytes() for picture in event.pictures)

    report = Reporter(heard, Files(tmp_path))
    running(report, 1)
    report.finish(1, [PAINTED, PAINTED], {})
    report.close()
    assert [data[:4] for data in there] == [b"\x89PNG"] * 2


def test_no_step_waits_for_a_result_that_is_being_written_or_sent(tmp_path: Path) -> None:
    events: list[Event] = []
    sending, sent = threading.Event(), threading.Event()

    def slow(event: Event) -> None:
        if isinstance(event, Finished):
            sending.set()
            assert sent.wait(SOON_S)
        events.append(event)

    outputs = Held(tmp_path)
    report = Reporter(slow, outputs)
    running(report, 1, 2)
    report.finish(1, [PAINTED], {})

    def step(number: int) -> None:
        report.step(2, number, 9)
        assert report.still_wanted([2]) == [2]
        report.cancel(3)

    assert outputs.asked.wait(SOON_S)
    assert returns(lambda: step(0))
    outputs.let.set()
    assert sending.wait(SOON_S)
    assert returns(lambda: step(9))
    assert [event.step for event in events if isinstance(event, Progress) and event.job == 2] == [0, 9]
    sent.set()
    report.close()
    assert isinstance(events[-1], Finished)


def test_a_job_cancelled_while_its_result_is_written_ends_as_cancelled_and_leaves_no_file(tmp_path: Path) -> None:
    events: list[Event] = []
    outputs = Held(tmp_path)
    report = Reporter(events.append, outputs)
    running(report, 1)
    report.finish(1, [PAINTED, PAINTED], {})
    assert outputs.asked.wait(SOON_S)
    report.cancel(1)
    outputs.let.set()
    report.close()
    assert ends(events) == [Failed(1, "cancelled", because("cancelled"))]
    assert not list(tmp_path.iterdir())


def test_a_number_given_anew_while_the_old_result_is_written_gets_an_end_of_its_own(tmp_path: Path) -> None:
    events: list[Event] = []
    outputs = Held(tmp_path)
    report = Reporter(events.append, outputs)
    running(report, 1)
    report.finish(1, [PAINTED], {})
    assert outputs.asked.wait(SOON_S)
    report.cancel(1)
    report.still_wanted([1])
    running(report, 1)
    outputs.let.set()
    report.close()
    report.fail(1, "internal", because("engine_broke"))
    assert [event for event in events if isinstance(event, Failed | Finished)] == [
        Failed(1, "cancelled", because("cancelled")),
        Failed(1, "internal", because("engine_broke")),
    ]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "end",
    [
        lambda report: report.finish(1, [PAINTED], {}),
        lambda report: report.fail(1, "unsafe", because("flagged")),
        lambda report: report.postpone(1),
        lambda report: report.still_wanted([1]),
    ],
    ids=["finished", "failed", "postponed", "asked"],
)
def test_a_cancelled_job_ends_as_cancelled_whatever_else_comes_of_it(
    end: Callable[[Reporter], object], tmp_path: Path
) -> None:
    events: list[Event] = []
    report = Reporter(events.append, Files(tmp_path))
    running(report, 1)
    report.cancel(1)
    assert not end(report)
    report.close()
    assert [event for event in events if not isinstance(event, Alive)] == [Failed(1, "cancelled", because("cancelled"))]
    assert not list(tmp_path.iterdir())


def test_an_answer_that_fits_no_frame_fails_with_a_sentence_and_leaves_no_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []

    def send(event: Event) -> None:
        pack(event)
        events.append(event)

    report = Reporter(send, Files(tmp_path))
    running(report, 1)
    outline = tuple((float(corner), 0.5) for corner in range(10_000))
    regions = tuple(Region("a house", (0, 0, 1, 1), (outline,)) for _ in range(100))
    report.finish(1, [PAINTED], {}, Answer(regions=regions))
    report.close()
    (end,) = ends(events)
    assert isinstance(end, Failed)
    assert end.reason == because("answer_too_large")
    assert "over the frame limit" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_full_disk_fails_the_job_with_a_sentence_and_the_engine_goes_on(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    before = set((data_folder() / "incoming").iterdir())
    caplog.handler.addFilter(logs.note_jobs)
    with full_disk(100), caplog.at_level(logging.ERROR):
        serving.peer.send(Batch((ask_for(1),)))
        end = serving.peer.ends(1)[1]
    assert end == Failed(1, "internal", because("disk_full"))
    assert set((data_folder() / "incoming").iterdir()) == before
    ((line, jobs),) = [(record.getMessage(), record.jobs) for record in caplog.records]  # type: ignore[attr-defined]
    assert jobs == (1,), "the thread that writes files knows for which job"
    assert line.startswith("the result cannot be kept: [Errno 27] File too large")
    assert serving.peer.paint(ask_for(2)), "there is room again"


def test_a_folder_that_is_gone_fails_the_job_with_a_sentence(tmp_path: Path) -> None:
    events: list[Event] = []
    report = Reporter(events.append, Files(tmp_path / "gone" / "incoming"))
    running(report, 1)
    report.finish(1, [PAINTED], {})
    report.close()
    assert ends(events) == [Failed(1, "internal", because("disk_failed"))]


def test_input_and_result_larger_than_any_frame_pass_as_files(serving: Serving) -> None:
    noise, files = uploaded(tiny.picture(2400, 2400))
    small, more = uploaded(tiny.picture(48, 48))
    request = Compare(job=1, model="canny", image=noise, width=2400, height=2400, painted=(small,))
    with pytest.raises(ValueError, match="over the frame limit"):
        pack(Failed(1, "internal", because(files[noise.sha256].hex())))
    (picture,) = serving.peer.paint(request, files=files | more)[1].pictures
    data = bytes_of(picture)
    assert len(data) > 16 * 2**20
    assert (picture.width, picture.height) == (2 * (2400 + 37) + 2400, 2400 + 150)


def test_the_bot_hears_what_is_worked_on_and_of_nothing_that_has_ended(tmp_path: Path) -> None:
    events: list[Event] = []
    report = Reporter(events.append, Files(tmp_path))
    running(report, 1, 2)
    report.took_up([1, 2])
    report.fail(1, "internal", because("engine_broke"))
    report.took_up([1, 2])
    report.fail(2, "internal", because("engine_broke"))
    report.took_up([1, 2])
    assert [event for event in events if isinstance(event, Began)] == [Began((1, 2)), Began((2,))]


def test_a_result_that_is_handed_over_needs_the_device_no_more_which_is_said_once(tmp_path: Path) -> None:
    events: list[Event] = []
    report = Reporter(events.append, Files(tmp_path))
    running(report, 1, 2, 3)
    report.step(1, 3, 4)
    report.step(2, 4, 4, "finishing")
    for job in (1, 2, 3):
        report.finish(job, [PAINTED], {})
    report.close()
    said = [event for event in events if isinstance(event, Progress) and event.stage == "finishing"]
    assert said == [Progress(2, 4, 4, "finishing"), Progress(1, 4, 4, "finishing"), Progress(3, 1, 1, "finishing")]
