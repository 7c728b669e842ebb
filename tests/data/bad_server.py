"""A local HTTP server that serves files and misbehaves on request."""

import contextlib
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What is wrong, by path; a number of times where it is a count."""

    files: dict[str, bytes]
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    errors: dict[str, list[int]] = field(default_factory=dict)  # statuses, one a request
    truncate: dict[str, int] = field(default_factory=dict)  # GETs that end halfway
    stall: dict[str, int] = field(default_factory=dict)  # GETs that say nothing after a third
    told_size: dict[str, int] = field(default_factory=dict)  # what HEAD says
    no_ranges: set[str] = field(default_factory=set)
    wrong_range: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, range
    most_at_once: int = 0
    delay_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, counts, path):
        """Use up one of a path's counted misdeeds."""
        with self.lock:
            left = counts.get(path, 0)
            counts[path] = left - 1
            return left > 0


def _handler(behaviour):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        busy = 0

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._answer(with_body=False)

        def do_GET(self):
            with behaviour.lock:
                Handler.busy += 1
                behaviour.most_at_once = max(behaviour.most_at_once, Handler.busy)
            try:
                time.sleep(behaviour.delay_s)
                with contextlib.suppress(ConnectionError):
                    self._answer(with_body=True)
            finally:
                with behaviour.lock:
                    Handler.busy -= 1

        def _answer(self, *, with_body):
            asked = self.headers.get("Range", "")
            behaviour.requests.append((self.command, self.path, asked))
            with behaviour.lock:
                status = behaviour.errors.get(self.path) or [0]
                status = status.pop(0)
            content = behaviour.files.get(self.path)
            if status or content is None:
                self.send_response(status or 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start, end, status = 0, len(content), 200
            ranges = self.path not in behaviour.no_ranges
            if asked and ranges:
                first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", asked).groups()
                start, end, status = int(first), int(last) + 1, 206
                etag = behaviour.headers.get(self.path, {}).get("ETag", "")
                if self.headers.get("If-Range", etag) != etag:
                    start, end, status = 0, len(content), 200
            body = content[start:end]
            self.send_response(status)
            if status == 206:
                shift = 1 if self.path in behaviour.wrong_range else 0
                span = f"bytes {start + shift}-{end - 1 + shift}/{len(content)}"
                self.send_header("Content-Range", span)
            if ranges:
                self.send_header("Accept-Ranges", "bytes")
            length = len(body) if with_body else behaviour.told_size.get(self.path, len(body))
            self.send_header("Content-Length", str(length))
            for name, value in behaviour.headers.get(self.path, {}).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self._send(body)

        def _send(self, body):
            if behaviour.take(behaviour.truncate, self.path):
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif behaviour.take(behaviour.stall, self.path):
                self.wfile.write(body[: len(body) // 3])
                self.wfile.flush()
                time.sleep(1.0)
                self.close_connection = True
            else:
                self.wfile.write(body)

    return Handler


@contextlib.contextmanager
def serve(behaviour):
    """Its URL while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(behaviour))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
