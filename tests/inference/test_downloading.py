"""One file of the web: whole and what it is called, or nothing of it stays."""

from __future__ import annotations

import fcntl
import hashlib
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inference.catalog import downloading
from inference.errors import WeightsError
from tests.inference import broken

GOOD = broken.header({"a": broken.tensor(shape=(1000,), offsets=(0, 4000))}, b"\1" * 4000)

Respond = Callable[[BaseHTTPRequestHandler], None]


def whole(handler: BaseHTTPRequestHandler) -> None:
    send(handler, GOOD)


def send(handler: BaseHTTPRequestHandler, content: bytes, announced: int | None = None, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content) if announced is None else announced))
    handler.end_headers()
    handler.wfile.write(content)


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
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a.safetensors", answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_whole_file_gets_its_name_and_nothing_else_stays(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(whole)
    place = tmp_path / "weights" / "a.safetensors"
    downloading.download(url, place, hashlib.sha256(GOOD).hexdigest())
    assert place.read_bytes() == GOOD
    assert list(place.parent.iterdir()) == [place]


REFUSALS: dict[str, tuple[Respond, str]] = {
    "cut": (lambda handler: send(handler, GOOD[:2000], len(GOOD)), "it was cut after 2000 of"),
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
        downloading.download(url, place)
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_a_cut_one_comes_whole_the_next_time(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers += [REFUSALS["cut"][0], whole]
    place = tmp_path / "a.safetensors"
    with pytest.raises(WeightsError, match="run the same command again"):
        downloading.download(url, place)
    place.with_name("a.safetensors.part").write_bytes(b"what a killed download left, longer than it" * 1000)
    downloading.download(url, place)
    assert place.read_bytes() == GOOD
    assert list(tmp_path.iterdir()) == [place]


def test_another_file_than_its_hash_says_is_refused(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(whole)
    with pytest.raises(WeightsError, match="is another file than sha256 in models.toml says"):
        downloading.download(url, tmp_path / "a.safetensors", "0" * 64)
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
            downloading.download(url, tmp_path / "a.safetensors")
        assert part.read_bytes() == b"half of it"


def test_a_place_that_cannot_be_written_is_told(site: tuple[str, list[Respond]], tmp_path: Path) -> None:
    url, answers = site
    answers.append(whole)
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cannot be fetched from 127.0.0.1: .*weights"):
        downloading.download(url, tmp_path / "weights" / "a.safetensors")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(GOOD) // 2, limits[1]))
    try:
        with pytest.raises(WeightsError, match="File too large"):
            downloading.download(url, tmp_path / "a.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
