"""Test code taken apart into its asserts, so that each counts as a test of its own.

    def check(candidate):
        assert candidate(1) == 2       # test 0
        for n in range(9):
            assert candidate(n) == n   # test 1: passed when it held every time

An assert that holds whatever the candidate does (`assert True, "..."`) is no test.
"""

from __future__ import annotations

import ast
from types import CodeType

PASSED, FAILED = "__riskpo_passed__", "__riskpo_failed__"
_ATTEMPT = f"""
try:
    pass
except BaseException as __riskpo_error__:
    {FAILED}({{number}}, __riskpo_error__)
else:
    {PASSED}({{number}})
"""


def instrumented(source: str) -> tuple[CodeType, list[str]]:
    """The code, in which every assert reports to two functions of its namespace, and the text of each assert.

    `__riskpo_passed__(number)` is called after an assert that held, `__riskpo_failed__(number, error)` in place of one
    that did not, whatever was raised in it. What the latter raises ends the test code.
    """
    reporter = _Reporter(source)
    tree = ast.fix_missing_locations(reporter.visit(ast.parse(source)))
    # optimize=0: Python's own -O, which a training run may have been started with, would leave the asserts out.
    return compile(tree, "<tests>", "exec", dont_inherit=True, optimize=0), reporter.texts


class _Reporter(ast.NodeTransformer):
    def __init__(self, source: str) -> None:
        self.source = source
        self.texts: list[str] = []

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if isinstance(node.test, ast.Constant):
            return node
        number = len(self.texts)
        self.texts.append(ast.get_source_segment(self.source, node) or "")
        report = (
            f"try:\n    pass\nexcept BaseException as __riskpo_error__:\n    {FAILED}({number}, __riskpo_error__)\n"
        )
        report += f"else:\n    {PASSED}({number})\n"
        (attempt,) = ast.parse(report).body
        assert isinstance(attempt, ast.Try)
        attempt.body = [node]
        return attempt
