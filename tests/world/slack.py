"""A Slack on loopback: answers chat.postMessage as it is told to, and remembers what it was sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class _Slack(BaseHTTPRequestHandler):
    """Answers as it is told to, and remembers what it was sent."""

    answers: list[tuple[int, dict[str, str], bytes]]
    posts: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posts.append(
            {"path": self.path, "token": self.headers["Authorization"], "body": body.decode("utf-8", "replace")}
        )
        status, headers, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


OK: tuple[int, dict[str, str], bytes] = (200, {}, b'{"ok": true}')


@contextmanager
def slack_that_answers(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    class Handler(_Slack):
        pass

    Handler.answers, Handler.posts = list(answers), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api", Handler.posts
    finally:
        server.shutdown()
        server.server_close()
