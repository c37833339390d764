"""Collections from LangSmith's runs and OpenAI's batch files."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from cascade_engine import DataError, Price, ToolCall, Usage
from cascade_engine.data.importers import read_langsmith, read_openai_batches

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def run(model, question="Capital of Peru?", answer="Lima", **fields):
    """A run as LangChain's tracer writes it."""
    human = {"id": ["langchain", "schema", "HumanMessage"], "kwargs": {"content": question}}
    system = {"id": ["langchain", "schema", "SystemMessage"], "kwargs": {"content": "Be brief."}}
    said = {
        "content": answer,
        "response_metadata": {
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": "Lima", "logprob": -0.25}]},
        },
        "tool_calls": [{"name": "look_up", "args": {"q": "Peru"}}],
    }
    return {
        "id": "r1",
        "run_type": "llm",
        "inputs": {"messages": [[system, human]]},
        "outputs": {"generations": [[{"text": answer, "message": {"kwargs": said}}]]},
        "extra": {"metadata": {"ls_model_name": model}},
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "prompt_token_details": {"cache_read": 8},
        "total_cost": "0.002",
        "start_time": "2026-01-01T00:00:00.000000Z",
        "end_time": "2026-01-01T00:00:01.500000+00:00",
        "feedback_stats": {"correctness": {"n": 2, "avg": 0.5}},
        "reference_example_id": "example-1",
        "error": None,
        **fields,
    }


class TestLangSmith:
    def test_a_run_is_read(self):
        found = read_langsmith([run("small")])
        (answer,) = found.answers(0, "small")
        assert answer.text == "Lima"
        assert answer.logprobs == (-0.25,)
        assert answer.usage == Usage(20, 5, cached_tokens=8)
        assert answer.cost == 0.002
        assert answer.seconds == 1.5
        assert answer.finish_reason == "stop"
        assert answer.tool_calls == (ToolCall("look_up", {"q": "Peru"}),)
        assert found.queries[0].text == "Capital of Peru?"
        assert found.queries[0].context_length == len("Be brief.")
        assert found.ids == ["example-1"]

    def test_scores_become_labels(self):
        runs = [run("small"), run("large", feedback_stats={"correctness": {"avg": 1}})]
        found = read_langsmith(runs)
        data = found.dataset(feedback=found.feedback["correctness"])
        assert data.quality.tolist() == [[0.5, 1.0]]
        assert data.cost.tolist() == [[0.002, 0.002]]
        single = [{"key": "thumbs", "score": s} for s in (1, 0, 1, None)]
        found = read_langsmith([run("small", feedback_stats=None, feedback=single)])
        assert found.feedback == {"thumbs": {("example-1", "small"): 2 / 3}}

    def test_runs_with_the_same_messages_are_one_query(self):
        runs = [
            run("small", reference_example_id=None),
            run("large", reference_example_id=None),
            run("small", answer="Again", reference_example_id=None),
            run("small", question="Capital of Chile?", reference_example_id=None),
            run("chain", run_type="chain"),
        ]
        found = read_langsmith(runs, samples=2)
        assert found.models == ("small", "large")
        assert [a.text for a in found.answers(0, "small")] == ["Lima", "Again"]
        assert [(m.row, m.model, m.sample) for m in found.missing()] == [
            (0, "large", 1),
            (1, "small", 1),
            (1, "large", 0),
            (1, "large", 1),
        ]
        assert found.ids == found.keys

    def test_a_failed_run_is_missing_until_one_succeeds(self):
        failed = run("small", error="RateLimitError: slow down", outputs=None)
        assert read_langsmith([failed]).missing()[0].why == "RateLimitError: slow down"
        assert read_langsmith([failed, run("small")]).missing() == []
        assert read_langsmith([run("small"), failed]).missing() == []

    @pytest.mark.parametrize(
        ("inputs", "outputs"),
        [
            ({"question": "Q?", "style": "terse"}, {"output": "A"}),
            ({"x": "Q?"}, {"y": "A"}),
            ({"prompts": ["Q?"]}, {"generations": [[{"text": "A"}]]}),
            (
                {"messages": [{"role": "user", "content": "Q?"}]},
                {"role": "assistant", "content": "A"},
            ),
            (
                {"input": "Q?"},
                {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
            ),
            (
                {"messages": [{"role": "user", "content": [{"type": "text", "text": "Q?"}]}]},
                {"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}]},
            ),
            (
                {"messages": [{"type": "human", "data": {"content": "Q?"}}]},
                {"message": {"content": "A"}},
            ),
        ],
    )
    def test_other_shapes(self, inputs, outputs):
        found = read_langsmith([run("m", inputs=inputs, outputs=outputs)])
        assert found.queries[0].text == "Q?"
        assert found.answers(0, "m")[0].text == "A"

    @pytest.mark.parametrize("content", [None, "", "I look it up."])
    def test_a_message_that_calls_tools(self, content):
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        said = {"role": "assistant", "content": content, "tool_calls": [call]}
        (answer,) = read_langsmith([run("m", outputs=said)]).answers(0, "m")
        assert answer.text == (content or "")
        assert [each.name for each in answer.tool_calls] == ["f"]

    def test_ones_own_shapes_and_objects(self):
        chain = SimpleNamespace(
            id="r",
            run_type="chain",
            inputs={"a": {"b": "Q?"}, "n": 1},
            outputs={"docs": [], "final": {"text": "A"}},
            extra=None,
            start_time=START,
            end_time=START + timedelta(seconds=2),
            total_cost=None,
            tags=["tiny"],
        )
        found = read_langsmith(
            [chain],
            model=lambda run: run.tags[0],
            question=lambda inputs: inputs["a"]["b"],
            answer=lambda outputs: outputs["final"]["text"],
            charge="seconds",
        )
        data = found.dataset(references=["A"])
        assert data.models == ("tiny",)
        assert data.cost.tolist() == [[2.0]]
        assert data.seconds.tolist() == [[2.0]]

    @pytest.mark.parametrize(
        ("runs", "message"),
        [
            ([], "no call of a model"),
            ([run("m", run_type="tool")], "no call of a model"),
            ([run(None)], "run r1 does not say which model"),
            ([run("m", inputs={"a": 1})], "no question is found in the inputs of run r1"),
            (
                [run("m", outputs={"a": "x", "b": "y"})],
                "no answer is found in the outputs of run r1",
            ),
        ],
    )
    def test_what_is_not_found_is_told(self, runs, message):
        with pytest.raises(DataError, match=message):
            read_langsmith(runs)

    def test_odd_numbers_and_times_are_unknown(self):
        odd = run("m", total_cost="free", start_time="yesterday", prompt_tokens=None)
        odd |= {"completion_tokens": None, "total_tokens": None}
        (answer,) = read_langsmith([odd]).answers(0, "m")
        assert (answer.cost, answer.seconds, answer.usage) == (None, None, None)
        mixed = run("m", start_time="2026-01-01T00:00:00")
        assert read_langsmith([mixed]).answers(0, "m")[0].seconds is None


def asked(name, model="small", question="Q?", **body):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    return {
        "custom_id": name,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": model, "messages": messages, **body},
    }


def answered(name, *texts, **fields):
    choices = [
        {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for text in texts
    ]
    body = {"choices": choices, "usage": {"prompt_tokens": 10, "completion_tokens": 2}}
    return {
        "id": "b",
        "custom_id": name,
        "response": {"status_code": 200, "body": body},
        "error": None,
        **fields,
    }


class TestBatches:
    def test_files_of_several_models(self, tmp_path):
        paths = []
        for model in ("small", "large"):
            lines = [asked("q1", model), asked("q2", model, "Other?")]
            answers = [answered("q2", f"{model} two"), answered("q1", f"{model} one")]
            pair = tmp_path / f"{model}-in.jsonl", tmp_path / f"{model}-out.jsonl"
            for path, written in zip(pair, (lines, answers), strict=True):
                path.write_text("".join(json.dumps(line) + "\n" for line in written) + "\n")
            paths.append(pair)
        found = read_openai_batches(paths, prices={m: Price(1e5, 0) for m in ("small", "large")})
        data = found.dataset(references=["one", "two"])
        assert data.ids == ["q1", "q2"]
        assert data.models == ("small", "large")
        assert [a.text for a in data.answers[1]] == ["small two", "large two"]
        assert data.cost.tolist() == [[1, 1], [1, 1]]
        assert data.quality.min() == 1
        assert data.queries[0].context_length == len("Be brief.")

    def test_tools_schemas_and_choices(self):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}
        line = asked("q", tools=[tool], response_format=schema, n=2)
        found = read_openai_batches([([line], [answered("q", "one", "two")])], samples=2)
        assert found.queries[0].tools == ({"name": "f", "parameters": {"type": "object"}},)
        assert found.queries[0].schema == {"type": "array"}
        assert [(a.text, a.usage) for a in found.answers(0, "small")] == [
            ("one", Usage(10, 2)),
            ("two", None),
        ]

    def test_what_failed_is_missing_and_says_why(self):
        lines = [asked(f"q{i}", question=f"Q{i}?") for i in range(4)]
        outputs = [
            answered("q0", "fine"),
            answered("q1", response=None, error={"code": "batch_expired", "message": "too late"}),
            answered("q2", response={"status_code": 400, "body": {"error": {"message": "bad"}}}),
        ]
        found = read_openai_batches([(lines, outputs)])
        assert [(m.row, m.why) for m in found.missing()] == [
            (1, "batch: too late"),
            (2, "batch: bad"),
            (3, "batch: no line in the output"),
        ]
        retried = read_openai_batches([(lines, outputs), (lines[1:], [answered("q1", "now")])])
        assert [m.row for m in retried.missing()] == [2, 3]

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ([], "no call of a model"),
            ([{"body": {}}], "has no custom_id"),
            ([asked("q"), asked("q")], "'q' is in one batch file twice"),
            ([{"custom_id": "q", "body": {"input": "embed"}}], "only batches of chat completions"),
        ],
    )
    def test_bad_batches_are_told(self, lines, message):
        with pytest.raises(DataError, match=message):
            read_openai_batches([(lines, [])])
