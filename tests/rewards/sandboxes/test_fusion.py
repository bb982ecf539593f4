"""A SandboxFusion server by its address: an imitation of one that runs programs, and all the ways to be let down."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import Limits, Sandbox, open_sandbox
from riskpo.rewards.sandboxes.fusion import SERVER_CAP, SandboxFusion


def run_code(asked: dict) -> dict:
    """As the server does for Python: in a folder of its own, with a time limit and a limit on memory."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({asked['memory_limit_MB'] << 20},) * 2)\n"
    with tempfile.TemporaryDirectory() as folder:
        for name, content in asked["files"].items():
            Path(folder, name).write_bytes(base64.b64decode(content))
        Path(folder, "main.py").write_text(asked["code"], encoding="utf-8")
        launch = limit + "import runpy; runpy.run_path('main.py', run_name='__main__')"
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", launch],
                input=asked["stdin"].encode(),
                capture_output=True,
                cwd=folder,
                timeout=asked["run_timeout"],
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            text = (error.stdout or b"").decode()
            result = {"status": "TimeLimitExceeded", "execution_time": asked["run_timeout"], "stdout": text}
            return {"status": "Failed", "message": "", "run_result": {**result, "return_code": None, "stderr": ""}}
    result = {
        "status": "Finished",
        "execution_time": 0.05,
        "return_code": done.returncode,
        "stdout": done.stdout[:SERVER_CAP].decode("utf-8", "replace"),
        "stderr": done.stderr[:SERVER_CAP].decode("utf-8", "replace"),
    }
    status = "Success" if done.returncode == 0 else "Failed"
    return {"status": status, "message": "", "compile_result": None, "run_result": result, "files": {}}


class Server:
    """Answers with what `answers` holds, one by one, each a (code, body) or a function; then as the real one does."""

    def __init__(self) -> None:
        self.answers: list = []
        self.asked: list[dict] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.asked.append(asked)
                assert self.path == "/run_code"
                answer = owner.answers.pop(0) if owner.answers else (200, run_code(asked))
                if callable(answer):
                    answer(self)
                    return
                code, body = answer
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    imitation = Server()
    yield imitation
    imitation.close()


@pytest.fixture
def sandbox(server):
    return SandboxFusion(server.url, pauses=(0.01, 0.01, 0.01))


def result(**changes):
    done = {"status": "Finished", "return_code": 0, "stdout": "42\n", "stderr": "", "execution_time": 0.1}
    return {"status": "Success", "message": "", "run_result": {**done, **changes}}


# --- what works ---


def test_by_its_address(server):
    opened = open_sandbox(server.url + "/")
    assert isinstance(opened, Sandbox)
    assert opened.run("print(input())", b"42").stdout == b"42\n"
    assert server.url in opened.describe()
    assert pickle.loads(pickle.dumps(opened)).run("print(1)").stdout == b"1\n"


def test_what_it_is_asked(server, sandbox):
    limits = Limits(wall_seconds=3.5, memory_mb=300)
    sandbox.run("print('ü')", "€".encode(), limits=limits, files={"a.bin": b"\0\xff"})
    assert server.asked == [
        {
            "code": "print('ü')",
            "language": "python",
            "stdin": "€",
            "compile_timeout": 3.5,
            "run_timeout": 3.5,
            "memory_limit_MB": 300,
            "files": {"a.bin": "AP8="},
        }
    ]


@pytest.mark.parametrize(
    ("program", "status", "code", "stdout"),
    [
        ("print(int(input()) + 1)", "exited", 0, b"42\n"),
        ("print(open('x').read())", "exited", 0, b"data\n"),
        ("1 / 0", "runtime_error", 1, b""),
        ("import sys; sys.exit(3)", "runtime_error", 3, b""),
        ("import os; os.abort()", "runtime_error", 134, b""),
        ("import os; os.kill(os.getpid(), 9)", "memory", 137, b""),
        ("x = bytearray(2 << 30)", "memory", 1, b""),
        ("print(", "compile_error", 1, b""),
        ("print('x', flush=True)\nwhile True: pass", "timeout", None, b"x\n"),
    ],
)
def test_endings(sandbox, program, status, code, stdout):
    done = sandbox.run(program, b"41", limits=Limits(wall_seconds=2.0, memory_mb=512), files={"x": b"data"})
    assert (done.status, done.exit_code, done.stdout) == (status, code, stdout)


def test_output_limits(sandbox):
    program = "print('x' * {}, end='')"
    done = sandbox.run(program.format(1001), limits=Limits(output_bytes=1000))
    assert (done.status, len(done.stdout)) == ("output_limit", 1000)
    assert sandbox.run(program.format(1000), limits=Limits(output_bytes=1000)).status == "exited"
    # The server cuts off without a word: what fills its measure may have been longer.
    assert sandbox.run(program.format(SERVER_CAP + 5)).status == "output_limit"
    assert sandbox.run(program.format(SERVER_CAP - 5)).status == "exited"


def test_from_many_threads(sandbox):
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: sandbox.run("print(int(input()) * 2)", b"%d" % n).stdout, range(24)))
    assert done == [b"%d\n" % (2 * n) for n in range(24)]


# --- what does not ---


def hang(handler):
    time.sleep(1.5)


def drop(handler):
    handler.connection.close()


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(15):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"status": ')
    handler.connection.close()


def nonsense(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")


PASSING = {
    "unavailable": (503, b"busy"),
    "too many": (429, b"slow down"),
    "server error": (500, b""),
    "no JSON": (200, b"<html>"),
    "no object": (200, []),
    "deep JSON": (200, b"[" * 10**5),
    "empty": (200, b""),
    "no UTF-8": (200, b"\xff\xfe\xff"),
    "no result": (200, {"status": "Success", "message": ""}),
    "its own error": (200, {"status": "SandboxError", "message": "no space left", "run_result": None}),
    "result failed": (200, {"status": "Failed", "run_result": {"status": "Error", "stderr": "x"}}),
    "no exit code": (200, result(return_code=None)),
    "wrong types": (200, result(stdout=42)),
    "dropped": drop,
    "cut off": cut,
    "another protocol": nonsense,
}


@pytest.mark.parametrize("fault", PASSING)
def test_faults_that_pass(server, sandbox, fault):
    server.answers = [PASSING[fault]] * 3
    assert sandbox.run("print(42)").stdout == b"42\n"
    assert len(server.asked) == 4


@pytest.mark.parametrize("fault", PASSING)
def test_faults_that_stay(server, sandbox, fault):
    server.answers = [PASSING[fault]] * 4
    done = sandbox.run("print(42)")
    assert (done.status, done.exit_code, done.stdout) == ("infra_error", None, b"")
    assert server.url in done.detail
    assert len(server.asked) == 4


def test_requests_that_are_refused(server, sandbox):
    """Asking again would not help."""
    server.answers = [(422, b'{"detail": "no such language"}')]
    done = sandbox.run("print(42)")
    assert done.status == "infra_error"
    assert "422" in done.detail
    assert "no such language" in done.detail
    assert len(server.asked) == 1


@pytest.mark.parametrize("slow", [hang, drip])
def test_answers_that_do_not_come(server, slow):
    server.answers = [slow] * 2
    impatient = SandboxFusion(server.url, margin=0.1, pauses=(0.01,))
    done = impatient.run("print(42)", limits=Limits(wall_seconds=0.2))
    assert done.status == "infra_error"
    assert done.seconds == 0.0


def test_nobody_there(sandbox, server):
    port = server.server.server_address[1]
    server.close()
    gone = SandboxFusion(f"http://127.0.0.1:{port}", pauses=(0.01,))
    done = gone.run("print(42)")
    assert done.status == "infra_error"
    assert "refused" in done.detail
    with pytest.raises(SandboxError, match="Is it running"):
        gone.probe()
    server.close = lambda: None


def test_a_server_that_does_not_stop_programs(server, sandbox):
    server.answers = [(200, result()), (200, result())]
    with pytest.raises(SandboxError, match="does not stop programs"):
        sandbox.probe()


def test_input_that_cannot_be_sent(server, sandbox):
    done = sandbox.run("print(42)", b"\xff")
    assert done.status == "infra_error"
    assert server.asked == []


def test_no_sessions(sandbox):
    with pytest.raises(SandboxError, match=r"call functions.*bubblewrap"):
        sandbox.session("print(42)")


def test_nothing_stays_open(server, sandbox):
    sandbox.run("print(42)")
    before = len(os.listdir("/proc/self/fd"))
    server.answers = [PASSING["unavailable"], PASSING["cut off"], PASSING["its own error"]]
    for _ in range(3):
        sandbox.run("print(42)")
    time.sleep(0.1)
    assert len(os.listdir("/proc/self/fd")) <= before
