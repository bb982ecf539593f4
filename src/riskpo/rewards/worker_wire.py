"""What a pool and its workers say to each other: frames over a socket, and in them values of plain types.

The values are pickled, because pickle alone keeps what JSON loses (tuples, sets, bytes, keys that are no strings, NaN,
integers of any size, lone surrogates). What makes unpickling dangerous, importing and calling what a pickle names, is
absent on both sides: the writer refuses whatever is not built of plain types, and the reader refuses any name at all.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import socket
import struct
import time
from typing import Any

PLAIN = "None, bool, int, float, str, bytes, list, tuple, dict, set and frozenset"
RETURNED = b"returned"  # a worker's answer instead of a result: the rest of its tasks comes back undone
LOADING = "RISKPO_WORKER_LOADING"  # set in the environment of a server while it loads the function
_HEADER = struct.Struct(">I")
_READ = 1 << 16


class _PlainPickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Called for whatever is not exactly one of pickle's own types."""
        kind = type(obj)
        raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot be handed over: plain types are {PLAIN}")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"a message names {module}.{name}: plain types are {PLAIN}")


def encode(value: Any) -> bytes:
    """A value of plain types, however nested, as bytes.

    Raises:
        TypeError: anything else in it, subclasses of plain types included.
        RecursionError: nested too deep.
    """
    buffer = io.BytesIO()
    _PlainPickler(buffer, protocol=5).dump(value)
    return buffer.getvalue()


def decode(data: bytes) -> Any:
    """The value that was encoded.

    Raises:
        pickle.UnpicklingError: a message that names anything to import; other garbage raises other errors.
    """
    return _PlainUnpickler(io.BytesIO(data)).load()


class Channel:
    """Frames over a connected stream socket, each preceded by its length.

    Args:
        sock: owned from now on.
        largest: bytes of the largest frame that is accepted.
    """

    def __init__(self, sock: socket.socket, largest: int) -> None:
        self._sock = sock
        self._largest = largest
        self._buffer = bytearray()

    def fileno(self) -> int:
        """The socket's file descriptor; -1 once closed."""
        return self._sock.fileno()

    def send(self, body: bytes, seconds: float | None = None, fd: int | None = None) -> None:
        """Sends one frame, and a file descriptor with it.

        Raises:
            OSError: the other side is gone, or has not taken the frame within `seconds` (TimeoutError).
        """
        self._sock.settimeout(seconds)
        frame = _HEADER.pack(len(body)) + body
        if fd is not None:
            sent = socket.send_fds(self._sock, [frame], [fd])
            frame = frame[sent:]
        self._sock.sendall(frame)

    def receive(self, seconds: float | None = None) -> bytes:
        """The next frame.

        Raises:
            TimeoutError: it has not come within `seconds`.
            EOFError: the other side is gone.
            ValueError: a frame larger than allowed.
            OSError: the socket failed.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            if len(self._buffer) >= _HEADER.size:
                (size,) = _HEADER.unpack_from(self._buffer)
                if size > self._largest:
                    raise ValueError(f"a frame of {size} bytes; the most is {self._largest}")
                if len(self._buffer) >= _HEADER.size + size:
                    body = bytes(self._buffer[_HEADER.size : _HEADER.size + size])
                    del self._buffer[: _HEADER.size + size]
                    return body
            # What has already arrived is read even when the time is over: a reader that was held up itself must not
            # blame the writer.
            self._sock.settimeout(None if end is None else max(end - time.monotonic(), 1e-3))
            data = self._sock.recv(_READ)
            if not data:
                raise EOFError("the other side has closed the connection")
            self._buffer += data

    def receive_fd(self, seconds: float | None = None) -> tuple[bytes, int | None]:
        """The next frame, a small one, and the file descriptor that came with it, if any; raises as `receive`."""
        self._sock.settimeout(seconds)
        data, fds, _, _ = socket.recv_fds(self._sock, _READ, 1)
        if not data:
            raise EOFError("the other side has closed the connection")
        self._buffer += data
        return self.receive(), fds[0] if fds else None

    def interrupt(self) -> None:
        """Ends every `send` and `receive` under way on both sides, from any thread."""
        with contextlib.suppress(OSError):  # closed or disconnected already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes this process's end."""
        self._sock.close()
