from __future__ import annotations

import io
import json
import lzma
from dataclasses import dataclass, replace

import pytest

from cascade_engine.datasets import _record
from cascade_engine.errors import DataError
from cascade_engine.local import MODELS, LocalAnswer

SMALL, LARGE = list(MODELS)[:2]


@dataclass(frozen=True)
class Asked:
    id: str
    prompt: str
    family: str = "sums"
    split: str = "train"
    reference: object = 3
    grader: str = "number"


QUESTIONS = [Asked(f"sums-{number}", f"What is 1 + {number}? é") for number in range(5)]


class Model:
    """Answers with its name and the prompt; may die after some answers."""

    def __init__(self, name="model", lives=100):
        self.name, self.lives, self.asked = name, lives, []

    def __call__(self, prompt):
        if len(self.asked) == self.lives:
            raise KeyboardInterrupt
        self.asked.append(prompt)
        return LocalAnswer(f"{self.name}: {prompt}", (-0.123456, -0.00001), 9, 2, 0.123456, "stop")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / f"{SMALL}.jsonl"


def record(model, path, questions=QUESTIONS):
    log = io.StringIO()
    count = _record.record(model, questions, path, log=log)
    assert count == len(model.asked)
    return log.getvalue()


def test_every_answer_is_a_line(path):
    log = record(Model(), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [question.id for question in QUESTIONS]
    assert json.loads(lines[0]) == {
        "id": "sums-0",
        "prompt_sha": _record.prompt_sha(QUESTIONS[0].prompt),
        "text": f"model: {QUESTIONS[0].prompt}",
        "logprobs": [-0.1235, 0.0],
        "input_tokens": 9,
        "output_tokens": 2,
        "seconds": 0.1235,
        "finish_reason": "stop",
    }
    assert "-0.0," not in lines[0]
    assert "-0.0]" not in lines[0]
    assert f"{SMALL}: 5/5" in log


def test_a_finished_recording_asks_nothing(path):
    record(Model(), path)
    before = path.read_bytes()
    again = Model()
    record(again, path)
    assert again.asked == []
    assert path.read_bytes() == before


def test_an_interrupted_recording_goes_on(path):
    with pytest.raises(KeyboardInterrupt):
        record(Model(lives=2), path)
    second = Model()
    record(second, path)
    assert second.asked == [question.prompt for question in QUESTIONS[2:]]
    assert len(_record.read_recording(path)) == 5


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_torn_last_line_is_dropped(path, kept):
    record(Model(), path)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(whole[:last] + whole[last:][:kept])
    second = Model()
    record(second, path)
    assert second.asked == [QUESTIONS[-1].prompt]
    assert path.read_bytes() == whole


def test_a_changed_prompt_is_asked_again(path):
    record(Model(), path)
    changed = [*QUESTIONS[:4], replace(QUESTIONS[4], prompt="Anything else?")]
    second = Model("second")
    record(second, path, changed)
    assert second.asked == ["Anything else?"]
    assert _record.read_recording(path)["sums-4"]["text"] == "second: Anything else?"


def test_pack_joins_questions_and_models(tmp_path):
    record(Model("s"), tmp_path / f"{SMALL}.jsonl")
    record(Model("l"), tmp_path / f"{LARGE}.jsonl")
    target = tmp_path / "packed" / "answers.jsonl.xz"
    assert _record.pack(tmp_path, target, QUESTIONS) == 5
    with lzma.open(target, "rt", encoding="utf-8") as file:
        header, *lines = [json.loads(line) for line in file]
    assert header == {
        "format": "cascade-routing/recorded",
        "version": 1,
        "models": [
            {"name": name, "parameters": MODELS[name].parameters} for name in (SMALL, LARGE)
        ],
    }
    assert list(lines[0]) == [
        *("id", "family", "split", "prompt", "reference", "grader", "answers")
    ]
    assert [line["prompt"] for line in lines] == [question.prompt for question in QUESTIONS]
    assert list(lines[0]["answers"]) == [SMALL, LARGE]
    assert lines[0]["answers"][LARGE] == {
        "text": f"l: {QUESTIONS[0].prompt}",
        "logprobs": [-0.1235, 0.0],
        "input_tokens": 9,
        "output_tokens": 2,
        "seconds": 0.1235,
        "finish_reason": "stop",
    }
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_packing_twice_gives_the_same_bytes(tmp_path):
    record(Model(), tmp_path / f"{SMALL}.jsonl")
    targets = [tmp_path / name for name in ("first.xz", "second.xz")]
    for target in targets:
        _record.pack(tmp_path, target, QUESTIONS)
    assert targets[0].read_bytes() == targets[1].read_bytes()


def test_pack_refuses_gaps_and_names_how_many(tmp_path):
    record(Model(), tmp_path / f"{SMALL}.jsonl")
    record(Model(), tmp_path / f"{LARGE}.jsonl", QUESTIONS[:2])
    target = tmp_path / "answers.xz"
    with pytest.raises(DataError, match=f"{LARGE} misses 3 of 5"):
        _record.pack(tmp_path, target, QUESTIONS)
    stale = [replace(question, prompt=question.prompt + "!") for question in QUESTIONS]
    with pytest.raises(DataError, match=f"{SMALL} misses 5 of 5"):
        _record.pack(tmp_path, target, stale)
    assert not target.exists()


def test_pack_refuses_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no recording"):
        _record.pack(tmp_path, tmp_path / "answers.xz", QUESTIONS)


def test_the_command_line_packs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_record, "generate", lambda: QUESTIONS)
    record(Model(), tmp_path / f"{SMALL}.jsonl")
    target = tmp_path / "answers.xz"
    _record.main(["--pack", str(target), "--out", str(tmp_path)])
    assert "5 questions" in capsys.readouterr().err


def test_the_command_line_records(tmp_path, monkeypatch):
    class Server:
        model = SMALL

        def __init__(self, name):
            assert name == SMALL

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def complete(self, prompt, max_tokens):
            assert max_tokens == 64
            return Model()(prompt)

    monkeypatch.setattr(_record, "generate", lambda: QUESTIONS)
    monkeypatch.setattr(_record, "LocalServer", Server)
    _record.main(["--model", SMALL, "--out", str(tmp_path), "--limit", "3"])
    assert len(_record.read_recording(tmp_path / f"{SMALL}.jsonl")) == 3
