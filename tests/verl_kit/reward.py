"""A verifier for verl's reward loop: is the first word one of the allowed ones? Pure, so safe in any thread."""

import math
from typing import Any


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any],
    nan_words: str = "",
    fail_words: str = "",
    **_: Any,
) -> dict[str, float]:
    """1 if the first word is in `ground_truth` (words and blanks), else 0; NaN if the last is in `nan_words`.

    Raises:
        RuntimeError: The last word is in `fail_words`: a verifier that breaks.
    """
    words = solution_str.split()
    if words and words[-1] in fail_words.split():
        raise RuntimeError(f"the verifier breaks at {words[-1]}")
    if words and words[-1] in nan_words.split():
        return {"score": math.nan, "words": float(len(words))}
    return {"score": float(bool(words) and words[0] in ground_truth.split()), "words": float(len(words))}
