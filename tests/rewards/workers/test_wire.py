"""Frames and plain values: what goes in comes out, and nothing that names code does."""

import os
import pickle
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.rewards.workers.wire import Channel, decode, encode

KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()) | st.binary()
VALUES = st.recursive(
    KEYS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
    max_leaves=20,
)


def same(one, other):
    """Equal, and of the same types throughout: 1, 1.0 and True are three things."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, (list, tuple)):
        return all(map(same, one, other))
    if isinstance(one, dict):
        return all(map(same, one.values(), other.values())) and all(map(same, one, other))
    return isinstance(one, (set, frozenset)) or repr(one) == repr(other)


@given(VALUES)
def test_plain_values_come_out_as_they_went_in(value):
    assert same(decode(encode(value)), value)


def test_lone_surrogates_and_huge_integers():
    for value in ("\ud800", ["\udfff" * 3], 10**10_000, -(2**70_000)):
        assert decode(encode(value)) == value


class Text(str):
    pass


@pytest.mark.parametrize("value", [Text("x"), object(), os.system, Text, 1j, Ellipsis, range(3), [{"a": (Text("x"),)}]])
def test_nothing_else_goes_in(value):
    with pytest.raises(TypeError, match="cannot be handed over: plain types are None, bool"):
        encode(value)


@pytest.mark.parametrize(
    "message",
    [
        pickle.dumps(os.system),
        pickle.dumps(Text("x")),
        pickle.dumps(range(3)),
        pickle.dumps(1j),
        pickle.dumps(1j, protocol=0),
        b"cos\nsystem\n(S'false'\ntR.",
        b"(S'false'\nios\nsystem\n.",
        b"\x80\x02\x82\x01.",  # a number from the registry of extensions
        b"Pid\n.",  # a persistent id
        b"",
        b"\x80\x05",
    ],
)
def test_nothing_else_comes_out(message):
    with pytest.raises((pickle.UnpicklingError, ValueError, EOFError)):
        decode(message)


@given(st.binary(max_size=200))
def test_garbage_does_no_more_than_raise(message):
    try:
        value = decode(message)
    except Exception:  # noqa: BLE001 (unpickling raises whatever it likes)
        return
    encode(value)  # plain


def pair(largest=1 << 20):
    return (Channel(sock, largest) for sock in socket.socketpair())


def test_frames_keep_their_borders():
    ours, theirs = pair(largest=1 << 24)
    bodies = [b"", b"x", b"y" * 3_000_000, b"z" * 70_000, b""]
    sender = threading.Thread(target=lambda: [ours.send(body) for body in bodies])
    sender.start()
    assert [theirs.receive(30.0) for _ in bodies] == bodies
    sender.join()
    ours.close()
    with pytest.raises(EOFError):
        theirs.receive(30.0)
    theirs.close()


def test_what_has_arrived_is_read_even_when_time_is_over():
    ours, theirs = pair()
    ours.send(b"late")
    assert theirs.receive(-5.0) == b"late"
    with pytest.raises(TimeoutError):
        theirs.receive(0.0)
    ours.close()
    theirs.close()


def test_a_frame_that_drips_or_is_too_large():
    ours, theirs = pair(largest=100)
    ours._sock.sendall(b"\0\0\0\x05abc")
    with pytest.raises(TimeoutError):
        theirs.receive(0.05)
    ours._sock.sendall(b"de")
    assert theirs.receive(30.0) == b"abcde"
    ours.send(b"x" * 101)
    with pytest.raises(ValueError, match="a frame of 101 bytes; the most is 100"):
        theirs.receive(30.0)
    ours.close()
    theirs.close()
