"""From the records of a task to its scores: pass@k, avg@n and maj@k with intervals, and what to distrust them for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from riskpo.atomic import read_json
from riskpo.errors import ConfigError, DataError
from riskpo.evaluation.compare import Comparison, compare
from riskpo.evaluation.passk import count
from riskpo.evaluation.records import Record
from riskpo.evaluation.scores import average_score, majority_scores, pass_scores
from riskpo.rewards.answers.numbers import read_number


def default_ks(samples: int) -> list[int]:
    """1, 2, 4, ... up to the number of samples."""
    ks = [1]
    while ks[-1] * 2 <= samples:
        ks.append(ks[-1] * 2)
    return ks


def check_ks(ks: Sequence[int], samples: int) -> None:
    """Raises ConfigError for a k outside 1..samples."""
    wrong = [k for k in ks if not 1 <= k <= samples]
    if wrong:
        raise ConfigError(f"pass@k for k = {wrong} cannot be had from {samples} samples a question: 1 <= k <= samples.")


def task_results(
    records: Iterable[Record], questions: Sequence[str], samples: int, ks: Sequence[int]
) -> dict[str, Any]:
    """The scores of one task.

    Args:
        records: of all its samples.
        questions: the names of its questions.
        samples: of each.
        ks: of pass@k.

    Returns:
        `pass` and `maj` by k and `avg`, each as `Score.as_dict`; `maj` is empty where the scorer names no answers. The
        shares of samples that were `truncated`, `unscorable` and without an answer; the mean length in `tokens`;
        `scores` of each question's samples, None where one could not be judged.
    """
    place = {name: index for index, name in enumerate(questions)}
    scores: list[list[float | None]] = [[None] * samples for _ in questions]
    answers: list[list[str | None]] = [[None] * samples for _ in questions]
    total = truncated = silent = tokens = 0
    for record in records:
        scores[place[record.question]][record.sample] = record.score
        answers[place[record.question]][record.sample] = record.answer
        total += 1
        truncated += record.truncated
        silent += record.status == "no_answer"
        tokens += record.tokens
    usable_Q = count(scores).usable_Q
    found: dict[str, Any] = {
        "questions": len(questions),
        "samples": samples,
        "unscorable": 1.0 - float(usable_Q.sum()) / total,
        "truncated": truncated / total,
        "no_answer": silent / total,
        "tokens": tokens / total,
        "pass": {},
        "maj": {},
        "avg": None,
        "scores": scores,
    }
    possible = [k for k in ks if k <= usable_Q.max()]
    if not possible:
        return {**found, "why": f"no question has {min(ks)} samples that could be judged."}
    found["pass"] = _by_k(possible, pass_scores(scores, possible))
    found["avg"] = average_score(scores).as_dict()
    if samples > 1 and any(answer is not None for row in answers for answer in row):
        found["maj"] = _by_k(possible, majority_scores(answers, scores, possible, same_answer))
    return found


def compare_folders(a: Path, b: Path, ks: Sequence[int]) -> tuple[dict[str, Comparison], list[str]]:
    """Two complete evaluations, paired by question.

    Args:
        a, b: their folders.
        ks: of pass@k.

    Returns:
        A comparison for each k, and sentences about what differs between the two besides the model.

    Raises:
        DataError: a folder without results, no shared task or question, or too few samples.
    """
    results = [_read_results(folder) for folder in (a, b)]
    ours, theirs = (
        {name: dict(zip(task["names"], task["scores"], strict=True)) for name, task in one["tasks"].items()}
        for one in results
    )
    names = (a.name, b.name) if a.name != b.name else (str(a), str(b))
    found = {f"pass@{k}": compare(ours, theirs, k=k, names=names) for k in ks}
    return found, _notes(*results)


def _read_results(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    if not path.is_file():
        begun = (folder / "config.json").is_file()
        raise DataError(
            f"{folder} holds no results: "
            + ("the evaluation there is not complete, run its command again." if begun else "it is no evaluation.")
        )
    results: dict[str, Any] = read_json(path)
    return results


def _notes(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What makes two evaluations less comparable than their numbers look."""
    notes = []
    if a["config"]["sampling"] != b["config"]["sampling"]:
        notes.append(f"they sampled differently: {a['config']['sampling']} and {b['config']['sampling']}.")
    for key in ("backend", "dtype", "chat_template_kwargs"):
        if a["config"].get(key) != b["config"].get(key):
            notes.append(f"{key} differs: {a['config'].get(key)} and {b['config'].get(key)}.")
    for name in a["tasks"].keys() & b["tasks"].keys():
        ours, theirs = a["tasks"][name], b["tasks"][name]
        if ours["names"] == theirs["names"] and ours["fingerprint"] != theirs["fingerprint"]:
            notes.append(
                f"{name}: the questions have the same names, but prompts, gold answers or other columns differ."
            )
        for key in ("scorer", "template", "split"):
            if ours.get(key) != theirs.get(key):
                notes.append(f"{name}: {key} {ours.get(key)} and {theirs.get(key)}.")
    return sorted(notes)


def same_answer(answer: str) -> str:
    """What answers share that are one vote: a number's value, however it is written, else the text without blanks."""
    number = read_number(answer)
    return "".join(answer.split()) if number is None else f"{number.value} {number.percent} {number.unit}"


def _by_k(ks: Sequence[int], scores: Sequence[Any]) -> dict[str, Any]:
    return {str(k): score.as_dict() for k, score in zip(ks, scores, strict=True)}
