"""Prompts as they were published, and that the scorer of a template reads the form that it asks for."""

import pytest

from riskpo.errors import ConfigError
from riskpo.rewards.registry import REWARDS
from riskpo.tasks.dapo import unframed
from riskpo.tasks.registry import DATA_TASKS
from riskpo.tasks.templates import TEMPLATES, render


def user(name, question, fields=None, **options):
    return render(TEMPLATES[name], question, fields or {}, False, **options)


BOXED = r"Please reason step by step, and put your final answer within \boxed{}."
DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\nWhat is 1+1?\n\nRemember to put your "
    'answer on its own line after "Answer:".'
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("boxed", [{"role": "user", "content": f"What is 1+1?\n{BOXED}"}]),
        ("qwen-math", [{"role": "system", "content": BOXED}, {"role": "user", "content": "What is 1+1?"}]),
        (
            "gsm8k",
            [
                {
                    "role": "user",
                    "content": 'What is 1+1? Let\'s think step by step and output the final answer after "####".',
                }
            ],
        ),
        ("dapo", [{"role": "user", "content": DAPO}]),
        ("boxed-text", f"User: What is 1+1?\n{BOXED}\n\nAssistant:"),
        ("question-text", "What is 1+1?"),
    ],
)
def test_published_prompts(name, expected):
    assert user(name, "What is 1+1?") == expected


def test_the_frame_of_dapo_comes_off_and_on():
    assert unframed(DAPO) == "What is 1+1?"
    assert unframed("What is 1+1?") == "What is 1+1?"
    assert user("dapo", unframed(DAPO))[0]["content"] == DAPO


def test_a_question_may_hold_braces_and_marks():
    """Only the template's own places are filled, each once."""
    question = r"\frac{1}{2} {question} {options} {format} {code} %s {0}"
    assert user("boxed", question)[0]["content"] == f"{question}\n{BOXED}"
    text = user("livecodebench", question, {"starter_code": "{question}"})[1]["content"]
    assert text.startswith(f"### Question:\n{question}\n\n### Format: You will use the following starter code")
    assert "```python\n{question}\n```" in text


def test_programs():
    stdin = user("livecodebench", "Add.")
    assert stdin[0]["role"] == "system"
    assert "### Format: Read the inputs from stdin" in stdin[1]["content"]
    assert stdin[1]["content"].endswith("### Answer: (use the provided format with backticks)\n\n")
    code = '\n\ndef f():\n    """One."""\n'
    assert user("completion", code) == code
    assert user("evalplus", code)[0]["content"].endswith(f"block:\n```python\n{code.strip()}\n```\n")
    mbpp = user("evalplus", "Write f.", {"test_list": ["assert f() == 1", "assert f() == 2"]})[0]["content"]
    assert mbpp.endswith('```python\n"""\nWrite f.\nassert f() == 1\n"""\n```\n')


def test_options():
    content = user("mathvision", "Which?", {"options": ["3", "4"]})[0]["content"]
    assert content.endswith('"\\boxed{}".\nWhich?\n(A) 3\n(B) 4\n')
    assert user("mathvision", "Which?", {"options": ["A", "B", "C"]})[0]["content"].endswith(".\nWhich?\n")
    assert user("mathvision", "How many?", {"options": []})[0]["content"].endswith(".\nHow many?\n")


def test_system_messages():
    assert [m["role"] for m in user("boxed", "q", system="Be brief.")] == ["system", "user"]
    assert [m["role"] for m in user("qwen-math", "q", system="")] == ["user"]


def test_images_make_every_content_a_list():
    prompt = render(TEMPLATES["qwen-math"], "q", {}, True)
    assert prompt == [
        {"role": "system", "content": [{"type": "text", "text": BOXED}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "q"}]},
    ]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_names_a_scorer_and_an_origin(name):
    template = TEMPLATES[name]
    assert template.scorer in REWARDS
    assert template.origin


@pytest.mark.parametrize("name", DATA_TASKS)
def test_the_scorer_of_a_task_is_that_of_its_template(name):
    task = DATA_TASKS[name]
    assert task.scorer == task.scorer_for(task.find_template(None)) in REWARDS


ANSWERS = {
    "math:boxed": r"so \boxed{2}",
    "math:gsm8k-strict": "so\n#### 2",
    "math:dapo": "so\nAnswer: 2",
    "math": r"so \boxed{2}",
}


@pytest.mark.parametrize("name", [name for name in TEMPLATES if TEMPLATES[name].kind == "math"])
def test_the_scorer_reads_the_form_that_is_asked_for(name):
    """And not another one: a scorer of one convention is not met by chance."""
    from riskpo.rewards.registry import make_reward

    scorer = TEMPLATES[name].scorer
    reward = make_reward(scorer)
    assert reward(completions=[ANSWERS[scorer], "2 apples"], answer=["2", "2"]) == [1.0, 0.0]


def test_refused_templates():
    with pytest.raises(ConfigError, match=r"unknown template 'boxd'. Did you mean 'boxed'"):
        DATA_TASKS["math"].find_template("boxd")
    with pytest.raises(
        ConfigError, match=r"template evalplus is for function questions, task math has math ones. Allowed: boxed"
    ):
        DATA_TASKS["math"].find_template("evalplus")
    assert DATA_TASKS["gsm8k"].scorer_for(DATA_TASKS["gsm8k"].find_template("dapo")) == "math:dapo"
