r"""Prompt templates by name, as they were published, and the scorer that reads the form of answer each asks for.

A conversation (a list of messages, to which the model's chat template is applied) is for instruction-tuned models; a
text is continued by a base model. None of them says anything of thinking: that is the chat template's business
(`chat_template_kwargs: {enable_thinking: false}` for Qwen3), and scorers look behind `</think>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_BOXED = r"Please reason step by step, and put your final answer within \boxed{}."
_DAPO_BEGIN = (
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
)
_DAPO_END = '\n\nRemember to put your answer on its own line after "Answer:".'
_LCB_SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests."
)
_LCB_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters."
)
_LCB_STDIN = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the "
    "inputs, runs the algorithm and writes output to STDOUT."
)
_EVALPLUS = "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
_LETTERS = "ABCDEFGHIJ"

Kind = Literal["math", "choice", "stdio", "function"]


@dataclass(frozen=True)
class Template:
    """A template.

    Args:
        name: by which it is asked for.
        origin: where it was published.
        kind: of question: `math`, `choice`, `stdio` (programs), `function` (bodies of a given signature).
        text: the user's turn, or the text that is continued; `{question}`, `{options}`, `{format}`, `{code}`, `{stub}`
            stand for the parts of a row.
        system: the system message; None: none, and the chat template's own stands.
        chat: whether it is a conversation.
        scorer: of `riskpo.rewards.registry`, which reads this form; None: the task's own.
    """

    name: str
    origin: str
    kind: Kind
    text: str
    system: str | None = None
    chat: bool = True
    scorer: str | None = None


_ALL = (
    Template(
        "boxed",
        "Qwen2.5-Math (evaluation/utils.py, qwen-boxed without its system message) and DeepSeek-R1's advice",
        "math",
        "{question}\n" + _BOXED,
        scorer="math:boxed",
    ),
    Template(
        "qwen-math",
        "Qwen2.5-Math's model cards: the instruction as the system message",
        "math",
        "{question}",
        system=_BOXED,
        scorer="math:boxed",
    ),
    Template(
        "verl-boxed",
        "verl, examples/data_preprocess/math_dataset.py",
        "math",
        r"{question} Let's think step by step and output the final answer within \boxed{}.",
        scorer="math:boxed",
    ),
    Template(
        "gsm8k",
        "verl, examples/data_preprocess/gsm8k.py; the data set's own mark of an answer",
        "math",
        '{question} Let\'s think step by step and output the final answer after "####".',
        scorer="math:gsm8k-strict",
    ),
    Template(
        "dapo",
        "BytedTsinghua-SIA/DAPO-Math-17k (arXiv 2503.14476)",
        "math",
        _DAPO_BEGIN + "{question}" + _DAPO_END,
        scorer="math:dapo",
    ),
    Template(
        "geo3k",
        "verl, examples/data_preprocess/geo3k.py",
        "math",
        "{question} You FIRST think about the reasoning process as an internal monologue and then provide the final "
        "answer. The reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE put in "
        r"\boxed{}.",
        scorer="math:boxed",
    ),
    Template("question", "none: the question alone", "math", "{question}", scorer="math"),
    Template(
        "boxed-text",
        "DeepSeekMath (deepseek-math of Qwen2.5-Math's evaluation/utils.py), for base models",
        "math",
        "User: {question}\n" + _BOXED + "\n\nAssistant:",
        chat=False,
        scorer="math:boxed",
    ),
    Template(
        "question-text", "none: the question alone, for base models", "math", "{question}", chat=False, scorer="math"
    ),
    Template(
        "mathvision",
        "MATH-V (mathllm/MATH-V, arXiv 2402.14804)",
        "choice",
        'Please solve the problem step by step and put your answer in one "\\boxed{}". If it is a multiple choice '
        'question, only one letter is allowed in the "\\boxed{}".\n{question}\n{options}',
        scorer="choice",
    ),
    Template(
        "livecodebench",
        "LiveCodeBench (lcb_runner/prompts/code_generation.py), also DeepCoder's",
        "stdio",
        "### Question:\n{question}\n\n{format}### Answer: (use the provided format with backticks)\n\n",
        system=_LCB_SYSTEM,
        scorer="code",
    ),
    Template(
        "evalplus",
        "EvalPlus (arXiv 2305.01210), for instruction-tuned models",
        "function",
        _EVALPLUS + "\n```python\n{stub}\n```\n",
        scorer="code",
    ),
    Template(
        "completion",
        "HumanEval (arXiv 2107.03374): the code as it stands, continued by a base model; MBPP as in EvalPlus",
        "function",
        "{code}",
        chat=False,
        scorer="code:bare",
    ),
)
TEMPLATES: dict[str, Template] = {template.name: template for template in _ALL}


def render(template: Template, question: str, fields: Mapping[str, Any], image: bool, system: str | None = None) -> Any:
    """The prompt of a question: a text, or a conversation in TRL's form.

    Args:
        template: which one.
        question: its text.
        fields: the item's further columns: `options`, `starter_code`, `test_list`.
        image: whether an image comes before the text; then every content is a list of parts.
        system: a system message instead of the template's; "" takes it away.
    """
    text = _filled(template.text, question, fields)
    if not template.chat:
        return text
    system = template.system if system is None else system
    messages = [("system", system)] if system else []
    if not image:
        return [{"role": role, "content": content} for role, content in [*messages, ("user", text)]]
    parts = [{"type": "image"}, {"type": "text", "text": text}]
    return [
        *({"role": role, "content": [{"type": "text", "text": content}]} for role, content in messages),
        {"role": "user", "content": parts},
    ]


def _filled(text: str, question: str, fields: Mapping[str, Any]) -> str:
    """The text with its places filled, each once and from left to right: a question may hold braces of its own."""
    code = _code(question, fields)
    parts = {
        "{question}": question,
        "{options}": _options(fields.get("options") or ()),
        "{format}": _format(str(fields.get("starter_code") or "")),
        "{code}": code,
        "{stub}": code.strip(),
    }
    place = min((text.find(mark), mark) for mark in parts if mark in text)
    begin, mark = place
    rest = text[begin + len(mark) :]
    filled = text[:begin] + parts[mark]
    return filled + (_filled(rest, question, fields) if any(mark in rest for mark in parts) else rest)


def _options(options: Any) -> str:
    """A line for each option; nothing where there are none, or where they are the letters in the image."""
    if "".join(map(str, options)) == _LETTERS[: len(options)]:
        return ""
    return "".join(f"({letter}) {text}\n" for letter, text in zip(_LETTERS, options, strict=False))


def _format(starter: str) -> str:
    if starter.strip():
        return f"### Format: {_LCB_STARTER}\n```python\n{starter}\n```\n\n"
    return f"### Format: {_LCB_STDIN}\n```python\n# YOUR CODE HERE\n```\n\n"


def _code(question: str, fields: Mapping[str, Any]) -> str:
    """HumanEval's prompt is code; MBPP's is a sentence: a docstring with the first test, as in EvalPlus."""
    tests = fields.get("test_list")
    return question if not tests else f'"""\n{question}\n{tests[0]}\n"""\n'
