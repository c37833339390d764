"""The server: sockets, scripts, and what a test may ask of them afterwards."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import traceback
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.scripted import clients
from tests.scripted.checks import objection
from tests.scripted.replies import plain, said
from tests.scripted.wire import Chat, Completion, embeddings

_PATIENCE = 20  # seconds that a test has to open a gate, or to wait for a request
_FORMS = {"/v1/chat/completions": Chat, "/v1/completions": Completion}


class ScriptedServer:
    """Models that say what they are told to.

    Attributes:
        base_url: for clients.
        requests: the bodies of all requests for an answer, in the order in which they came.
        faults: what went wrong in the server or in a script.
        most_at_once: the greatest number of answers under way at the same time.
    """

    def __init__(self):
        self.requests = []
        self.faults = []
        self.most_at_once = 0
        self._scripts = {}
        self._clients = []
        self._gates = set()
        self._under_way = 0
        self._changed = threading.Condition()
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.01,))
        self.base_url = f"http://127.0.0.1:{self._listener.server_port}/v1"

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        """Ends all connections.

        Raises:
            AssertionError: something had gone wrong: see `faults`.
        """
        self._listener.shutdown()
        self._thread.join()
        with self._changed:
            for gate in self._gates:
                gate.set()
        for client in self._clients:
            client.close()
        self._listener.hang_up()
        self._listener.server_close()
        assert not self.faults, "\n".join(self.faults)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_raised):
        self.stop()

    # What a test says and asks.

    def script(self, model, script=plain):
        """Says what a model does from now on; see the package. Without this it does not exist."""
        with self._changed:
            self._scripts[model] = deque(script) if isinstance(script, (list, tuple)) else script

    def asked(self, model):
        """The requests that one model received."""
        with self._changed:
            return [request for request in self.requests if request.get("model") == model]

    def wait_for(self, count):
        """Returns once so many requests have come."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.requests) >= count, _PATIENCE)
            assert came, f"{len(self.requests)} requests came, not {count}"

    # Clients.

    def chat(self, model, script=plain, **options):
        """A `ChatOpenAI` that asks a model of this server, for log-probs too."""
        self.script(model, script)
        return clients.chat(self, model, options)

    def llm(self, model, script=plain, **options):
        """The same as a LlamaIndex `OpenAILike`, which calls functions."""
        self.script(model, script)
        return clients.llm(self, model, options)

    def embeddings(self, model="embedder"):
        """An `OpenAIEmbeddings`: texts that share words are close."""
        self.script(model)
        return clients.embeddings(self, model)

    def http(self, kind, **options):
        """An HTTP client that is closed at the end."""
        client = kind(base_url=self.base_url, **clients.LOOPBACK, **options)
        self._clients.append(client)
        return client

    # For the listener.

    @property
    def models(self):
        with self._changed:
            return list(self._scripts)

    def enter(self, request):
        """A request has come: its number."""
        with self._changed:
            self.requests.append(request)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            self._changed.notify_all()
            return len(self.requests)

    def leave(self):
        """An answer is about to be complete."""
        with self._changed:
            self._under_way -= 1

    def hold(self, gate):
        """Waits until a test opens the gate."""
        if gate is None:
            return
        with self._changed:
            self._gates.add(gate)
        if not gate.wait(_PATIENCE):
            raise TimeoutError(f"no one opened a gate within {_PATIENCE} seconds")

    def reply(self, request):
        """What the script says."""
        with self._changed:
            script = self._scripts[request["model"]]
            if isinstance(script, deque):
                if not script:
                    raise IndexError(f"the script of {request['model']!r} is at its end")
                script = script.popleft()
        return said(script, request)


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128  # of 5, the default, a crowd of clients is turned away

    def __init__(self, owner):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self._open = set()
        self._lock = threading.Lock()

    def process_request(self, request, client_address):
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        """Ends the connections that clients keep alive."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client may leave when it likes
            self.owner.faults.append(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_args):
        """Nothing is printed."""

    def do_GET(self):
        if self.path != "/v1/models":
            self._refuse(404, f"unknown path {self.path}")
            return
        models = [
            {"id": name, "object": "model", "owned_by": "tests"} for name in self._owner.models
        ]
        self._send(200, {"object": "list", "data": models})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path not in {*_FORMS, "/v1/embeddings"}:
            self._refuse(404, f"unknown path {self.path}")
        elif request.get("model") not in self._owner.models:
            name = request.get("model")
            self._refuse(404, f"The model `{name}` does not exist", "model_not_found")
        elif message := objection(self.path, request):
            self._refuse(400, message)
        elif self.path == "/v1/embeddings":
            self._send(200, embeddings(request))
        else:
            self._answer(request)

    @property
    def _owner(self):
        return self.server.owner

    def _answer(self, request):
        number = self._owner.enter(request)
        self._left = False
        try:
            replies = [self._owner.reply(request) for _ in range(request.get("n") or 1)]
            self._say(replies[0], _FORMS[self.path](number, request, replies))
        except ConnectionError:
            self.close_connection = True
        except Exception as error:  # noqa: BLE001  the test is told at its end
            self._owner.faults.append(traceback.format_exc())
            self.close_connection = True
            self._refuse(500, f"fault of the test's own: {error!r}")
        finally:
            self._leave()

    def _leave(self):
        """Before the last bytes: the client must not be faster than the count."""
        if not self._left:
            self._left = True
            self._owner.leave()

    def _say(self, reply, form):
        self._owner.hold(reply.gate)
        if reply.cut == 0:
            self._cut()
        elif reply.status != 200:
            self._leave()
            self._refuse(reply.status, reply.text, reply.code)
        elif form.request.get("stream"):
            self._stream(reply, form)
        else:
            self._leave()
            body = _encoded(form.whole())
            body = body[: len(body) // 2] if reply.malformed else body
            self._send(200, body, cut=reply.cut is not None)

    def _stream(self, reply, form):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i, chunk in enumerate(form.chunks()):
            self._owner.hold(reply.holds.get(i))
            if i == reply.cut:
                self._cut()
                return
            body = _encoded(chunk)
            self._event(body[: len(body) // 2] if reply.malformed and i == 0 else body)
        self._leave()
        self._event(b"[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data):
        event = b"data: " + data + b"\n\n"
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    def _cut(self):
        """Ends the connection, come what may."""
        self._leave()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status, message, code=None):
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        self._send(status, {"error": error})

    def _send(self, status, body, *, cut=False):
        body = body if isinstance(body, bytes) else _encoded(body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._cut()


def _encoded(body):
    return json.dumps(body, ensure_ascii=False).encode()
