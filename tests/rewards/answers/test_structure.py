"""The shape of an answer, and one spelling for many."""

import pytest

from riskpo.rewards.answers.notation import UnreadableError, tidy
from riskpo.rewards.answers.structure import Based, Bracket, Leaf, Matrix, Ratio, Relation, Several, Union, read


def leafs(*texts):
    return tuple(Leaf(text) for text in texts)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("5", Leaf("5")),
        ("1,000", Leaf("1,000")),
        ("1, 2", Several(leafs("1", "2"))),
        ("100, 200", Several(leafs("100", "200"))),
        ("1,000, 2,000", Several(leafs("1,000", "2,000"))),
        ("$221,$8$", Several(leafs("221", "8"))),
        (r"12\text{ and }13", Several(leafs("12", "13"))),
        ("12, 13, and 14", Several(leafs("12", "13", "14"))),
        (r"\{1,2\}", Several(leafs("1", "2"))),
        (r"1\pm\sqrt5", Several(leafs(r"1 + \sqrt{5}", r"1 - \sqrt{5}"))),
        ("(1,2)", Bracket("(", ")", leafs("1", "2"))),
        (r"\left[0, 1\right)", Bracket("[", ")", leafs("0", "1"))),
        ("(1,1),(3,2)", Several((Bracket("(", ")", leafs("1", "1")), Bracket("(", ")", leafs("3", "2"))))),
        ("((1,2),3)", Bracket("(", ")", (Bracket("(", ")", leafs("1", "2")), Leaf("3")))),
        ("$t(0,4]$", Bracket("(", "]", leafs("0", "4"))),
        (r"x \in [-2,7]", Bracket("[", "]", leafs("-2", "7"))),
        ("f(1,2)", Leaf("f(1,2)")),
        ("(A)", Leaf("A")),
        (r"\text{(A)}", Leaf("A")),
        ("x=5", Relation(leafs("x", "5"), ("=",))),
        (r"0 < x \leq 2", Relation(leafs("0", "x", "2"), ("<", "le"))),
        ("x>=5", Relation(leafs("x", "5"), ("ge",))),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", Matrix((leafs("1", "2"), leafs("3", "4")))),
        ("52_8", Based("52", 8)),
        ("152A_{11}", Based("152A", 11)),
        ("3:2", Ratio(("3", "2"))),
        (r"\{\}", Several(())),
    ],
)
def test_reads(text, node):
    assert read(text) == node


def test_unions_keep_their_text():
    union = read(r"(-\infty, 0) \cup [1, 2]")
    assert isinstance(union, Union)
    assert union.parts == (Bracket("(", ")", leafs(r"-\infty", "0")), Bracket("[", "]", leafs("1", "2")))


def test_several_decides_what_a_comma_is():
    assert read("100,200", several=True) == Several(leafs("100", "200"))
    assert read("100,200") == Leaf("100,200")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "(1", "1)", "{1", r"\{1", "(1}", "x =", "= 5", "(" * 41 + "1" + ")" * 41, "{" * 5000 + "}" * 5000),
        *("1," * 300 + "1", r"a \pm b \pm c", "4\u200b2", "\u202e24", "x" * 30_000, r"\frac{1}{" * 3000),
    ],
)
def test_refuses(text):
    with pytest.raises(UnreadableError):
        read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\frac \pi4", r"\frac{\pi}{4}"),
        (r"\frac{\sqrt{3}}2", r"\frac{\sqrt{3}}{2}"),
        (r"\sqrt[3]2", r"\sqrt[3]{2}"),
        ("\u00bd", r"\frac{1}{2}"),
        ("4\u00b2", "4^{2}"),
        (r"6,\!000", "6000"),
        (r"10{,}000", "10000"),
        (r"**42**.", "42"),
        (r"\boxed{\boxed{42}}", "42"),
        (r"\text{4:30 p.m.}", "4:30 p.m."),
        (r"x\leq5", r"x\le5"),
        (r"\left( 1, 2 \right)", "( 1, 2 )"),
        (r"\(5\)", "5"),
        (r"1 \\ 2", r"1 \\ 2"),
    ],
)
def test_one_spelling(text, expected):
    assert tidy(text) == expected
    assert tidy(tidy(text)) == tidy(text)
