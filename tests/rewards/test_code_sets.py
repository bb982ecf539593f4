"""HumanEval and MBPP: references pass, emptied ones fail, and mutants fare as they do by the data set's own tests.

A seeded sample here; `experiments/code_verifier.py` does the same with all of both sets.
"""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from riskpo.rewards.code import CodeVerifier
from tests.rewards.jail import fenced, needs_data, rows, sandbox
from tests.rewards.mutants import emptied, mutants
from tests.rewards.plainly import passes, whole

pytestmark = [needs_data, pytest.mark.slow]
SECONDS = 4.0
SLOW = {"mbpp-123"}  # its reference needs two seconds on a processor of its own, all others less than one


@pytest.fixture(scope="module")
def verifier():
    made = CodeVerifier(sandbox(), test_seconds=SECONDS, total_seconds=4 * SECONDS, workers=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def sample():
    """A quarter of both sets, with the odd ones: helpers in the prompt, matches of patterns, names of built-ins."""
    odd = {f"HumanEval/{number}" for number in (10, 32, 33, 38, 50, 151)} | {f"mbpp-{n}" for n in (88, 124, 596, 737)}
    both = rows("humaneval") + rows("mbpp_sanitized")
    rest = [row for row in both if row["id"] not in odd | SLOW]
    return [row for row in both if row["id"] in odd] + random.Random(0).sample(rest, 140)


def test_references_pass(verifier, sample):
    found = verifier.verify([fenced(whole(row)[0]) for row in sample], sample)
    assert [(row["id"], one) for row, one in zip(sample, found, strict=True) if one.score != 1.0] == []


def test_bodies_alone_pass(verifier):
    """As a base model writes them: without the function's head, and without fences."""
    sample = random.Random(1).sample(rows("humaneval"), 20)
    bare = CodeVerifier(sandbox(), bare=True, workers=2)
    assert {one.score for one in bare.verify([row["answer"] for row in sample], sample)} == {1.0}
    bare.close()
    assert {one.score for one in verifier.verify([fenced(row["answer"]) for row in sample], sample)} == {1.0}


@pytest.mark.parametrize("body", ["pass", "return None"])
def test_empty_bodies_fail(verifier, sample, body):
    found = verifier.verify([fenced(emptied(*whole(row), body)) for row in sample], sample)
    assert [(row["id"], one) for row, one in zip(sample, found, strict=True) if one.score != 0.0] == []


def test_mutants_fare_as_they_do_plainly(verifier, sample):
    made = [
        (row, kind, source)
        for row in sample[::2]
        for kind, source in mutants(*whole(row), 3, random.Random(row["id"]))  # a text as seed is the same everywhere
    ]
    assert {kind for _, kind, _ in made} == {"off by one", "wrong constant", "wrong operator", "dropped branch"}
    with ThreadPoolExecutor(2) as threads:
        plain = list(threads.map(lambda one: passes(one[2], one[0], SECONDS), made))
    found = verifier.verify([fenced(source) for _, _, source in made], [row for row, _, _ in made])
    assert 0 < plain.count(True) < len(plain)
    disagree = [
        f"{row['id']}, {kind}: plainly {right}, here {one}\n{source}"
        for (row, kind, source), right, one in zip(made, plain, found, strict=True)
        if one.score != float(right or False)
    ]
    assert disagree == []
