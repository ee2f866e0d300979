"""A hub on this machine, as far as a download asks it: what a repository holds, and its files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "b" * 40


@contextmanager
def hub(repo: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve this folder as this repository; gives the endpoint and the files that have been downloaded so far."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    downloaded: list[str] = []

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
                self._send(json.dumps({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}))
            elif path.startswith(f"{api}/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": _digest(file)}
                    for name, file in files.items()
                ]
                self._send(json.dumps(tree))
            elif path.startswith(f"/{repo}/resolve/") and name in files:
                if body:
                    downloaded.append(name)
                self._send(files[name].read_bytes() if body else b"", etag=_digest(files[name]), of=files[name])
            else:
                self.send_error(404)

        def _send(self, data: str | bytes, etag: str = "", of: Path | None = None) -> None:
            content = data.encode() if isinstance(data, str) else data
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) if of is None else of.stat().st_size))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", downloaded
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
