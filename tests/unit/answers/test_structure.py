"""Signs of failure are seen where they are, and nowhere else."""

from __future__ import annotations

import builtins
import math
import time

import numpy as np
import pytest
from pydantic import BaseModel

from cascade_engine import Answer, ConfigurationError, DataError, Query, ToolCall
from cascade_engine.answers.structure import STRUCTURE_COLUMNS, structure_features, structure_table

ASK = "What is the capital of France?"
ASK_JSON = "Extract the name as JSON."
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
WEATHER = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["C", "F"]},
            "place": {"type": ["string", "null"]},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
}


def sign(name, text, question=ASK, *, query=None, answer=None, **options):
    row = structure_features(query or Query(question), answer or Answer(text), **options)
    return float(row[STRUCTURE_COLUMNS.index(name)])


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "I cannot help with this.",
        "I am unable to provide medical advice.",
        "Unfortunately, I cannot answer that question.",
        "As an AI language model, I don't have personal opinions.",
        "As an AI, I cannot browse the internet.",
        "I don't know.",
        "**I don't know**",
        "I do not know the answer to that",
        "I'm not sure.",
        "I'm not sure what you mean.",
        "Sorry, I have no information about this.",
        "I must decline to answer.",
        "I won't write that.",
        "There is not enough information to tell.",
        "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
        "Das weiß ich nicht.",
        "Je ne peux pas vous aider avec cela.",
        "Désolé, mais je ne peux pas répondre.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "No lo sé.",
        "Mi dispiace, ma non posso aiutarti.",
        "Desculpe, mas não posso ajudar com isso.",
        "Извините, я не могу помочь.",
        "Я не знаю.",
        "抱歉,我无法回答这个问题。",
        "申し訳ありませんが、お答えできません。",
        "죄송하지만 도와드릴 수 없습니다.",
    ],
)
def test_a_refusal_is_seen(text):
    assert sign("refusal", text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris",
        "No.",
        "I am Ada.",
        "I can help with that: Paris.",
        "I can't help but notice that it is Paris.",
        "The sign says: 'I cannot help with that'.",
        '"I don\'t know" is what he said.',
        "Paris. " * 40 + "I cannot help with that.",
        "It is unknown to me as an AI.",
        "I'm not sure, but I think it is Paris.",
        "I can't say for certain, but it is Paris",
        "We cannot write the square root of 2 as a fraction.",
        "Sorry is the hardest word.",
        "As an example, Paris.",
        "Nie wieder.",
        "No puedo es una frase.",
    ],
)
def test_an_answer_is_no_refusal(text):
    assert sign("refusal", text) == 0.0


def test_a_phrase_quoted_from_the_question_is_no_refusal():
    assert sign("refusal", "I don't know.", "Correct the spelling: 'I don't know.'") == 0.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"name": "Ada"}', 1.0),
        ("```json\n[1]\n```", 1.0),
        ("null", 1.0),
        ('Sure: {"name": "Ada"}!', 0.5),
        ('```json\n{"a": 1}\n```\nThis object has one key.', 0.5),
        ('{"name": "Ada"', 0.0),
        ("{'name': 'Ada'}", 0.0),
        ("NaN", 0.0),
        ("Ada", 0.0),
        ("", 0.0),
    ],
)
def test_json_where_it_is_asked_for(text, value):
    assert sign("json_valid", text, ASK_JSON) == value
    assert math.isnan(sign("json_valid", text, ASK))
    assert sign("json_valid", text, query=Query(ASK, schema=SCHEMA)) == value


@pytest.mark.parametrize(
    "question",
    ["Answer with JSON only.", "Write a JSON object with the keys a and b.", "Return valid JSON.",
     "Turn this into JSON with the key a.", "Reply in JSON format", "respond as json"],
)  # fmt: skip
def test_json_is_asked_for(question):
    assert sign("json_valid", "no", question) == 0.0


def test_json_is_only_spoken_of():
    assert math.isnan(sign("json_valid", "no", "What does JSON stand for?"))
    assert math.isnan(sign("json_valid", "no", "Who invented JSON?"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"age": 3}', 1.0),
        ('It is {"age": 3}.', 1.0),
        ('{"age": "3"}', 0.0),
        ("{}", 0.0),
        ("3", 0.0),
    ],
)
def test_schema(text, value):
    assert sign("schema_valid", text, query=Query(ASK, schema=SCHEMA)) == value
    assert sign("schema_valid", text, schema=SCHEMA) == value
    assert math.isnan(sign("schema_valid", text, ASK_JSON))


def test_a_schema_given_replaces_that_of_the_query():
    query = Query(ASK, schema={"type": "string"})
    assert sign("schema_valid", '{"age": 3}', query=query, schema=SCHEMA) == 1.0


def test_a_wrong_schema_is_an_error_when_given_and_unknown_when_found():
    wrong = {"type": "nonsense"}
    with pytest.raises(ConfigurationError, match="not a JSON schema"):
        sign("schema_valid", "{}", schema=wrong)
    assert math.isnan(sign("schema_valid", "{}", query=Query(ASK, schema=wrong)))


def test_a_schema_is_never_fetched():
    elsewhere = {"$ref": "http://127.0.0.1:9/schema.json"}
    assert math.isnan(sign("schema_valid", "{}", query=Query(ASK, schema=elsewhere)))


@pytest.fixture
def without(monkeypatch):
    """Makes packages impossible to import."""
    real = builtins.__import__

    def hide(*names):
        def importing(name, *args, **kwargs):
            if name.split(".")[0] in names:
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", importing)

    return hide


def test_without_jsonschema_a_schema_is_unknown_and_one_given_is_an_error(without):
    without("jsonschema")
    assert math.isnan(sign("schema_valid", '{"age": 3}', query=Query(ASK, schema=SCHEMA)))
    with pytest.raises(ConfigurationError, match=r"cascade-routing\[structure\]"):
        sign("schema_valid", "{}", schema=SCHEMA)


class Person(BaseModel):
    name: str
    age: int = 0


@pytest.mark.parametrize(
    ("validator", "good", "bad"),
    [
        (Person, '{"name": "Ada"}', '{"age": 3}'),
        (Person, '{"name": "Ada", "age": 3}', "Ada"),
        (list[int], "[1, 2]", "[1, null]"),
        (str.isupper, "ADA", "Ada"),
        (lambda text: int(text) and None, "3", "three"),
        (lambda text: {"a": 1}[text], "a", "b"),
    ],
)
def test_validators(validator, good, bad):
    assert sign("accepted", good, validator=validator) == 1.0
    assert sign("accepted", bad, validator=validator) == 0.0


def test_a_validator_may_grade():
    assert sign("accepted", "Ada", validator=lambda text: 0.25) == 0.25
    assert math.isnan(sign("accepted", "Ada"))


def test_validators_that_cannot_work_are_refused(without):
    with pytest.raises(ConfigurationError, match=r"returned 7.*number in \[0, 1\]"):
        sign("accepted", "Ada", validator=lambda text: 7)
    with pytest.raises(ConfigurationError, match="returned 'yes'"):
        sign("accepted", "Ada", validator=lambda text: "yes")
    with pytest.raises(ConfigurationError, match="a function of the text"):
        sign("accepted", "Ada", validator="yes")
    with pytest.raises(AttributeError):  # a mistake in the validator is not the answer's
        sign("accepted", "Ada", validator=lambda text: text.nonsense)
    without("pydantic")
    with pytest.raises(ConfigurationError, match="pip install pydantic"):
        sign("accepted", "Ada", validator=Person)


@pytest.mark.parametrize(
    ("name", "arguments", "fits"),
    [
        ("weather", {"city": "Oslo"}, True),
        ("weather", '{"city": "Oslo", "days": 2}', True),
        ("weather", {"city": "Oslo", "days": 2.0, "unit": "C", "place": None}, True),
        ("weather", {}, False),
        ("weather", {"city": 3}, False),
        ("weather", {"city": "Oslo", "days": "2"}, False),
        ("weather", {"city": "Oslo", "days": True}, False),
        ("weather", {"city": "Oslo", "days": 2.5}, False),
        ("weather", {"city": "Oslo", "unit": "K"}, False),
        ("weather", {"city": "Oslo", "extra": 1}, False),
        ("weather", '{"city": "Oslo"', False),
        ("weather", '["Oslo"]', False),
        ("whether", {"city": "Oslo"}, False),
        ("now", {}, True),
        ("now", {"anything": 1}, True),
    ],
)
def test_tool_calls(name, arguments, fits):
    query = Query(ASK, tools=(WEATHER, {"name": "now"}))
    answer = Answer("", tool_calls=(ToolCall(name, arguments),))
    assert sign("tool_call_valid", "", query=query, answer=answer) == float(fits)
    half = Answer("", tool_calls=(ToolCall(name, arguments), ToolCall("whether", {})))
    assert sign("tool_call_valid", "", query=query, answer=half) == fits / 2
    assert sign("tool_call_valid", "", answer=answer) == 0.0  # no tool on offer
    assert math.isnan(sign("tool_call_valid", "", query=query))


@pytest.mark.parametrize(
    "parameters",
    [None, {}, "text", {"properties": 3}, {"required": "city"}, {"required": 3},
     {"properties": {"city": True}}, {"properties": {"city": {"type": 3, "enum": "Oslo"}}},
     {"properties": {"city": {"type": "unheard of"}}}],
)  # fmt: skip
def test_odd_tool_schemas_ask_for_nothing(parameters):
    query = Query(ASK, tools=({"name": "weather", "parameters": parameters},))
    answer = Answer("", tool_calls=(ToolCall("weather", {"city": "Oslo"}),))
    assert sign("tool_call_valid", "", query=query, answer=answer) == 1.0


@pytest.mark.parametrize(
    ("text", "reason", "question", "value"),
    [
        ("Paris", "stop", ASK, 0.0),
        ("Paris", None, ASK, 0.0),
        ("Paris is", "length", ASK, 1.0),
        ("Paris is", "MAX_TOKENS", ASK, 1.0),
        ("```python\nprint(1)\n```", "stop", ASK, 0.0),
        ("```python\nprint(1)", "stop", ASK, 1.0),
        ("```\nprint(1)```", "stop", ASK, 0.0),
        ("a ``` b", "stop", ASK, 0.0),
        ('{"a": [1, 2', None, ASK_JSON, 1.0),
        ('{"a": [1, 2', None, ASK, 0.0),
        ('{"a": [1, 2]}', None, ASK_JSON, 0.0),
        ("", "stop", ASK_JSON, 0.0),
    ],
)
def test_truncation(text, reason, question, value):
    answer = Answer(text, finish_reason=reason)
    assert sign("truncated", "", question, answer=answer) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("", 1), (" \n", 1), ("...", 1), ("\u200b", 1), ("7", 0), ("ja", 0), ("√", 0)],
)
def test_emptiness(text, value):
    assert sign("empty", text) == value
    called = Answer(text, tool_calls=(ToolCall("weather", {}),))
    assert sign("empty", "", answer=called) == 0


def test_repetition():
    loop = "The answer is that " * 40
    prose = (
        "Paris has been the capital of France since the tenth century, with few breaks. It lies on "
        "the Seine, in the north of the country, and some two million people live in the city "
        "itself, many more in the towns around it. Most roads and railways of France lead there."
    )
    assert sign("repetition", loop) > 0.9
    assert sign("repetition", prose) < 0.1
    assert sign("compressibility", loop) > 0.8
    assert sign("compressibility", prose) < 0.5
    assert sign("compressibility", "巴黎是首都" * 60) > 0.8
    assert math.isnan(sign("repetition", "Paris, I think"))
    assert math.isnan(sign("compressibility", "Paris"))


@pytest.mark.parametrize(
    ("question", "text", "value"),
    [
        (ASK, "Paris it is", 0.0),
        (ASK, "巴黎是法国的首都", 1.0),
        (ASK, "Это Париж", 1.0),
        ("Какая столица Франции?", "Paris", 1.0),
        ("Какая столица Франции?", "Париж", 0.0),
        ("法国的首都是哪里?", "パリです", 0.0),
        ("What does 'eau' mean?", "Señor, ça va", 0.0),
        ("Translate 'water' into Chinese.", "水水水水", math.nan),
        ("How do you say it in Russian?", "Вода", math.nan),
        (ASK, "42", math.nan),
        ("2 + 2", "four", math.nan),
    ],
)
def test_script(question, text, value):
    assert sign("other_script", text, question) == pytest.approx(value, nan_ok=True)


def test_hedging():
    assert sign("hedging", "It is Paris.") == 0.0
    assert sign("hedging", "It is probably Paris.") == 1.0
    assert sign("hedging", "It is perhaps Paris. It lies on the Seine.") == 0.5
    assert sign("hedging", "Maybe, perhaps, I think it might be.") == 1.0
    assert sign("hedging", "Mighty Paris.") == 0.0
    assert math.isnan(sign("hedging", ""))


def test_a_table_has_one_row_per_answer():
    queries = [Query(ASK), Query(ASK_JSON)]
    answers = [Answer("Paris"), Answer("[1]")]
    table = structure_table(queries, answers)
    assert table.shape == (2, len(STRUCTURE_COLUMNS))
    for query, answer, row in zip(queries, answers, table, strict=True):
        np.testing.assert_array_equal(structure_features(query, answer), row)
    assert structure_table(Query(ASK), answers).shape == table.shape
    assert structure_table([], []).shape == (0, len(STRUCTURE_COLUMNS))
    with pytest.raises(DataError, match="2 queries for 1 answers"):
        structure_table(queries, answers[:1])


LONG = [
    piece * 9_000 for piece in ("sorry ", "I ", "```\n", "{[", "perhaps ", "\n", "水", "\ud800")
]


@pytest.mark.parametrize("text", LONG, ids=lambda text: ascii(text[:8]))
def test_long_and_odd_texts(text):
    start = time.process_time()
    row = structure_features(Query(ASK_JSON, schema=SCHEMA), Answer(text))
    assert time.process_time() - start < 2
    known = row[~np.isnan(row)]
    assert ((known >= 0) & (known <= 1)).all()


def test_a_short_answer_takes_well_under_a_millisecond():
    query, answer = Query(ASK), Answer("The capital of France is Paris.", finish_reason="stop")

    def seconds():
        start = time.process_time()
        structure_features(query, answer)
        return time.process_time() - start

    assert min(seconds() for _ in range(50)) < 0.001
