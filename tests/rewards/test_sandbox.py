"""What every sandbox shares: limits, names, pickles, and plain behaviour, in bubblewrap and without a sandbox alike."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import pytest

from riskpo.errors import ConfigError, SandboxError, SessionEnded
from riskpo.rewards.sandbox import Execution, Limits, Sandbox, open_sandbox


@pytest.fixture(scope="module", params=["bubblewrap", "unsafe-subprocess"])
def sandbox(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return open_sandbox(request.param)
        except SandboxError as error:
            pytest.skip(str(error))


# --- limits and names ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"wall_seconds": 0},
        {"wall_seconds": float("inf")},
        {"cpu_seconds": float("nan")},
        {"memory_mb": 16},
        {"memory_mb": 256.0},
        {"output_bytes": 0},
        {"file_mb": -1},
        {"processes": 0},
        {"open_files": 3},
    ],
)
def test_limits_that_cannot_be(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Limits(**wrong)


def test_unknown_names():
    with pytest.raises(ConfigError, match="Did you mean 'bubblewrap'"):
        open_sandbox("bublewrap")
    with pytest.raises(ConfigError, match="http"):
        open_sandbox("ftp://somewhere")


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    for name in ("bubblewrap", "unsafe-subprocess"):
        with pytest.raises(SandboxError, match=r"needs Linux.*SandboxFusion"):
            open_sandbox(name)


def test_the_unsafe_one_warns_once():
    code = (
        "import warnings; warnings.simplefilter('always')\n"
        "from riskpo.rewards.sandbox import open_sandbox\n"
        "open_sandbox('unsafe-subprocess', probe=False); open_sandbox('unsafe-subprocess', probe=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("protects from nothing") == 1


def test_it_is_a_sandbox_and_travels(sandbox):
    assert isinstance(sandbox, Sandbox)
    copy = pickle.loads(pickle.dumps(sandbox))
    assert copy.name == sandbox.name
    assert copy.run("print(42)").stdout == b"42\n"


def test_an_ended_session_travels():
    error = pickle.loads(pickle.dumps(SessionEnded("timeout", "too long")))
    assert (error.status, error.detail, str(error)) == ("timeout", "too long", "timeout: too long")


# --- running ---


def test_input_and_output(sandbox):
    done = sandbox.run("import sys\nprint(int(input()) + 1)\nprint('note', file=sys.stderr)", b"41\n")
    assert (done.status, done.stdout, done.stderr, done.exit_code) == ("exited", b"42\n", b"note\n", 0)
    assert 0 < done.seconds < 10


@pytest.mark.parametrize(
    ("program", "status", "code"),
    [
        ("import sys; sys.exit(3)", "runtime_error", 3),
        ("1 / 0", "runtime_error", 1),
        ("exit(4)", "runtime_error", 4),
        ("quit()", "exited", 0),
        ("import os; os.abort()", "runtime_error", 134),
        ("print(", "compile_error", 1),
        ("raise MemoryError", "memory", 1),
        ("x = bytearray(2 << 30)", "memory", 1),
        ("raise SyntaxError('not so')", "runtime_error", 1),
    ],
)
def test_endings(sandbox, program, status, code):
    done = sandbox.run(program)
    assert (done.status, done.exit_code) == (status, code), done


def test_details_name_the_reason(sandbox):
    assert "ZeroDivisionError" in sandbox.run("1 / 0").detail
    assert "never closed" in sandbox.run("print(").detail
    assert "SIGABRT" in sandbox.run("import os; os.abort()").detail
    assert "0.3" in sandbox.run("while True: pass", limits=Limits(wall_seconds=0.3)).detail


def test_what_was_printed_before_the_end_is_kept(sandbox):
    done = sandbox.run("print('first', flush=True)\nwhile True: pass", limits=Limits(wall_seconds=0.5))
    assert (done.status, done.stdout, done.exit_code) == ("timeout", b"first\n", None)


def test_the_output_limit_is_exact(sandbox):
    program = "import os, sys\nos.write(1, b'x' * {})\nos.write(2, b'y' * {})"
    limits = Limits(output_bytes=1000)
    assert sandbox.run(program.format(1000, 1000), limits=limits).status == "exited"
    for sizes in ((1001, 0), (0, 1001)):
        done = sandbox.run(program.format(*sizes), limits=limits)
        assert done.status == "output_limit"
        assert max(len(done.stdout), len(done.stderr)) <= 1000


def test_large_input_and_output(sandbox):
    data = bytes(range(256)) * 8000
    done = sandbox.run("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())", data)
    assert (done.status, done.stdout) == ("exited", data)


def test_input_that_nobody_reads(sandbox):
    assert sandbox.run("print(1)", b"x" * 10**7).status == "exited"


def test_text_is_utf8(sandbox):
    done = sandbox.run("print(input() + 'ü')", "é€\n".encode())
    assert done.stdout.decode() == "é€ü\n"


def test_files(sandbox):
    done = sandbox.run("print(open('data.txt').read(), open('b', 'rb').read())", files={"data.txt": b"1 2", "b": b"\0"})
    assert done.stdout == b"1 2 b'\\x00'\n"
    for name in ("", ".", "..", "a/b", "/a", "a\0b"):
        with pytest.raises(ValueError, match="plain name"):
            sandbox.run("", files={name: b""})


def test_each_run_starts_clean(sandbox):
    assert sandbox.run("open('left', 'w').close()").status == "exited"
    assert sandbox.run("import os; print(os.listdir())").stdout == b"[]\n"


def test_the_program_is_the_main_module(sandbox):
    program = (
        "import sys\nif __name__ == '__main__': print(__file__, sys.argv, sorted(n for n in dir() if n[0] != '_'))"
    )
    assert sandbox.run(program).stdout == b"program.py ['program.py'] ['sys']\n"


# --- sessions ---

ECHO = "import sys\nfor line in sys.stdin:\n    print(line.rstrip('\\n')[::-1], flush=True)"


def test_a_session_answers(sandbox):
    with sandbox.session(ECHO) as session:
        assert session.exchange(b"abc", 10) == b"cba"
        assert session.exchange(b"", 10) == b""
        assert session.exchange(b"x" * 300_000, 10) == b"x" * 300_000
        assert sandbox.run("print(1)").stdout == b"1\n"  # beside it
        with pytest.raises(ValueError, match="line's end"):
            session.exchange(b"a\nb", 10)
    with pytest.raises(SessionEnded, match="closed"):
        session.exchange(b"abc", 1)


@pytest.mark.parametrize(
    ("program", "limits", "status", "detail"),
    [
        ("while True: pass", Limits(), "timeout", "did not end"),
        ("import time; time.sleep(100)", Limits(wall_seconds=0.5), "timeout", "did not end"),
        ("", Limits(), "exited", "without an answer"),
        ("print('no line', end='')", Limits(), "exited", "without an answer"),
        ("1 / 0", Limits(), "runtime_error", "ZeroDivisionError"),
        ("print(", Limits(), "compile_error", "never closed"),
        ("x = bytearray(2 << 30)", Limits(), "memory", "MemoryError"),
        ("print('x' * 10**6, end='')", Limits(output_bytes=1000), "output_limit", "1000"),
        ("import sys; sys.stderr.write('x' * 10**6)", Limits(output_bytes=1000), "output_limit", "1000"),
    ],
)
def test_how_sessions_end(sandbox, program, limits, status, detail):
    with sandbox.session(program, limits=limits) as session:
        for _ in range(2):  # the second time at once
            with pytest.raises(SessionEnded, match=detail) as raised:
                session.exchange(b"question", 1.0)
            assert raised.value.status == status


def test_a_last_answer_counts(sandbox):
    with sandbox.session("input(); print('bye')") as session:
        assert session.exchange(b"", 10) == b"bye"
        with pytest.raises(SessionEnded) as raised:
            session.exchange(b"", 10)
        assert raised.value.status == "exited"


def test_lines_that_nobody_asked_for_are_answers(sandbox):
    with sandbox.session("print(1)\nprint(2, flush=True)\ninput()\ninput()\ninput()") as session:
        assert [session.exchange(b"", 10), session.exchange(b"", 10)] == [b"1", b"2"]


def test_a_sessions_output_is_counted_as_a_whole(sandbox):
    with sandbox.session(ECHO, limits=Limits(output_bytes=1000)) as session:
        for _ in range(9):
            assert session.exchange(b"x" * 99, 10) == b"x" * 99
        assert session.exchange(b"x" * 99, 10) == b"x" * 99
        with pytest.raises(SessionEnded) as raised:
            session.exchange(b"", 10)
        assert raised.value.status == "output_limit"


def test_an_execution_can_be_compared():
    assert Execution("exited", b"1", exit_code=0) == Execution("exited", b"1", exit_code=0)
