"""The generated questions are distinct, reproducible, and gradable by their own graders."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

import cascade_engine
from cascade_engine.answers.graders import grader
from everyday.generator import generate

DIGEST = """
import hashlib, json
from dataclasses import asdict
from everyday.generator import generate
text = json.dumps([asdict(question) for question in generate()])
print(hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def questions():
    return generate()


def plain_answer(reference, name):
    if name == "sequence":
        return ", ".join(str(item) for item in reference)
    if isinstance(reference, list):
        return reference[0]
    if not isinstance(reference, dict):
        return str(reference)
    if name == "label":
        return reference["label"]
    return reference["accept"][0] if name == "contains" else json.dumps(reference)


def score(question, answer):
    return grader(question.grader)(question.prompt, answer, question.reference)


def test_there_are_enough_questions_in_enough_families(questions):
    counts = Counter(question.family for question in questions)
    assert len(questions) >= 1500
    assert len(counts) >= 13
    assert min(counts.values()) >= 90
    assert max(counts.values()) <= 140


def test_prompts_and_ids_are_distinct(questions):
    assert len({question.prompt for question in questions}) == len(questions)
    assert len({question.id for question in questions}) == len(questions)
    assert all(question.id.startswith(f"{question.family}-") for question in questions)


def test_questions_survive_json(questions):
    rows = [asdict(question) for question in questions]
    assert json.loads(json.dumps(rows)) == rows


def test_every_family_is_split_in_the_stated_proportions(questions):
    sizes = Counter(question.family for question in questions)
    parts = Counter((question.family, question.split) for question in questions)
    for family, size in sizes.items():
        assert parts[family, "train"] == round(0.50 * size)
        assert parts[family, "validation"] == round(0.15 * size)
        rest = size - parts[family, "train"] - parts[family, "validation"]
        assert parts[family, "test"] == rest


def test_the_seed_changes_the_questions(questions):
    assert generate(0) == questions
    assert generate(1) != questions


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_another_process_generates_the_same_questions(questions, hash_seed):
    text = json.dumps([asdict(question) for question in questions])
    root = Path(next(iter(cascade_engine.__path__))).parent
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(text.encode()).hexdigest()


def test_every_reference_passes_its_own_grader(questions):
    failed = [
        question.id
        for question in questions
        if score(question, plain_answer(question.reference, question.grader)) != 1.0
    ]
    assert failed == []


def test_an_empty_answer_scores_nothing(questions):
    assert [question.id for question in questions if score(question, "") != 0.0] == []


def test_the_answer_to_another_question_scores_nothing(questions):
    passed = []
    for question, other in zip(questions, questions[1:] + questions[:1], strict=True):
        answer = plain_answer(other.reference, other.grader)
        same = answer.casefold() in json.dumps(question.reference, ensure_ascii=False).casefold()
        if not same and score(question, answer) != 0.0:
            passed.append((question.id, answer))
    assert passed == []


def test_repeating_the_prompt_hardly_ever_scores(questions):
    # "Which of 14 and 63 is larger?" ends with its answer; such prompts must stay rare.
    graded_by_text = ("number", "contains", "label", "choice", "json_fields")
    passed = Counter(
        question.family
        for question in questions
        if question.grader in graded_by_text and score(question, question.prompt) != 0.0
    )
    assert sum(passed.values()) <= 0.05 * len(questions)
