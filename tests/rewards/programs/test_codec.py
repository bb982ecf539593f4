import collections
import contextlib
import enum
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.rewards.programs import codec
from riskpo.rewards.programs.codec import CodecError, Match, UncarriedTypeError, decode, encode

HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]), max_size=2)
    | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)
VALUES = st.recursive(
    HASHABLE | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner, inner)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
    ),
    max_leaves=20,
)


def alike(one, other):
    """Equal, of the same types all the way down, and with the same signs of zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return alike(list(one), list(other)) and alike(list(one.values()), list(other.values()))
    if isinstance(one, (float, complex)):
        return repr(one) == repr(other)
    return one == other


@given(VALUES)
def test_round_trip(value):
    text = encode(value)
    assert text.isascii()
    assert "\n" not in text
    assert alike(decode(text), value)
    assert alike(decode(text.encode()), value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (2**53, '["i","0x20000000000000"]'),
        (-0.0, '["f","-0x0.0p+0"]'),
        (1.5, '["f","0x1.8000000000000p+0"]'),
        (math.inf, '["f","inf"]'),
        (complex(1, -0.0), '["c","0x1.0000000000000p+0","-0x0.0p+0"]'),
        ("é\n", '"\\u00e9\\n"'),
        ("\ud83d\ude00", '["u","7aC97biA"]'),
        (b"\0\xff", '["b","AP8="]'),
        ((1, [2]), '["t",1,["l",2]]'),
        ({1: "a", (2,): None}, '["d",1,"a",["t",2],null]'),
        (range(3), '["r",0,3,1]'),
        (set(), '["s"]'),
    ],
)
def test_text(value, text):
    assert encode(value) == text
    assert alike(decode(text), value)


def test_not_a_number():
    assert math.isnan(decode(encode(math.nan)))


def test_iterators_and_views():
    assert encode(x * x for x in range(3)) == '["n",0,1,4]'
    assert list(decode('["n",0,1,4]')) == [0, 1, 4]
    assert decode(encode({1: 2}.keys())) == {1}
    assert list(decode(encode({1: 2}.values()))) == [2]
    assert decode(encode({1: 2}.items())) == {(1, 2)}
    assert decode('["r",0,["i","0xffffffffffffffffff"],1]').stop == 16**18 - 1


def test_a_match_is_true_and_nothing_else():
    found = decode(encode(re.match("a", "a")))
    assert found
    assert isinstance(found, Match)
    assert found != decode('["m"]')
    assert encode(found) == '["m"]'


# --- sub-types are carried as what they extend, and their own methods are not asked ---


class LyingInt(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__

    def __add__(self, other):
        return 99

    __pos__ = __int__ = __index__ = __hex__ = lambda self: 99


class LyingStr(str):
    __slots__ = ()

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__

    def __str__(self):
        return "lie"


class LyingList(list):
    def __iter__(self):
        return iter([99])


class LyingDict(dict):
    def items(self):
        return [(9, 9)]


class LyingFloat(float):
    def hex(self):
        return "0x1.8p+9"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (LyingInt(3), 3),
        (LyingInt(2**70), 2**70),
        (LyingStr("a"), "a"),
        (LyingList([1, LyingInt(2)]), [1, 2]),
        (LyingDict({1: 2}), {1: 2}),
        (LyingFloat(0.5), 0.5),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.namedtuple("Point", "x y")(1, 2), (1, 2)),
        (enum.IntEnum("Colour", "RED").RED, 1),
    ],
)
def test_sub_types(value, plain):
    assert alike(decode(encode(value)), plain)


@pytest.mark.parametrize(
    "value", [object(), len, int, collections.deque([1]), 1j.__class__, re.compile("a"), NotImplemented]
)
def test_other_types_are_refused(value):
    with pytest.raises(UncarriedTypeError, match="a value of type"):
        encode(value)
    with pytest.raises(UncarriedTypeError):
        encode([value])


# --- bounds ---


def test_bounds_of_writing():
    deep: list = []
    for _ in range(codec.DEEPEST + 1):
        deep = [deep]
    with pytest.raises(CodecError, match="containers in one another"):
        encode(deep)
    cyclic: list = []
    cyclic.append(cyclic)
    with pytest.raises(CodecError, match="containers in one another"):
        encode(cyclic)
    with pytest.raises(CodecError, match="more than 1000000 values"):
        encode([0] * codec.MOST_VALUES)
    many: list = [0]
    for _ in range(40):  # 2^40 values that share their memory
        many = [many, many]
    with pytest.raises(CodecError, match="more than 1000000 values"):
        encode(many)
    with pytest.raises(CodecError, match="an integer of"):
        encode(1 << codec.MOST_BITS)
    with pytest.raises(CodecError, match="more than 1000000 values"):
        encode(iter(int, 1))  # never ends


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[",
        "[]",
        "[1,2]",
        "{}",
        '{"a": 1}',
        "1.5",
        "1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "9007199254740993",
        "1" * 5000,
        '["i","12"]',
        '["i","0x"]',
        '["i",5]',
        '["i","0x1","0x2"]',
        '["i"]',
        '["i","0x' + "f" * 300_000 + '"]',
        '["f","1e400"]',
        '["f","0x1.8p+99999"]',
        '["f","0x1p+2000"]',
        '["f","nan(1)"]',
        '["f"]',
        '["c","nan"]',
        '["b","!!"]',
        '["b","é"]',
        '["u","/w=="]',
        '["d",1]',
        '["d",["l"],1]',
        '["s",["l"]]',
        '["z",["d"]]',
        '["di",1]',
        '["r",1,2]',
        '["r",1,2,0]',
        '["r","a",2,1]',
        '["q",1]',
        '["__class__"]',
        '["m",1]',
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '["l",' * 70 + "1" + "]" * 70,
        "[" + ",".join(["1"] * 10) + "]",
        '["l"' + ",0" * codec.MOST_VALUES + "]",
        '"' + " " * codec.MOST_BYTES + '"',
        '"é',
        b"\xff\xfe",
        "\x00".encode("utf-16"),
        b'"\x00"',
    ],
)
def test_what_no_encoder_wrote_is_refused(text):
    with pytest.raises(CodecError):
        decode(text)


@given(
    st.text() | st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x)).map(json.dumps)
)
def test_decode_raises_nothing_else(text):
    with contextlib.suppress(CodecError):
        decode(text)
