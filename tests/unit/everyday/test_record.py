from __future__ import annotations

import json
import lzma
from dataclasses import dataclass, replace

import pytest

from cascade_engine import Answer, Usage
from cascade_engine.data.collection import Collection
from cascade_engine.datasets import load_everyday
from cascade_engine.errors import DataError
from cascade_engine.local import MODELS, LocalAnswer
from everyday import record as recorder

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
    return recorder.record(model, questions, path)


def recorded(path):
    """The texts recorded, by prompt."""
    found = Collection.from_journal(path)
    return {
        query.text: found.answers(row, SMALL)[0].text for row, query in enumerate(found.queries)
    }


def test_every_answer_is_kept(path):
    record(Model(), path)
    found = Collection.from_journal(path)
    assert [query.text for query in found.queries] == [question.prompt for question in QUESTIONS]
    assert found.answers(0, SMALL) == [
        Answer(
            f"model: {QUESTIONS[0].prompt}",
            (-0.1235, 0.0),
            Usage(9, 2),
            seconds=0.1235,
            finish_reason="stop",
        )
    ]
    assert "-0.0," not in path.read_text("utf-8")
    assert "-0.0]" not in path.read_text("utf-8")


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
    assert len(recorded(path)) == 5


def test_a_model_that_fails_is_named_and_what_it_said_is_kept(path):
    model = Model()

    def fails(prompt):
        if prompt == QUESTIONS[2].prompt:
            raise OSError("gone")
        return model(prompt)

    with pytest.raises(DataError, match=rf"{SMALL} failed on .*1 \+ 2.*OSError: gone"):
        record(fails, path)
    assert model.asked == [question.prompt for question in QUESTIONS[:2]]
    again = Model()
    record(again, path)
    assert again.asked == [question.prompt for question in QUESTIONS[2:]]


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
    assert recorded(path)["Anything else?"] == "second: Anything else?"


def test_pack_joins_questions_and_models(tmp_path):
    record(Model("s"), tmp_path / f"{SMALL}.jsonl")
    record(Model("l"), tmp_path / f"{LARGE}.jsonl")
    target = tmp_path / "packed" / "answers.jsonl.xz"
    assert recorder.pack(tmp_path, target, QUESTIONS) == 5
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
        recorder.pack(tmp_path, target, QUESTIONS)
    assert targets[0].read_bytes() == targets[1].read_bytes()


def test_pack_refuses_gaps_and_names_how_many(tmp_path):
    record(Model(), tmp_path / f"{SMALL}.jsonl")
    record(Model(), tmp_path / f"{LARGE}.jsonl", QUESTIONS[:2])
    target = tmp_path / "answers.xz"
    with pytest.raises(DataError, match=f"{LARGE} misses 3 of 5"):
        recorder.pack(tmp_path, target, QUESTIONS)
    stale = [replace(question, prompt=question.prompt + "!") for question in QUESTIONS]
    with pytest.raises(DataError, match=f"{SMALL} misses 5 of 5"):
        recorder.pack(tmp_path, target, stale)
    assert not target.exists()


def test_pack_refuses_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no recording"):
        recorder.pack(tmp_path, tmp_path / "answers.xz", QUESTIONS)


def test_the_command_line_packs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recorder, "generate", lambda: QUESTIONS)
    record(Model(), tmp_path / f"{SMALL}.jsonl")
    target = tmp_path / "answers.xz"
    recorder.main(["--pack", str(target), "--out", str(tmp_path)])
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

    monkeypatch.setattr(recorder, "generate", lambda: QUESTIONS)
    monkeypatch.setattr(recorder, "LocalServer", Server)
    recorder.main(["--model", SMALL, "--out", str(tmp_path), "--limit", "3"])
    assert len(recorded(tmp_path / f"{SMALL}.jsonl")) == 3


def test_what_is_known_of_a_question_is_loaded():
    data = load_everyday("validation", models=["SmolLM2-135M-Instruct"])
    assert len(set(data.ids)) == len(data) == 240
    assert data.metadata[0].keys() == {"kind", "split", "grader"}
    assert {each["split"] for each in data.metadata} == {"validation"}
    assert all(
        name.startswith(f"{row['kind']}-")
        for name, row in zip(data.ids, data.metadata, strict=True)
    )
    assert len({row["kind"] for row in data.metadata}) == 16
    assert (data.groups, data.labels) == (None, "references")
