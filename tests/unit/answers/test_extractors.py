"""Answers that say the same have one canonical form; answers that do not, have two."""

from __future__ import annotations

import copy
import itertools
import time

import pytest

from cascade_engine import ConfigurationError
from cascade_engine.answers import agreement, canonical_answer, similarity
from cascade_engine.answers.extractors import (
    Extractor,
    automatic,
    boxed,
    choice_letter,
    code_block,
    json_answer,
    json_field,
    label,
    normalised_text,
    number,
)

CAPITAL = (
    "What is the capital of France?\nA) Rome\nB) Paris\nC) Berlin\nAnswer with the letter only."
)
COUNT = "How many apples are left? Answer with the number only."
MOOD = "Is this review positive or negative? 'Hardly a flaw.' Reply with one word."
LOGIC = "Does it follow that all cats bark? Answer with one word: yes, no or unknown."
FREE = "What is the capital of France?"
WRITE = "Write a Python function that adds two numbers."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", "12"),
        ("12 apples", "12"),
        ("twelve", "12"),
        ("Twelve apples.", "12"),
        ("Twenty-one", "21"),
        ("two hundred and five", "205"),
        ("three hundred five", "305"),
        ("The answer is twelve.", "12"),
        ("$1,200.00", "1200"),
        ("1200", "1200"),
        ("**1,200**", "1200"),
        ("\u22127.50", "-7.5"),
        ("3/4", "0.75"),
        ("0.750", "0.75"),
        ("1/3", "1/3"),
        ("5 million", "5000000"),
        ("The answer is $1.5 billion.", "1500000000"),
        ("5 millionaires", "5"),
        ("-2/6", "-1/3"),
        ("25%", "25"),
        (r"So $x = 3$ and thus \boxed{42}", "42"),
        (r"\boxed{1{,}000}", "1000"),
        ("6 * 7 = 41, no: 42.\n\n#### 42", "42"),
        ("#### $1,250", "1250"),
        ("First 5 * 6 = 30, and then 30 + 12 = 42 in total", "42"),
        ("0", "0"),
        ("-0.05", "-0.05"),
        ("1.5e-3", "0.0015"),
        ("It is 2E4.", "20000"),
        (r"about $6 \times 10^{5}$ metres", "600000"),
        ("3 \u00d7 10\u2078 m/s", "300000000"),
        ("The answer is 3*10^-2.", "0.03"),
        ("10\u207b\u00b2", "0.01"),
        ("2*10^2 = 200", "200"),
        ("5 x 10", "10"),
        ("2 elephants", "2"),
        ("no number at all", None),
        ("one of the apples that he had was rotten", None),
        ("", None),
        ("1/0", None),
    ],
)
def test_number(text, value):
    assert number("", text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B) Paris", "B"),
        ("**B**", "B"),
        ("B: because it is", "B"),
        ("The answer is B.", "B"),
        ("The answer is (B)", "B"),
        ("the answer is (b)", "B"),
        ("Paris", "B"),
        ("The capital of France is Paris.", "B"),
        (r"$\boxed{B}$", "B"),
        (r"Thus \boxed{\text{B}}", "B"),
        ("A is wrong, as it lies in Italy.\n\nThe correct answer is B) Paris", "B"),
        ("Rome is in Italy. Berlin is in Germany. So:\n\nB", "B"),
        ("(B) is correct since Paris is in France", "B"),
        ("The answer is A. No, the answer is B.", "B"),
        ("A) Paris", None),
        ("A) Rome\nB) Paris", None),
        ("A) Rome\nB) Paris\nC) Berlin", None),
        ("D", None),
        ("Rome or Paris", None),
        ("London", None),
        ("", None),
    ],
)
def test_choice_letter_with_listed_options(text, value):
    assert choice_letter(CAPITAL, text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("J", "J"),
        ("I, for one, do not know", None),
        ("A dog is the best choice here", None),
        ("The answer is (H)", "H"),
        ("K", None),
    ],
)
def test_choice_letter_without_options(text, value):
    assert choice_letter("", text) == value


def test_options_of_one_letter_do_not_stand_for_other_letters():
    question = "Which?\nA: b\nB: c\nC: ad\nAnswer:"
    assert choice_letter(question, "C") == "C"
    assert choice_letter(question, "B") == "B"


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("Which is larger: A) 1.9 or B) 1.43?", "B"),
        ("Which?\n(A) ant\n(B) bee", "B"),
        ("Which?\nA. ant\nB. bee", "B"),
        ("Which?\n  A: ant\n  B: bee", "B"),
        ("Example:\nA) cat\nB) dog\nAnswer: A\n\nWhich?\nA) ant\nB) bee", "B"),
    ],
)
def test_options_are_found_in_the_question(question, value):
    assert canonical_answer(question, "(B)").kind == "letter"
    assert automatic(question, "(B)") == value
    assert agreement(question, "bee" if "bee" in question else "1.43", "B") == 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes", "yes"),
        ("**Yes**, because no cat barks", "yes"),
        ("'no'", "no"),
        ("I am not sure.", "not sure"),
        ("sure", None),
        ("The answer is: no", "no"),
        ("maybe", None),
        ("It is yes or no", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_label(text, value):
    assert label(["yes", "no", "not sure"])("", text) == value


def test_label_returns_labels_as_given_and_heeds_not():
    mood = label(["Positive", "Negative"])
    assert mood("", "the review is NEGATIVE") == "Negative"
    assert mood("", "It is negative, not positive.") == "Negative"
    assert mood("", "not positive") is None
    assert label(["spam", "not spam"])("", "this is not spam") == "not spam"


@pytest.mark.parametrize("labels", ["yes", ["yes"], [], ["yes", "Yes."], ["yes", "?"]])
def test_labels_must_differ(labels):
    with pytest.raises(ConfigurationError, match="labels must be"):
        label(labels)


PERSON = '{"name": " Ada ", "born": {"year": 1815, "at": ["London", "W1"]}, "ok": true}'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "ada"),
        ("born.year", "1815"),
        ("born.at.1", "w1"),
        ("born.at.2", None),
        ("born.at.x", None),
        ("ok", "true"),
        ("name.first", None),
        ("missing", None),
        ("born.at", '["london", "w1"]'),
    ],
)
def test_json_field(path, value):
    assert json_field(path)("", f"Here it is:\n```json\n{PERSON}\n```\nBye") == value
    assert json_field(path)("", f"It is {PERSON}.") == value
    assert json_field(path)("", "no json") is None


def test_json_field_refuses_an_empty_step():
    with pytest.raises(ConfigurationError, match="single dots"):
        json_field("a..b")


def test_json_answers_differ_in_layout_only():
    one = json_answer("", '{"b": 2.0, "a": "X "}')
    assert one == json_answer("", '```json\n{"A": "x",\n "b": "2"}\n```') == '{"a": "x", "b": "2"}'
    assert json_answer("Reply as JSON.", 'Sure: {"a": "x", "b": 2}!') == one
    assert json_answer("", 'Sure: {"a": "x", "b": 2}!') is None
    assert json_answer("", '{"a": 1') is None
    assert json_answer("", '{"a": "1e999999999"}') is not None


def test_json_answers_agree_by_fields():
    one, other = '{"day": "Friday", "room": 2, "at": 3}', '{"day": "Monday", "room": 2, "at": 3}'
    assert agreement("As JSON.", one, other) == pytest.approx(2 / 3)
    assert agreement("As JSON.", one, one.lower()) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(a, b):\n    return a + b", "def f(a,b):\n\n  # adds\n  return (a+b)"),
        ("def f(a):\n    'Doc.'\n    return 'x'", 'def f(a):\n    return "x"'),
        ("import re\nre.sub('\\d', '', s)", "import re\nre.sub('\\\\d', '', s)"),
    ],
)
def test_python_is_compared_as_python(one, other):
    fenced = f"Sure:\n```python\n{one}\n```\nDone."
    assert code_block("", fenced) == code_block("", other) is not None
    assert agreement(WRITE, fenced, f"```\n{other}\n```") == 1.0


def test_other_code_is_compared_without_comment_lines_and_blanks():
    one = "```js\n// adds\nconst f = (a, b) =>\n   a + b;\n```"
    assert code_block("", one) == code_block("", "```js\nconst  f = (a, b) =>\na + b;")
    assert code_block("", "```js\nf('http://a.b')\n```") == "f('http://a.b')"
    assert code_block("", "no code at all") is None
    assert code_block("", "```python\ndef f(:\n```") == "def f(:"


@pytest.mark.parametrize("code", ["-" * 15_000 + "1", "(" * 15_000, "1+" * 9_000 + "1"])
def test_code_too_deep_for_the_parser_is_read_as_text(code):
    code_block("", code)
    assert code_block("", f"```python\n{code}\n```") is not None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\boxed{42}", "42"),
        (r"\boxed{\frac{1}{2}} or rather \boxed{\dfrac{3}{4}}", "0.75"),
        (r"\boxed{ x^{2} + 1 }", "x^{2}+1"),
        (r"\boxed{\left( 1, 2 \right)}", "(1,2)"),
        (r"\boxed{x", None),
        ("42", None),
    ],
)
def test_boxed(text, value):
    assert boxed("", text) == value


@pytest.mark.parametrize(
    "text",
    ["Paris", "paris.", '"Paris"', "**Paris**", "The answer is Paris.", "Answer: Paris",
     "\uff30aris", "I thought of Rome. The correct answer is: **Paris**. It lies on the Seine."],
)  # fmt: skip
def test_normalised_text(text):
    assert normalised_text("", text) == "paris"


def test_nothing_is_no_answer():
    assert normalised_text("", " \n") is None
    assert normalised_text("", "-") == "-"
    assert automatic(CAPITAL, "") is None
    assert agreement(FREE, "", "") == 0.0
    assert agreement(FREE, "", "Paris") == 0.0


SAME = [
    (CAPITAL, ["(B) Paris", "B", "**B**", "The answer is B.", "Paris", "B. Paris"]),
    (COUNT, ["12", "12 apples", "twelve", "The answer is 12.", "He has 12 apples left."]),
    (MOOD, ["positive", "Positive.", "The review sounds positive."]),
    (LOGIC, ["No", "no.", "The answer is no.", "No, it does not follow."]),
    (FREE, ["Paris", "paris.", "The capital of France is Paris.", "It is **Paris**"]),
    ("Is water wet?", ["Yes", "Yes, it is.", "yes, as far as we know"]),
    ("Sort: 3, 1, 2.", ["1, 2, 3", "[1, 2, 3]", "The answer is 1, 2, 3."]),
    ("What does this print?", ["```\n7\n```", "7", "[7]"]),
    ("Name the year.", ["1946", "1946.", "**1946**"]),
    (r"Solve for x.", [r"\boxed{\frac{1}{2}}", r"So \boxed{0.5}", "0.5"]),
    ("Name the population.", ["5 million", "5,000,000 people", "The answer is 5000000."]),
    ("What is half of three?", ["1,5", "1,5."]),
]


@pytest.mark.parametrize(("question", "texts"), SAME)
def test_answers_that_say_the_same_agree(question, texts):
    for a, b in itertools.combinations(texts, 2):
        assert agreement(question, a, b) == 1.0, (a, b)


@pytest.mark.parametrize(
    ("question", "a", "b"),
    [
        (CAPITAL, "A", "The answer is B."),
        (COUNT, "12 apples", "13 apples"),
        (COUNT, "12", "-12"),
        (MOOD, "positive", "The review is negative."),
        (LOGIC, "yes", "no"),
        ("Is water wet?", "Yes, it is.", "No, it is not."),
        (FREE, "12", "13"),
        (FREE, "1.5e-3", "2.7e-3"),
        (FREE, "3 x 10^8", "5 x 10^8"),
        (FREE, r"\boxed{12}", "13"),
    ],
)
def test_final_answers_of_a_closed_form_that_differ_do_not_agree_at_all(question, a, b):
    assert agreement(question, a, b) == 0.0


@pytest.mark.parametrize(
    ("question", "answer", "alike", "unlike"),
    [
        (FREE, "Paris", "Paris, France", "The capital of France is Rome."),
        (FREE, "Paris", "I believe that the city of Paris is it", "Rome, France"),
        ("Who guards the Teletubbies?", "Noonoo", "Noo-Noo", "Dipsy"),
        ("Who wrote it?", "Gabriel García Márquez", "Garcia Marquez", "William Shakespeare"),
        ("When?", "In May 1946", "1946", "In May 1947"),
        ("When?", "on 2017-11-08", "2017-11-08.", "2017-11-07"),
        ("What happens?", "Nothing happens to you", "nothing much happens", "you turn to stone"),
        ("Can I eat it?", "It is safe to eat", "eating it is safe", "It is not safe to eat"),
        ("谁?", "是李白写的", "李白", "杜甫"),
    ],
)  # fmt: skip
def test_free_text_that_says_the_same_is_more_alike(question, answer, alike, unlike):
    assert agreement(question, answer, alike) > agreement(question, answer, unlike) + 0.1


def test_words_of_the_question_say_little():
    question = "Which city is the capital of the country of Chile?"
    a, b = "The city of the country of Chile: Santiago", "The city of the country of Chile: Lima"
    assert agreement(question, a, b) < 0.5 < similarity(a, b)


def test_the_order_of_a_list_matters():
    question = "Sort these words: silver, hammer, cotton. Answer with the list only."
    right = "cotton, hammer, silver"
    assert agreement(question, right, "silver, cotton, hammer") < 0.9
    assert agreement(question, right, "[cotton, hammer, silver]") == 1.0


def test_a_request_is_no_question_of_yes_or_no():
    question = "Can you name a river?"
    assert agreement(question, "Yes, the Danube", "Yes, the Thames") < 0.6
    reason = " because it is made of water and nothing else, as far as one can tell" * 6
    assert agreement("Is water wet?", f"Yes,{reason}", "Yes, it wets you") < 1


def test_similarity_is_one_for_what_differs_in_looks_alone():
    assert similarity("**Paris**", "paris.") == 1.0
    assert similarity("", "") == 1.0
    assert similarity("Paris", "") == 0.0
    assert similarity("Paris", "Rome") < 0.1


def test_an_own_extractor_and_an_own_similarity():
    def last_word(question, text):
        return text.split()[-1] if text else None

    assert agreement("", "a x", "b x", extract=last_word) == 1.0
    assert agreement("", "a x", "a y", extract=last_word, similar=lambda a, b: 0.25) == 0.25
    closed = Extractor("last", last_word, closed=True)
    assert agreement("", "a x", "a y", extract=closed) == 0.0
    assert agreement("", "", "a y", extract=last_word) == 0.0
    assert agreement("", "the 5", "the 6", extract=label(["a", "b"])) < 1.0


def test_canonical_answers_can_be_stored_and_compared():
    a, b = canonical_answer(FREE, "Paris"), canonical_answer(FREE, "The capital is Paris, France")
    assert (a.kind, a.value, a.closed) == ("text", "paris", False)
    assert copy.deepcopy(a).agreement(b) == a.agreement(b) == b.agreement(a)
    assert a.agreement(b) == agreement(FREE, "Paris", "The capital is Paris, France")
    assert hash(a) == hash(canonical_answer(FREE, " Paris. "))
    assert a == canonical_answer(FREE, "Paris")


def test_a_question_may_list_labels_without_asking_for_them():
    question = "How many of these are fruits: apple, brick, pear?"
    assert automatic(question, "2") == "2"


HOSTILE = ["1" + "a" * 30_000, "1" + " " * 30_000 + "€", "\n" * 30_000, "`" * 30_000, "{" * 30_000]
HOSTILE += [
    piece * 6_000 for piece in ('{"a":', "111,", "```python\n", "is a? ", "a or ", "A) x\n")
]
HOSTILE += [
    piece * 6_000 for piece in (": a, b? ", "\\boxed{", "#### ", "a'", "日本", "not ", "1/")
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_long_and_odd_texts_take_linear_time(text):
    readers = [automatic, number, choice_letter, boxed, code_block, json_answer, normalised_text]
    start = time.process_time()
    for read in [*readers, label(["yes", "no"]), json_field("a.0")]:
        for question in ("", CAPITAL, text):
            read(question, text)
    agreement("", text, text + "x")
    assert time.process_time() - start < 10  # quadratic: minutes


def test_a_matrix_of_nine_short_answers_takes_about_a_millisecond():
    answers = ["BBC Radio 3", "Third Programme", "The Third Programme", "Home Service"] * 2 + [
        "Third"
    ]
    question = "What was BBC Radio 3 called when it was introduced in 1946?"

    def matrix():
        start = time.process_time()
        found = [canonical_answer(question, text) for text in answers]
        for a, b in itertools.combinations(found, 2):
            a.agreement(b)
        return time.process_time() - start

    assert min(matrix() for _ in range(30)) < 0.005


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"The answer is $\frac{3}{4}$.", "0.75"),
        ("1 1/2", "1.5"),
        ("It is 1\u00bd.", "1.5"),
        ("The area is 20 cm^2.", "20"),
        (r"\boxed{1\frac{1}{2}}", "1.5"),
        ("1\u202f200 people", "1200"),
    ],
)
def test_numbers_as_mathematics_writes_them(text, value):
    assert number("How much is it?", text) == value
    assert automatic("How much is it?", text) == value
