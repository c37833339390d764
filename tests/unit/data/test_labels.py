"""Where quality comes from: references, graders, judges, agreement, people."""

from __future__ import annotations

import pytest

from cascade_engine import Answer, CascadeDataset, ConfigurationError, DataError, ToolCall
from cascade_engine.answers import agreement
from cascade_engine.data.collection import collect
from cascade_engine.data.judge_labels import Judge, Judgement

MODELS = ["small", "large"]
QUERIES = ["capital of Peru?", "capital of Chile?", "capital of Oman?"]
REFERENCES = ["Lima", "Santiago", "Muscat"]
TEXTS = [["Lima", "Lima."], ["Quito", "Santiago"], ["Muscat", "Doha"]]


def dataset(**more):
    answers = [[Answer(text) for text in row] for row in TEXTS]
    return CascadeDataset(MODELS, QUERIES, answers, [[0.5] * 2] * 3, [[1.0, 2.0]] * 3, **more)


@pytest.fixture
def collection():
    texts = dict(zip(QUERIES, TEXTS, strict=True))

    def model(column):
        return lambda query: Answer(texts[query.text][column], cost=column + 1.0)

    asked = {name: model(column) for column, name in enumerate(MODELS)}
    return collect(asked, QUERIES, progress=False)


def test_by_references(collection):
    data = collection.dataset(references=REFERENCES)
    assert data.quality.tolist() == [[1, 1], [0, 1], [1, 0]]
    assert data.labels == "references"
    assert data.references == REFERENCES
    again = dataset(references=REFERENCES).label()
    assert again.quality.tolist() == data.quality.tolist()


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_a_reference_that_is_missing_makes_no_answer_wrong(collection, gap):
    right = [*REFERENCES[:2], gap]
    with pytest.raises(DataError, match="1 of 3 references are missing, the first of query 2"):
        collection.dataset(references=right)
    graded = collection.dataset(references=right, grade=lambda q, a, r: float(r is None))
    assert graded.quality[0].tolist() == [0, 0]


def test_by_a_grader(collection):
    data = collection.dataset(grade=lambda question, answer, reference: len(answer) / 10)
    assert data.quality[0].tolist() == [0.4, 0.5]
    assert data.labels == "grader"
    with_both = collection.dataset(references=REFERENCES, grade=lambda q, a, r: float(a == r))
    assert with_both.quality.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert with_both.labels == "references"


class TestJudge:
    def test_its_scores_and_its_cost_are_kept(self, collection):
        seen = []

        def judge(question, answer):
            seen.append((question, answer))
            return Judgement(0.25 if answer == "Quito" else 1, cost=0.5, reason="so")

        data = collection.dataset(judge=judge)
        assert data.quality.tolist() == [[1, 1], [0.25, 1], [1, 1]]
        assert (data.labels, data.label_cost) == ("judge", 3.0)
        assert min(seen) == ("capital of Chile?", "Quito")

    def test_it_sees_references_where_there_are_any(self, collection):
        data = collection.dataset(judge=lambda q, a, r: a == r, references=REFERENCES)
        assert data.quality.tolist() == [[1, 0], [0, 1], [1, 0]]
        assert data.labels == "judge"
        assert data.label_cost == 0

    def test_the_same_answer_is_judged_once(self):
        seen = []
        same = [[Answer("yes")] * 2] * 3
        data = CascadeDataset(MODELS, ["q"] * 3, same, [[0, 0]] * 3, [[1, 1]] * 3)
        judged = data.label(judge=lambda q, a: seen.append(a) or 0.5)
        assert seen == ["yes"]
        assert judged.quality.tolist() == [[0.5, 0.5]] * 3

    async def test_it_may_be_asynchronous(self, collection):
        async def judge(question, answer):
            return 0.75

        data = await collection.adataset(judge=judge)
        assert data.quality.tolist() == [[0.75, 0.75]] * 3
        assert (await data.alabel(judge=lambda q, a: 0.5)).quality.max() == 0.5
        with pytest.raises(ConfigurationError, match="use adataset, alabel or afit"):
            collection.dataset(judge=judge)

    @pytest.mark.parametrize("score", [1.5, -0.1, float("nan"), "good", None])
    def test_it_must_return_a_score(self, collection, score):
        asked = []
        with pytest.raises(DataError, match=r"must return a number in \[0, 1\]"):
            collection.dataset(
                judge=Judge(
                    lambda q, a: asked.append(a) or score, {"progress": False, "max_concurrency": 1}
                )
            )
        assert len(asked) == 1  # none is paid for in vain

    def test_a_judge_that_fails_goes_on_from_its_journal(self, collection, tmp_path):
        asked = []

        def judge(question, answer):
            asked.append(answer)
            if len(asked) == 3:
                raise ValueError("tired")
            return 1.0

        options = {"path": tmp_path / "judge.jsonl", "max_concurrency": 1}
        with pytest.raises(DataError, match=r"the judge failed on .*ValueError: tired \(1 of 6"):
            collection.dataset(judge=Judge(judge, options))
        assert collection.dataset(judge=Judge(judge, options)).quality.min() == 1
        assert len(asked) == 7

    def test_it_reads_tool_calls(self):
        seen = []
        answers = [[Answer("", tool_calls=(ToolCall("weather", {"city": "Lima"}),))]]
        data = CascadeDataset(["m"], ["q"], answers, [[0]], [[0]])
        data.label(judge=lambda q, a: seen.append(a) or 1)
        assert '"weather"' in seen[0]
        assert '"Lima"' in seen[0]


class TestAgreement:
    def test_with_the_last_model(self, collection):
        data = collection.dataset(agreement=True)
        assert data.quality.tolist() == [[1, 1], [0, 1], [0, 1]]
        assert data.labels == "agreement with large"

    def test_with_another_model_and_by_another_measure(self, collection):
        data = collection.dataset(
            agreement=lambda a, b: len(set(a) & set(b)) / len(set(a) | set(b)), strongest="small"
        )
        assert data.quality[:, 0].tolist() == [1, 1, 1]
        assert data.quality[0, 1] == 4 / 5
        assert data.labels == "agreement with small"

    @pytest.mark.parametrize(
        ("question", "answer", "right", "expected"),
        [
            ("What is 6 * 7?", "6 * 7 = 42, so the answer is 42.", "42", 1),
            ("What is 6 * 7?", "The answer is 43.", "The answer is 42.", 0),
            ("Which is a fruit?\nA) a chair\nB) a plum", "It is a plum.", "**B**", 1),
            ("Is Oslo in Norway?", "Yes, it is.", "yes", 1),
            ("Is Oslo in Norway?", "No.", "Yes.", 0),
        ],
    )
    def test_final_answers_count(self, question, answer, right, expected):
        data = CascadeDataset(
            MODELS, [question], [[Answer(answer), Answer(right)]], [[0, 0]], [[0, 0]]
        )
        assert data.label(agreement=True).quality.tolist() == [[expected, 1]]

    def test_free_text_is_as_good_as_it_is_alike(self):
        texts = [
            "Plants turn light, water and carbon dioxide into sugar and oxygen.",
            "They turn light, water and carbon dioxide into sugar.",
        ]
        data = CascadeDataset(
            MODELS, ["Explain photosynthesis."], [list(map(Answer, texts))], [[0, 0]], [[0, 0]]
        )
        quality = data.label(agreement=True).quality[0, 0]
        assert quality == agreement("Explain photosynthesis.", *texts)
        assert 0.3 < quality < 1

    def test_what_is_said_beside_tool_calls_does_not_count(self):
        call = (ToolCall("f", {"x": 1, "y": 2}),)
        same = (ToolCall("f", {"y": 2, "x": 1}),)
        rows = [
            [Answer("Let me see.", tool_calls=call), Answer("", tool_calls=same)],
            [Answer("42"), Answer("42", tool_calls=call)],
        ]
        data = CascadeDataset(MODELS, ["a", "b"], rows, [[0, 0]] * 2, [[0, 0]] * 2)
        assert data.label(agreement=True).quality[:, 0].tolist() == [1, 0]

    def test_empty_answers_agree_and_tool_calls_count(self):
        call, other = (ToolCall("f", {"x": x}) for x in (1, 2))
        answers = [
            [Answer(""), Answer("")],
            [Answer("", tool_calls=(call,)), Answer("", tool_calls=(other,))],
            [Answer("", tool_calls=(call,)), Answer("", tool_calls=(call,))],
        ]
        data = CascadeDataset(MODELS, ["a", "b", "c"], answers, [[0, 0]] * 3, [[0, 0]] * 3)
        assert data.label(agreement=True).quality[:, 0].tolist() == [1, 0, 1]

    def test_the_strongest_must_be_there(self, collection):
        with pytest.raises(ConfigurationError, match="strongest='huge' is none of the models"):
            collection.dataset(agreement=True, strongest="huge")


class TestFeedback:
    def test_rows_with_all_scores_stay(self):
        data = dataset(ids=["p", "c", "o"], references=REFERENCES, groups=[1, 2, 3])
        scores = {("p", "small"): True, ("p", "large"): False, ("c", "small"): 0.5}
        scores |= {("o", "small"): 1, ("o", "large"): 0.25, ("unknown", "small"): 1}
        rated = data.label(feedback=scores)
        assert rated.ids == ["p", "o"]
        assert rated.quality.tolist() == [[1, 0], [1, 0.25]]
        assert rated.references == ["Lima", "Muscat"]
        assert rated.groups == [1, 3]
        assert rated.labels == "feedback"

    def test_without_ids_the_question_counts(self, collection):
        records = [{"id": QUERIES[1], "model": m, "score": 1} for m in MODELS]
        data = collection.dataset(feedback=records)
        assert [query.text for query in data.queries] == [QUERIES[1]]
        assert data.cost.tolist() == [[1, 2]]

    @pytest.mark.parametrize(
        ("scores", "message"),
        [
            ({}, "no query has feedback on all of"),
            ({("p", "small"): 1}, "no query has feedback on all"),
            ({("p", "huge"): 1}, r"feedback on \['huge'\]"),
            ({("p", "small"): 2}, r"must be a truth value or a number in \[0, 1\]"),
            ({("p", "small"): "up"}, "is 'up'"),
            ([{"id": "p"}], "records with"),
            (["p"], "records with"),
        ],
    )
    def test_bad_feedback_is_refused(self, scores, message):
        with pytest.raises(DataError, match=message):
            dataset(ids=["p", "c", "o"]).label(feedback=scores)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing says which answers are good"),
        ({"grade": len, "judge": len}, r"one thing only, not from \['grade', 'judge'\]"),
        ({"agreement": True, "feedback": {}}, "one thing only"),
        ({"judge": len, "strongest": "small"}, "strongest= belongs to agreement"),
    ],
)
def test_one_source_must_be_named(collection, options, message):
    with pytest.raises(ConfigurationError, match=message):
        collection.dataset(**options)


def test_scores_out_of_range_are_told(collection):
    with pytest.raises(DataError, match="quality runs from 7 to 7"):
        collection.dataset(grade=lambda *_: 7)


def test_a_column_must_be_as_long(collection):
    with pytest.raises(DataError, match="1 references for 3 queries"):
        collection.dataset(references=["Lima"])
