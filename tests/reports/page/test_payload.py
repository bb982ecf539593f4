"""What is packed into the page comes out again, whatever the texts hold."""

import base64
import gzip
import json
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from riskpo.reports.page.payload import pack
from tests.reports.page.test_rows import rows_with


def unpacked(data):
    found = json.loads(gzip.decompress(base64.b64decode(data)))
    columns = {
        name: [column["d"][place] for place in column["i"]] if "d" in column else column["v"]
        for name, column in found["columns"].items()
    }
    return found["n"], found["runs"], columns


texts = st.text(st.characters(codec=None, exclude_categories=[]), max_size=20)


@given(st.lists(texts, min_size=1, max_size=12))
def test_texts_survive(completions):
    completions = completions * 2 + ["</script>", "\x00", "\ud800"]
    data = pack(rows_with(completion=completions), ["a", "</script>"])
    n, runs, columns = unpacked(data)
    assert (n, runs) == (len(completions), ["a", "</script>"])
    assert columns["completion"] == completions
    assert re.fullmatch("[A-Za-z0-9+/=]+", data)


def test_numbers():
    columns = unpacked(pack(rows_with(reward=[1 / 3, math.nan, -math.inf, 0.0]), ["a"]))[2]
    assert columns["reward"] == [0.333333, None, None, 0.0]


def test_the_same_rows_give_the_same_bytes():
    rows = rows_with(completion=["a", "b"])
    assert pack(rows, ["r"]) == pack(rows, ["r"])
