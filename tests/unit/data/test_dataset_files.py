"""Data sets as files and frames: what is told of bad ones, and that nothing is half-written."""

from __future__ import annotations

import json
import math
import os
import sys

import numpy as np
import pytest

from cascade_engine import (
    Answer,
    CascadeDataset,
    ConfigurationError,
    DataError,
    Price,
    Query,
    ToolCall,
    Usage,
)
from cascade_engine.errors import UnknownPriceError

MODELS = ["small", "large"]
FULL = Answer(
    "Lima",
    (-0.1, float("-inf")),
    Usage(12, 3, cached_tokens=4),
    0.5,
    0.125,
    "stop",
    (ToolCall("f", {"x": [1, 2]}), ToolCall("g", "{not json")),
    {"judge": 0.75, "odd": float("nan")},
    payload=object(),
)
ONE = {"query": ["a"], "model": ["m"], "quality": [1], "cost": [1]}
SUFFIXES = [".jsonl", ".parquet"]


def dataset(**more):
    query = Query("q1", 7, ({"name": "f", "parameters": {"$ref": "#/x"}},), {"type": "object"})
    answers = [[FULL, Answer("b")], [Answer("c", seconds=2.0), Answer("d")]]
    quality, cost = [[0.1, 1.0], [1 / 3, 0.0]], [[1e-7, 2.0], [0.0, 4.0]]
    options = {
        "references": ["Lima", {"accept": ["x", 1, None], "wrong": ()}],
        "ids": ["one", "two"],
        "groups": ["g", None],
        "metadata": [{"topic": "geo", "n": float("inf")}, {}],
        "samples": [[[Answer("again")], []], [[], []]],
        "labels": "judge",
        "label_cost": 0.25,
        **more,
    }
    return CascadeDataset(MODELS, [query, "q2"], answers, quality, cost, **options)


def shown(data):
    whole = [data.models, data.queries, data.answers, data.columns, data.labels, data.label_cost]
    return repr([*whole, data.quality.tolist(), data.cost.tolist()])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_comes_back_but_the_payload(tmp_path, suffix):
    path = tmp_path / f"data{suffix}"
    data = dataset()
    data.save(str(path))
    loaded = CascadeDataset.load(str(path))
    assert shown(loaded) == shown(data)
    assert loaded.answers[0][0].payload is None
    plain = dataset(**dict.fromkeys(("references", "ids", "groups", "metadata", "samples")))
    plain.save(path)
    assert shown(CascadeDataset.load(path)) == shown(plain)


def test_jsonl_is_a_line_a_query_and_plain_json(tmp_path):
    path = tmp_path / "data.jsonl"
    dataset().save(path)
    header, *rows = [
        json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()
    ]
    assert header == {
        "format": "cascade-routing/dataset",
        "version": 1,
        "models": MODELS,
        "rows": 2,
        "columns": ["references", "ids", "groups", "metadata", "samples"],
        "labels": "judge",
        "label_cost": 0.25,
    }
    assert rows[1]["answers"] == {"small": {"text": "c", "seconds": 2}, "large": {"text": "d"}}
    assert rows[0]["quality"] == {"small": 0.1, "large": 1.0}
    assert rows[0]["answers"]["small"]["logprobs"] == [-0.1, {"$float": "-inf"}]


def test_parquet_can_be_queried_as_it_is(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    dataset().save(tmp_path / "data.parquet")
    table = pq.read_table(tmp_path / "data.parquet")
    assert table["model"].to_pylist() == ["small", "small", "large", "small", "large"]
    assert table["sample"].to_pylist() == [0, 1, 0, 0, 0]
    assert table["quality"].to_pylist() == [0.1, None, 1.0, 1 / 3, 0.0]
    assert table["cached_tokens"].to_pylist() == [4, None, None, None, None]
    assert json.loads(table["tool_calls"][0].as_py())[1]["name"] == "g"
    assert str(table.schema.field("logprobs").type) == "list<element: double>"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_save_that_fails_leaves_what_was_there(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"data{suffix}"
    dataset().save(path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="is a set, which cannot be written"):
        dataset(references=["fine", {1, 2}]).save(path)
    monkeypatch.setattr(os, "fsync", lambda handle: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dataset().save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_permissions_stay(tmp_path):
    path = tmp_path / "data.jsonl"
    dataset().save(path)
    assert path.stat().st_mode & 0o400
    path.chmod(0o640)
    dataset().save(path)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "is no file of the format"),
        (lambda text: "notes\n", "line 1 of .* is no JSON"),
        (lambda text: text.replace('"version": 1', '"version": 9'), "is of version 9"),
        (lambda text: "".join(text.splitlines(keepends=True)[:-1]), "has 1 of 2 rows"),
        (lambda text: text[:-20], "line 3 of .* is no JSON"),
        (
            lambda text: text.replace('"context_length"', '"kontext"'),
            "Query has no field 'kontext'",
        ),
        (lambda text: text.replace('"cached_tokens"', '"cash"'), "Usage has no field 'cash'"),
        (lambda text: text.replace('"text": "b"', '"seconds": 3'), "Answer lacks the field 'text'"),
        (lambda text: text.replace('"text": "b"', '"text": 3'), "Answer.text must be str, not 3"),
        (lambda text: text.replace('"ids": "one"', '"idx": "one"'), r"unknown columns \['idx'\]"),
        (
            lambda text: text.replace('"quality": {"small": 0.1, ', '"quality": {'),
            "quality of row 0",
        ),
        (lambda text: text.replace('"label_cost": 0.25', '"x": 0'), "is damaged: KeyError"),
        (
            lambda text: text.replace('"label_cost": 0.25', '"label_cost": null'),
            "is damaged: TypeError",
        ),
        (
            lambda text: text.replace('"quality": {"small": 0.1', '"quality": {"small": 7'),
            "rescale",
        ),
    ],
)
def test_a_damaged_file_is_told(tmp_path, change, message):
    path = tmp_path / "data.jsonl"
    dataset().save(path)
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        CascadeDataset.load(path)


def test_other_parquet_files_are_told(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="is no Parquet file"):
        CascadeDataset.load(path)
    pq.write_table(pa.table({"query": ["q"]}), path)
    with pytest.raises(DataError, match=r"from_pandas\(pandas.read_parquet"):
        CascadeDataset.load(path)
    with pytest.raises(FileNotFoundError):
        CascadeDataset.load(tmp_path / "none.parquet")
    with pytest.raises(FileNotFoundError):
        CascadeDataset.load(tmp_path / "none.jsonl")


def test_extras_are_named_where_they_are_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"cascade-routing\[data\]"):
        dataset().save(tmp_path / "data.parquet")
    with pytest.raises(ImportError, match=r"cascade-routing\[data\]"):
        dataset().to_pandas()
    assert list(tmp_path.iterdir()) == []


def test_half_a_character_is_kept_or_refused(tmp_path):
    data = CascadeDataset(["m"], ["a"], [[Answer("\ud83d")]], [[1]], [[1]])
    data.save(tmp_path / "data.jsonl")
    assert CascadeDataset.load(tmp_path / "data.jsonl").answers == data.answers
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"column 'answer' .*save as \.jsonl"):
        data.save(tmp_path / "data.parquet")
    assert not (tmp_path / "data.parquet").exists()


class TestFrames:
    @pytest.fixture(autouse=True)
    def _pandas(self):
        self.pd = pytest.importorskip("pandas")

    def test_long_there_and_back(self):
        data = dataset()
        frame = data.to_pandas()
        assert frame["query"].tolist() == ["q1"] * 3 + ["q2"] * 2
        assert frame["input_tokens"].dtype == "Int64"
        assert frame["seconds"].tolist()[:1] == [0.125]
        assert math.isnan(frame["quality"][1])
        back = CascadeDataset.from_pandas(frame, labels="judge")
        back.label_cost = 0.25  # a frame has no place for it
        assert shown(back) == shown(data)

    def test_wide_there_and_back(self):
        data = dataset(samples=None)
        frame = data.to_pandas(wide=True)
        assert len(frame) == 2
        assert frame["quality|large"].tolist() == [1.0, 0.0]
        back = CascadeDataset.from_pandas(frame, labels="judge")
        back.label_cost = 0.25
        assert shown(back) == shown(data)

    def test_a_frame_of_ones_own(self):
        frame = self.pd.DataFrame(
            {
                "prompt": ["a", "a", "b", "b"],
                "model": ["x", "y", "y", "x"],
                "score": [1, 0, 1.0, 0.5],
                "input_tokens": [1e6, 2e6, None, 1e6],
                "own_cost": [None, None, 9.0, np.nan],
            }
        )
        data = CascadeDataset.from_pandas(
            frame,
            rename={"prompt": "query", "score": "quality"},
            prices={m: Price(1, 1) for m in "xy"},
        )
        assert data.models == ("x", "y")
        assert data.quality.tolist() == [[1, 0], [0.5, 1]]
        assert data.cost.tolist() == [[1, 2], [1, 9]]
        assert data.answers[0][0] == Answer("", usage=Usage(10**6))
        assert data.answers[1][1].usage is None
        assert CascadeDataset.from_pandas(
            frame.rename(columns={"prompt": "query", "score": "quality"}),
            models=["y"],
            cost=lambda m, a: 1,
        ).quality.tolist() == [[0], [1]]

    def test_calls_of_tools_may_be_mappings(self):
        frame = dataset(samples=None).to_pandas()
        frame["tool_calls"] = [[{"name": "f", "arguments": {"x": 1}}]] * len(frame)
        back = CascadeDataset.from_pandas(frame)
        assert back.answers[0][0].tool_calls == (ToolCall("f", {"x": 1}),)
        frame["tool_calls"] = [[{"name": "f", "args": {}}]] * len(frame)
        with pytest.raises(DataError, match="ToolCall has no field 'args'"):
            CascadeDataset.from_pandas(frame)

    def test_items_of_lists_are_checked(self):
        frame = dataset(samples=None).to_pandas()
        frame["logprobs"] = [[None, -1.0]] * len(frame)
        with pytest.raises(DataError, match="logprobs is None where a number is needed"):
            CascadeDataset.from_pandas(frame)

    def test_holes_are_told_or_dropped(self):
        frame = dataset(samples=None).to_pandas().drop(index=[1])
        with pytest.raises(
            DataError, match=r"1 of 2 queries lack answers: 'q1' has none of \['large'"
        ):
            CascadeDataset.from_pandas(frame)
        assert CascadeDataset.from_pandas(frame, on_missing="drop").ids == ["two"]
        unlabelled = dataset(samples=None).to_pandas()
        unlabelled.loc[0, "quality"] = None
        with pytest.raises(DataError, match=r"has none of \['small'\] with a quality"):
            CascadeDataset.from_pandas(unlabelled)
        assert CascadeDataset.from_pandas(unlabelled, on_missing="drop").ids == ["two"]
        wide = dataset(samples=None).to_pandas(wide=True)
        wide.loc[0, "quality|large"] = None
        with pytest.raises(DataError, match="'q1' has none of"):
            CascadeDataset.from_pandas(wide)
        wide["quality|large"] = None
        with pytest.raises(DataError, match=r"2 of 2 queries lack answers.*'large'"):
            CascadeDataset.from_pandas(wide)
        with pytest.raises(ConfigurationError, match="on_missing"):
            CascadeDataset.from_pandas(frame, on_missing="fill")

    def test_our_parquet_file_read_by_pandas_is_told(self, tmp_path):
        pytest.importorskip("pyarrow")
        dataset(samples=None).save(tmp_path / "data.parquet")
        frame = self.pd.read_parquet(tmp_path / "data.parquet")
        with pytest.raises(DataError, match=r"read by CascadeDataset\.load"):
            CascadeDataset.from_pandas(frame)

    @pytest.mark.parametrize(
        ("columns", "error", "message"),
        [
            ({"query": ["a"], "model": ["m"]}, DataError, r"columns \['quality'\] are missing"),
            (
                {"query": ["a"], "score": [1]},
                DataError,
                r"unknown columns \['score'\]: known are row",
            ),
            (
                {"query": ["a"] * 2, "model": ["m"] * 2, "quality": [1, 0], "cost": [1, 1]},
                DataError,
                "two answers of 'm' to 'a': give queries that differ an id",
            ),
            (
                {"query": ["a"], "model": ["m"], "quality": [1]},
                UnknownPriceError,
                "the cost of a call to 'm' is unknown",
            ),
            (
                {"query": ["a", None], "model": ["m"] * 2, "quality": [1, 1], "cost": [1, 1]},
                DataError,
                "row 1 of the table has no query or no model",
            ),
            (
                {"query": ["a"], "model": ["m"], "quality": [None], "cost": [1]},
                DataError,
                "'a' has none of",
            ),
            ({"query": [], "model": [], "quality": []}, ConfigurationError, "no models given"),
            (ONE | {"answer": [42]}, DataError, "answer is 42 where text is needed"),
            (ONE | {"logprobs": [-0.5]}, DataError, "logprobs is -0.5 where a list is needed"),
            (ONE | {"sample": ["x"]}, DataError, "sample is 'x' where a whole number is needed"),
            (ONE | {"seconds": ["fast"]}, DataError, "seconds is 'fast' where a number is needed"),
            (ONE | {"input_tokens": [1.5]}, DataError, "1.5 where a whole number is needed"),
            (ONE | {"signals": [[1]]}, DataError, r"signals is \[1\] where a mapping is needed"),
        ],
    )
    def test_bad_frames_are_told(self, columns, error, message):
        with pytest.raises(error, match=message):
            CascadeDataset.from_pandas(self.pd.DataFrame(columns))

    def test_what_is_no_frame_is_told(self):
        with pytest.raises(DataError, match=r"a pandas\.DataFrame is needed, not list"):
            CascadeDataset.from_pandas([ONE])
