"""Laws of data sets: what is written is read again, and a journal pays for each call once."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine import Answer, CascadeDataset, DataError, Query, ToolCall, Usage
from cascade_engine.core.queries import query_key
from cascade_engine.data.collection import Collection, collect
from cascade_engine.data.splits import clusters
from cascade_engine.storage.json_records import record_from_json, record_to_json
from cascade_engine.storage.json_values import json_line, value_from_json, value_to_json

laws = settings(max_examples=40)

words = st.text(max_size=12)
counts = st.integers(0, 2**40)
numbers = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(0, 1e6)
leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | numbers | words
free = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            words | st.sampled_from(["$float", "$tuple", "$items", "$ref"]), inner, max_size=3
        )
        | st.dictionaries(st.integers(0, 9), inner, max_size=2)
    ),
    max_leaves=6,
)
mappings = st.dictionaries(words, free, max_size=3)
queries = st.builds(
    Query, words, counts, st.lists(mappings, max_size=2).map(tuple), st.none() | mappings
)
usages = st.builds(Usage, counts, counts, counts, counts, counts, counts, counts, counts)
answers = st.builds(
    Answer,
    text=words,
    logprobs=st.none() | st.lists(numbers, max_size=3).map(tuple),
    usage=st.none() | usages,
    cost=st.none() | finite,
    seconds=st.none() | finite,
    finish_reason=st.none() | words,
    tool_calls=st.lists(st.builds(ToolCall, words, mappings | words), max_size=2).map(tuple),
    signals=st.dictionaries(words, numbers, max_size=2),
)


@st.composite
def datasets(draw):
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 3))

    def rows(values, *, unique=False):
        return draw(st.none() | st.lists(values, min_size=n, max_size=n, unique=unique))

    def table(values):
        row = st.lists(values, min_size=k, max_size=k)
        return draw(st.lists(row, min_size=n, max_size=n))

    return CascadeDataset(
        draw(st.lists(words.filter(bool), min_size=k, max_size=k, unique=True)),
        draw(st.lists(queries, min_size=n, max_size=n)),
        table(answers),
        table(st.floats(0, 1)),
        table(finite),
        references=rows(free),
        ids=rows(words, unique=True),
        groups=rows(st.none() | words | st.integers(0, 9)),
        metadata=rows(mappings),
        samples=draw(st.none() | st.just(table(st.lists(answers, max_size=2)))),
        labels=draw(st.none() | words),
        label_cost=draw(finite),
    )


def shown(data):
    """Everything in a data set, so that NaN equals NaN, and True is not 1."""
    whole = [data.models, data.queries, data.answers, data.columns, data.labels, data.label_cost]
    return repr([*whole, data.quality.tolist(), data.cost.tolist()])


@laws
@given(st.one_of(queries, answers))
def test_a_record_is_read_as_it_was_written(record):
    written = record_to_json(record)
    assert repr(record_from_json(type(record), written)) == repr(record)
    line = json_line(written)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    json.loads(line, parse_constant=pytest.fail)  # no NaN, no Infinity: any reader can read it


@laws
@given(free)
def test_a_free_value_is_read_as_it_was_written(value):
    assert repr(value_from_json(value_to_json(value))) == repr(value)


@laws
@given(queries, queries)
def test_queries_share_a_key_only_if_they_are_the_same(one, other):
    assert query_key(one) == query_key(record_from_json(Query, record_to_json(one)))
    assert (query_key(one) == query_key(other)) == (record_to_json(one) == record_to_json(other))


@laws
@given(data=datasets(), suffix=st.sampled_from([".jsonl", ".parquet"]))
def test_a_data_set_is_read_as_it_was_written(tmp_path_factory, data, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path_factory.mktemp("data") / f"data{suffix}"
    data.save(path)
    assert shown(CascadeDataset.load(path)) == shown(data)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@laws
@given(data=datasets(), seed=st.integers(0, 9))
def test_parts_share_no_text_and_no_group(data, seed):
    try:
        parts = data.split((0.5, 0.5), seed=seed)
    except DataError:
        assert len(clusters([query.text for query in data.queries], data.groups)) < 2
        return
    texts = [{" ".join(q.text.casefold().split()) for q in part.queries} for part in parts]
    assert texts[0].isdisjoint(texts[1])
    if data.groups:
        groups = [set(part.groups) - {None} for part in parts]
        assert groups[0].isdisjoint(groups[1])
    assert sum(map(len, parts)) == len(data)
    assert [shown(part) for part in data.split((0.5, 0.5), seed=seed)] == list(map(shown, parts))


@laws
@given(
    texts=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20),
    groups=st.lists(st.none() | st.integers(0, 4), min_size=20, max_size=20),
)
def test_clusters_are_the_connected_components(texts, groups):
    groups = groups[: len(texts)]
    found = clusters(texts, groups)
    assert sorted(row for cluster in found for row in cluster) == list(range(len(texts)))
    linked = {
        (i, j)
        for i in range(len(texts))
        for j in range(len(texts))
        if texts[i] == texts[j] or (groups[i] is not None and groups[i] == groups[j])
    }
    for cluster in found:  # all is reached from the first, and nothing outside is linked
        reached, edge = {cluster[0]}, {cluster[0]}
        while edge:
            edge = {j for i, j in linked if i in edge} - reached
            reached |= edge
        assert reached == set(cluster)


class Paid:
    """Counts what each call was paid, over all runs."""

    def __init__(self):
        self.calls = Counter()

    def model(self, name):
        def ask(query):
            self.calls[name, query.text] += 1
            if (name, query.text) == ("large", "ü"):
                raise ValueError("never")
            return Answer(f"{name}\n{query.text}", cost=1.0, logprobs=(float("-inf"), -0.1))

        return ask

    def collect(self, path):
        asked = {name: self.model(name) for name in ("small", "large")}
        return collect(asked, ["a", "ü", "a"], path=path, max_concurrency=1, progress=False)


def test_a_journal_cut_off_anywhere_pays_for_each_call_once(tmp_path, monkeypatch):
    """Cut after every single byte: what was on a whole line is not asked again, all else is."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # thousands of them take minutes
    path = tmp_path / "journal.jsonl"
    Paid().collect(path)
    whole = path.read_bytes()
    reference = seen(Collection.from_journal(path))
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        kept = Counter(
            (line["model"], by_key(whole)[line["key"]])
            for line in map(json.loads, whole[:size].split(b"\n")[:-1])
            if "answer" in line
        )
        paid = Paid()
        found = paid.collect(path)
        want = Counter({(m, q): 1 for m in ("small", "large") for q in ("a", "ü")})
        assert paid.calls == want - kept
        assert len(found.missing()) == 1
        assert seen(Collection.from_journal(path)) == reference
        answered = [line for line in path.read_bytes().split(b"\n") if b'"answer"' in line]
        assert len(answered) == 3


def by_key(whole):
    lines = map(json.loads, whole.split(b"\n")[:-1])
    return {line["key"]: line["query"]["text"] for line in lines if "query" in line}


def seen(collection):
    """Everything that was answered, but for how long it took."""
    return {
        (query.text, model): [
            dataclasses.replace(answer, seconds=None) for answer in collection.answers(row, model)
        ]
        for row, query in enumerate(collection.queries)
        for model in collection.models
    }


@laws
@given(data=datasets(), rows=st.lists(st.booleans(), min_size=4, max_size=4))
def test_what_is_taken_apart_can_be_put_together(data, rows):
    mask = np.array(rows[: len(data)])
    if mask.all() or not mask.any():
        return
    parts = data.take(mask), data.take(~mask)
    order = np.argsort(np.r_[np.flatnonzero(mask), np.flatnonzero(~mask)])
    whole = parts[0].concat(parts[1]).take(order)
    whole.labels, whole.label_cost = data.labels, data.label_cost
    assert shown(whole) == shown(data)
    assert shown(data.select(data.models[::-1]).select(data.models)) == shown(data)
