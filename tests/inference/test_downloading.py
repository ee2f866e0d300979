"""One file of the web: whole and what it is called, gone on with where it broke off, or nothing of it stays."""

from __future__ import annotations

import fcntl
import hashlib
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from inference.catalog import downloading, progress
from inference.catalog.downloading import Source
from inference.errors import WeightsError
from tests.inference import broken

GOOD = broken.header({"a": broken.tensor(shape=(1000,), offsets=(0, 4000))}, b"\1" * 4000)

SHA256 = hashlib.sha256(GOOD).hexdigest()

Respond = Callable[[BaseHTTPRequestHandler], None]


def whole(handler: BaseHTTPRequestHandler) -> None:
    send(handler, GOOD)


def send(
    handler: BaseHTTPRequestHandler, content: bytes, announced: int | None = None, status: int = 200, **said: str
) -> None:
    handler.send_response(status)
    for name, value in said.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(content) if announced is None else announced))
    handler.end_headers()
    handler.wfile.write(content)


def rest(handler: BaseHTTPRequestHandler, content: bytes = GOOD, **said: str) -> None:
    """What is asked for by Range."""
    begin = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    of = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    send(handler, content[begin:], status=206, Content_Range=of, **said)


def cut(handler: BaseHTTPRequestHandler, **said: str) -> None:
    send(handler, GOOD[:2000], len(GOOD), **said)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No test waits for a server; gives for how long it would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr(downloading.time, "sleep", waited.append)
    return waited


@pytest.fixture
def site() -> Iterator[tuple[str, list[Respond]]]:
    """A web server that answers each request with the next of these, and the last for ever."""
    answers: list[Respond] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers[0](self) if len(answers) == 1 else answers.pop(0)(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a.safetensors", answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_whole_file_gets_its_name_and_nothing_else_stays(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(whole)
    place = tmp_path / "weights" / "a.safetensors"
    downloading.download(Source(url=url, digest=SHA256), place)
    assert place.read_bytes() == GOOD
    assert list(place.parent.iterdir()) == [place]


REFUSALS: dict[str, tuple[Respond, str]] = {
    "cut": (cut, "it was cut after 2000 of"),
    "empty": (lambda handler: send(handler, b""), "is empty"),
    "page": (lambda handler: send(handler, broken.PAGE), "is a web page and no file of weights"),
    "pointer": (lambda handler: send(handler, broken.POINTER), "is a Git LFS pointer"),
    "short": (lambda handler: send(handler, GOOD[:-1]), "is no whole safetensors file"),
    "missing": (lambda handler: send(handler, b"gone", status=404), "HTTP Error 404"),
    "silence": (lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), "cannot be fetched from 127.0.0.1"),
    "nonsense": (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n") and None, "cannot be fetched from"),
    "no number": (lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: many\r\n\r\n") and None, ""),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("before", [None, b"what was here"])
def test_what_is_not_whole_leaves_nothing_but_what_was_there(
    case: str, before: bytes | None, site: tuple[str, list[Respond]], tmp_path: Path
) -> None:
    url, answers = site
    respond, said = REFUSALS[case]
    answers.append(respond)
    place = tmp_path / "a.safetensors"
    if before is not None:
        place.write_bytes(before)
    with pytest.raises(WeightsError) as told:
        downloading.download(Source(url=url), place)
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_what_broke_off_goes_on_where_it_ended(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    asked: list[str | None] = []

    def noted(answer: Respond) -> Respond:
        return lambda handler: asked.append(handler.headers.get("Range")) or answer(handler)  # type: ignore[func-returns-value]

    answers += [noted(cut), noted(rest)]
    place = tmp_path / "a.safetensors"
    downloading.download(Source(url=url, digest=SHA256), place)
    assert asked == [None, "bytes=2000-"]
    assert place.read_bytes() == GOOD
    assert list(tmp_path.iterdir()) == [place]


def test_what_a_killed_download_left_is_gone_on_with(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(rest)
    place = tmp_path / "a.safetensors"
    place.with_name("a.safetensors.part").write_bytes(GOOD[:3000])
    downloading.download(Source(url=url, digest=SHA256, size=len(GOOD)), place)
    assert place.read_bytes() == GOOD


@pytest.mark.parametrize(
    "left",
    [b"of another file" * 100, GOOD + b"longer than it", GOOD[:-1] + b"?"],
    ids=["other", "longer", "as long"],
)
def test_what_is_left_of_another_file_is_fetched_anew(
    left: bytes, site: tuple[str, list[Respond]], tmp_path: Path
) -> None:
    url, answers = site
    answers.append(lambda handler: rest(handler) if handler.headers.get("Range") else whole(handler))
    place = tmp_path / "a.safetensors"
    place.with_name("a.safetensors.part").write_bytes(left)
    downloading.download(Source(url=url, digest=SHA256, size=len(GOOD)), place)
    assert place.read_bytes() == GOOD


def test_a_server_that_takes_no_notice_of_ranges_sends_all_of_it(
    site: tuple[str, list[Respond]], tmp_path: Path
) -> None:
    url, answers = site
    answers += [cut, whole]
    downloading.download(Source(url=url, digest=SHA256), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == GOOD


def test_a_server_that_goes_on_elsewhere_is_not_believed(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers += [cut, lambda handler: send(handler, GOOD, status=206, Content_Range=f"bytes 0-{len(GOOD)}/{len(GOOD)}")]
    downloading.download(Source(url=url, digest=SHA256), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == GOOD


def test_a_beginning_that_the_server_has_no_more_is_dropped(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers += [cut, lambda handler: send(handler, b"", status=416), whole]
    downloading.download(Source(url=url, digest=SHA256), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == GOOD


def test_without_a_hash_only_the_same_version_is_gone_on_with(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    place, asked = tmp_path / "a.safetensors", list[str | None]()

    def versioned(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("If-Range"))
        rest(handler, ETag='"1"')

    answers += [lambda handler: cut(handler, ETag='"1"'), lambda handler: send(handler, b"no", status=403)]
    with pytest.raises(WeightsError, match="HTTP Error 403"):
        downloading.download(Source(url=url), place)
    answers[:] = [versioned]
    downloading.download(Source(url=url), place)
    assert asked == ['"1"']
    assert place.read_bytes() == GOOD
    assert list(tmp_path.iterdir()) == [place]
    # Nothing says whether this is the same: it is left out.
    place.with_name("a.safetensors.part").write_bytes(b"of whatever" * 1000)
    answers[:] = [whole]
    downloading.download(Source(url=url), place)
    assert place.read_bytes() == GOOD


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(
    status: int, site: tuple[str, list[Respond]], tmp_path: Path, impatient: list[float]
) -> None:
    url, answers = site

    def busy(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"later", status=status, Retry_After="7")

    answers += [busy, cut, busy, rest]
    downloading.download(Source(url=url, digest=SHA256), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == GOOD
    assert impatient == [7.0, 1.0, 7.0], "as long as it says, and from the first wait again where bytes came"


def test_a_server_that_stays_busy_or_asks_for_hours_is_given_up(
    site: tuple[str, list[Respond]], tmp_path: Path, impatient: list[float]
) -> None:
    url, answers = site
    answers.append(lambda handler: send(handler, b"later", status=503))
    with pytest.raises(WeightsError, match="HTTP Error 503"):
        downloading.download(Source(url=url), tmp_path / "a.safetensors")
    assert impatient == [*downloading.WAITS_S]
    answers[:] = [lambda handler: send(handler, b"later", status=429, Retry_After="7200")]
    with pytest.raises(WeightsError, match="HTTP Error 429"):
        downloading.download(Source(url=url), tmp_path / "a.safetensors")
    assert impatient == [*downloading.WAITS_S], "nobody waits for two hours"
    assert not list(tmp_path.iterdir())


def test_an_address_that_holds_for_a_time_alone_is_asked_for_anew(
    site: tuple[str, list[Respond]], tmp_path: Path
) -> None:
    url, answers = site

    def signed(handler: BaseHTTPRequestHandler) -> None:
        rest(handler) if handler.path.endswith("?signed=2") else send(handler, b"over", status=403)

    answers += [cut, signed]
    source = Source(url=f"{url}?signed=1", digest=SHA256, renewed=lambda: f"{url}?signed=2")
    downloading.download(source, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == GOOD


def test_what_is_said_to_a_server_is_not_said_to_another(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    heard: list[str | None] = []

    def lead(handler: BaseHTTPRequestHandler) -> None:
        heard.append(handler.headers.get("Authorization"))
        send(handler, b"", status=302, Location=url.replace("127.0.0.1", "localhost"))

    answers += [lead, lambda handler: heard.append(handler.headers.get("Authorization")) or whole(handler)]  # type: ignore[func-returns-value]
    source = Source(url=url, headers={"Authorization": "Bearer secret"})
    downloading.download(source, tmp_path / "a.safetensors")
    assert heard == ["Bearer secret", None]


def test_a_full_disk_is_told_before_the_first_byte(
    site: tuple[str, list[Respond]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = site
    answers.append(whole)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(WeightsError, match=r"0.0 GB are to come into .*, where 1.0 GB are free: make room"):
        downloading.download(Source(url=url), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_progress_is_a_line_now_and_then_where_no_terminal_is(
    site: tuple[str, list[Respond]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = site
    answers.append(whole)
    downloading.download(Source(url=url), tmp_path / "a.safetensors")
    assert capsys.readouterr().err == "", "soon done, nothing to say"
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    downloading.download(Source(url=url), tmp_path / "a.safetensors", shown="weights")
    assert capsys.readouterr().err == "weights: 0.00 of 0.00 GB\n"
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    downloading.download(Source(url=url), tmp_path / "a.safetensors", shown="weights")
    assert "weights: 100%" in capsys.readouterr().err


def test_another_file_than_its_hash_says_is_refused(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(whole)
    with pytest.raises(WeightsError, match="is another file than sha256 in models.toml says"):
        downloading.download(Source(url=url, digest="0" * 64), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_two_at_once_do_not_mix(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(whole)
    part = tmp_path / "a.safetensors.part"
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"half of it")
        other.flush()
        with pytest.raises(WeightsError, match="is being fetched by somebody else"):
            downloading.download(Source(url=url), tmp_path / "a.safetensors")
        assert part.read_bytes() == b"half of it"


def test_a_file_that_somebody_else_has_just_finished_is_left_alone(tmp_path: Path) -> None:
    part, place = tmp_path / "a.safetensors.part", tmp_path / "a.safetensors"
    part.write_bytes(GOOD)
    with downloading._held(part):
        pass
    opened = Path.open

    def finished_meanwhile(path: Path, mode: str, buffering: int) -> object:
        stream = opened(path, mode, buffering)
        path.replace(place)
        return stream

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", finished_meanwhile)
        with pytest.raises(WeightsError, match="by somebody else"), downloading._held(part):
            pass
    assert place.read_bytes() == GOOD


def test_a_place_that_cannot_be_written_is_told(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(whole)
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cannot be fetched from 127.0.0.1: .*weights"):
        downloading.download(Source(url=url), tmp_path / "weights" / "a.safetensors")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(GOOD) // 2, limits[1]))
    try:
        with pytest.raises(WeightsError, match="File too large"):
            downloading.download(Source(url=url), tmp_path / "a.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
