"""A hub on this machine, as far as a download asks it: what a repository holds, and its files."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "b" * 40

Fault = Callable[[BaseHTTPRequestHandler], None]
"""Answers the request for a file in its own way."""


@contextmanager
def hub(repo: str, folder: Path, *faults: Fault, of: str = "") -> Iterator[tuple[str, list[str]]]:
    """Serve this folder as this repository; gives the endpoint and the files that have been downloaded so far.

    Requests for files whose names end with `of` meet the faults first, one each. Behind a file's name stands from which
    byte on, where that is asked.
    """
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    downloaded: list[str] = []
    waiting = [*faults]

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            api = f"/api/models/{repo}"
            name = path.removeprefix(f"/{repo}/resolve/").partition("/")[2]
            if path == api or path.startswith(f"{api}/revision/"):
                self._send(
                    json.dumps({"id": repo, "sha": COMMIT, "siblings": [_sibling(*one) for one in files.items()]})
                )
            elif path.startswith(f"/{repo}/resolve/") and name in files:
                begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                if body:
                    downloaded.append(name + (f" {begin[1]}" if begin else ""))
                if body and waiting and name.endswith(of):
                    waiting.pop(0)(self)
                    return
                self._send(files[name].read_bytes(), digest(files[name]), int(begin[1]) if begin else 0, body)
            else:
                self.send_error(404)

        def _send(self, data: str | bytes, etag: str = "", begin: int = 0, body: bool = True) -> None:
            content = data.encode() if isinstance(data, str) else data
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - begin))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            self.wfile.write(content[begin:] if body else b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", downloaded
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _sibling(name: str, file: Path) -> dict[str, object]:
    """As the hub says it: what is large has its SHA-256, what is small git's."""
    said: dict[str, object] = {"rfilename": name, "size": file.stat().st_size, "blobId": digest(file)}
    if file.suffix == ".safetensors":
        size = file.stat().st_size
        said["lfs"] = {"sha256": digest(file), "size": size, "pointerSize": 134}
    return said


def digest(file: Path) -> str:
    """What the hub calls a file by."""
    content = file.read_bytes()
    if file.suffix == ".safetensors":
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
