"""Graders accept what a reader would accept, and nothing that only looks right."""

from __future__ import annotations

import pytest

from cascade_engine.answers import graders

NAMES = [
    "best_match",
    "choice",
    "contains",
    "exact",
    "exact_case",
    "json_fields",
    "label",
    "number",
    "sequence",
]
MOOD = {"label": "positive", "labels": ["negative", "positive"]}
VERDICT = {"label": "no", "labels": ["no", "unknown", "yes"]}
CITY = {"accept": ["Canberra"], "wrong": ["Sydney", "Melbourne"]}
PERSON = {"name": "Ada", "age": 34}

NUMBER_RIGHT = [
    ("42", 42),
    ("  42.\n", 42),
    ("**42**", 42),
    ("$1,234.50", 1234.5),
    ("1,200", "1200"),
    ("-7", -7),
    ("\u22127", -7),
    ("+7", 7),
    ("3/4", "3/4"),
    ("0.75", "3/4"),
    ("25%", 25),
    ("25%", "25%"),
    ("25%", 0.25),
    ("25 percent", 25),
    ("12 apples", 12),
    ("1.50 USD", 1.5),
    ("The answer is 42.", 42),
    ("The final answer is: **42**", 42),
    ("Answer: 42 apples, because 6 * 7 is what we need.", 42),
    ("42. Explanation: 6*7", 42),
    ("42 apples. He had 6 rows of 7.", 42),
    ("6 * 7 = 42", 42),
    ("He has 5 boxes of 6, so 5 * 6 = 30, and 30 + 12 = 42 in total for 3 people", 42),
    ("9.9 is larger than 9.11", 9.9),
    ("Between 9.9 and 9.11 the larger one is 9.9", 9.9),
    ("1. Add 40 and 2.\n2. The total is 42", 42),
    ("First 40, no, the answer is 41. Wait: the answer is 42", 42),
    (r"\boxed{42}", 42),
    ("$3", 3),
    (".5", 0.5),
]
NUMBER_WRONG = [
    ("", 42),
    ("none", 42),
    ("142", 42),
    ("42.5", 42),
    ("-42", 42),
    ("42", -42),
    ("The answer is 43, not 42", 42),
    ("6 * 7 = 43", 42),
    ("42 = 6 * 8", 48),
    ("12 * 13 = 12 * 10 + 36", 12),
    ("1. Add 40 and 2.\n2. Then", 42),
    ("4/2", 4),
    ("abc42def", 42),
    ("42 apples or 43 apples", 42),
    ("1,234", 234),
    ("3.14", 14),
    ("1/0", 1),
]


@pytest.mark.parametrize(("answer", "reference"), NUMBER_RIGHT)
def test_number_accepts_the_final_number(answer, reference):
    assert graders.number("", answer, reference) == 1.0


@pytest.mark.parametrize(("answer", "reference"), NUMBER_WRONG)
def test_number_rejects_another_final_number(answer, reference):
    assert graders.number("", answer, reference) == 0.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Paris", "paris"),
        ('"Paris."', "Paris"),
        ("**Paris**", "Paris"),
        ("The answer is Paris.", "Paris"),
        ("  New   York \n", "new york"),
        ("\uff30aris", "Paris"),
        ("```\nhello\n```", "hello"),
        ("Zurich", ["Zürich", "Zurich"]),
        ("-", "-"),
    ],
)
def test_exact_ignores_only_wrapping(answer, reference):
    assert graders.exact("", answer, reference) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("", "Paris"),
        ("", ""),
        ("Paris, France", "Paris"),
        ("It is Paris", "Paris"),
        ("Pari", "Paris"),
        ("Paris or Rome", ["Paris", "Rome"]),
    ],
)
def test_exact_rejects_any_other_text(answer, reference):
    assert graders.exact("", answer, reference) == 0.0


def test_exact_case_keeps_case():
    assert graders.exact_case("", "`True`", "True") == 1.0
    assert graders.exact_case("", "true", "True") == 0.0
    assert graders.exact_case("", "", "True") == 0.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Canberra", CITY),
        ("The capital of Australia is Canberra.", CITY),
        ("It's **Yaoundé**!", ["Yaounde", "Yaoundé"]),
        ("Port-au-Prince", "Port-au-Prince"),
        ("N\u2019Djamena", "N'Djamena"),
        ("'olleh'", "olleh"),
        ("St. Petersburg", ["St Petersburg"]),
        ("2023-02-04.", "2023-02-04"),
    ],
)
def test_contains_finds_whole_words(answer, reference):
    assert graders.contains("", answer, reference) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("", CITY),
        ("Sydney", CITY),
        ("Canberra or Sydney", CITY),
        ("Romeo", "Rome"),
        ("chrome", "Rome"),
        ("batman", ["bat"]),
        ("2023-02-041", "2023-02-04"),
        ("12023-02-04", "2023-02-04"),
        ("new delicious york", "new york"),
        ("anything", []),
        ("anything", ""),
    ],
)
def test_contains_rejects_parts_and_hedges(answer, reference):
    assert graders.contains("", answer, reference) == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        "B",
        "b",
        "B)",
        "(B)",
        "B.",
        "**B**",
        "B. Paris",
        "B) Paris, since A is wrong",
        "The answer is B.",
        "The correct answer is (B) Paris",
        "I choose option B",
        "Answer: B",
        "B\n\nParis is the capital.",
        "A) Rome\n\nThe correct answer is B) Paris.",
    ],
)
def test_choice_reads_the_letter(answer):
    assert graders.choice("", answer, "B") == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("", "B"),
        ("A", "B"),
        ("A dog is the best choice here", "A"),
        ("A", "a longer reference"),
        ("The answer is a dog", "A"),
        ("The answer is A dog", "A"),
        ("A) Rome\nB) Paris", "A"),
        ("A) Rome\nB) Paris", "B"),
        ("A or B", "A"),
        ("The answer is A. No, the answer is B.", "B"),
        ("Both A and B", "B"),
        ("Because", "B"),
        ("Paris", "B"),
        ("AB", "A"),
    ],
)
def test_choice_rejects_prose_and_ambiguity(answer, reference):
    assert graders.choice("", answer, reference) == 0.0


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("A", 1.0),
        ("A) wet ice", 1.0),
        ("A) wet ice, because carpet is rough", 1.0),
        ("A) carpet", 0.0),
        ("B) wet ice", 0.0),
    ],
)
def test_choice_wants_letter_and_option_to_agree(answer, score):
    question = "Which surface is slippery?\nA) wet ice\nB) carpet\nAnswer with the letter only."
    assert graders.choice(question, answer, "A") == score


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Positive", MOOD),
        ("The review is **positive**.", MOOD),
        ("No.", VERDICT),
        ("No, it does not follow.", VERDICT),
        ("'no'", VERDICT),
    ],
)
def test_label_accepts_the_one_label(answer, reference):
    assert graders.label("", answer, reference) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("", MOOD),
        ("negative", MOOD),
        ("positive or negative", MOOD),
        ("positively", MOOD),
        ("non-positive", MOOD),
        ("It is not known", VERDICT),
        ("yes and no", VERDICT),
        ("nothing", VERDICT),
    ],
)
def test_label_rejects_other_and_several_labels(answer, reference):
    assert graders.label("", answer, reference) == 0.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("1, 2, 10", [1, 2, 10]),
        ("[1, 2, 10]", [1, 2, 10]),
        ("-3 1 2", [-3, 1, 2]),
        ("The list 10, 2, 1 sorted is 1, 2, 10.", [1, 2, 10]),
        ("1. ant\n2. bee\n3. cat", ["ant", "bee", "cat"]),
        ("1. 4\n2. 5\n3. 6", [4, 5, 6]),
        ("Sorted: Ant, Bee", ["ant", "bee"]),
    ],
)
def test_sequence_accepts_the_order(answer, reference):
    assert graders.sequence("", answer, reference) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("", [1, 2]),
        ("", []),
        ("2, 1", [1, 2]),
        ("1, 2, 3", [1, 2]),
        ("0, 1, 2", [1, 2]),
        ("1", [1, 2]),
        ("3, 4, 1, 2", [1, 2]),
        ("1, 2, 2, 1", [1, 2]),
        ("bee, ant", ["ant", "bee"]),
        ("ants, bees", ["ant", "bee"]),
    ],
)
def test_sequence_rejects_any_other_list(answer, reference):
    assert graders.sequence("", answer, reference) == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "Ada", "age": 34}',
        '```json\n{"age": "34", "Name": " ada "}\n```',
        'Here it is: {"name": "Ada", "age": 34.0} as asked.',
        'Use {braces}: {"name": "Ada", "age": 34}',
    ],
)
def test_json_fields_accepts_the_object(answer):
    assert graders.json_fields("", answer, PERSON) == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Ada, 34",
        "{}",
        '{"name": "Ada"}',
        '{"name": "Ada", "age": 35}',
        '{"name": "Ada", "age": 34, "city": "Oslo"}',
        '{"name": "Ada", "age": 34',
        '{"name": "Eve", "age": 1} {"name": "Ada", "age": 34}',
        '["Ada", 34]',
        '{"name": "Ada", "age": null}',
    ],
)
def test_json_fields_is_all_or_nothing(answer):
    assert graders.json_fields("", answer, PERSON) == 0.0


def test_json_fields_keeps_truth_values_apart_from_numbers():
    assert graders.json_fields("", '{"pets": true}', {"pets": True}) == 1.0
    assert graders.json_fields("", '{"pets": 1}', {"pets": True}) == 0.0
    assert graders.json_fields("", '{"pets": false}', {"pets": True}) == 0.0
    assert graders.json_fields("", '{"tags": ["A", "b"]}', {"tags": ["a", "B"]}) == 1.0


@pytest.mark.parametrize(
    ("right", "wrong", "reference"),
    [
        ("The answer is 42.", "43", 42),
        ("6 * 7 = 42", "421", "42"),
        ("(B)", "A or B", "B"),
        ("It is Paris.", "Parisian", "Paris"),
        ("a UK citizen", "ukulele", ["United Kingdom", "UK"]),
        ("x", "xylophone", "x"),
        ("positive", "negative", MOOD),
        ("Canberra", "Canberra or Sydney", CITY),
        ('{"name": "Ada", "age": 34}', "{}", PERSON),
        ("Yes.", "No.", True),
        ("false", "true", False),
    ],
)
def test_best_match_follows_the_reference(right, wrong, reference):
    assert graders.best_match("", right, reference) == 1.0
    assert graders.best_match("", wrong, reference) == 0.0
    assert graders.best_match("", "", reference) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_knows_every_public_grader(name):
    assert graders.grader(name) is getattr(graders, name)


def test_an_unknown_grader_names_the_value_and_the_remedy():
    with pytest.raises(ValueError, match=r"Unknown grader 'fuzzy'\. Use one of .*number.*function"):
        graders.grader("fuzzy")


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (r"\frac{3}{4}", "0.75"),
        (r"$-\dfrac{1}{2}$", "-0.5"),
        (r"\boxed{\frac12}", "1/2"),
        (r"\boxed{1\frac{1}{2}}", 1.5),
        ("1 1/2 cups", 1.5),
        ("You need 1\u00bd cups.", 1.5),
        ("\u00be", "3/4"),
        ("0.75", r"\frac{3}{4}"),
        ("1.5", "1 1/2"),
        ("The area is 20 cm^2.", 20),
        (r"$20 \text{ m/s}^{2}$", 20),
        ("9.8 m s^-2", 9.8),
        (r"\boxed{20\text{ cm}^2}", 20),
        ("1\u202f200\u202f000 people", 1_200_000),
        ("$1{,}200$", 1200),
        (r"1\,200", 1200),
        (r"\boxed{50\%}", "50%"),
        (r"It is \$20.", 20),
        (r"So \boxed{42} after 3 days.", 42),
    ],
)
def test_numbers_as_mathematics_writes_them(answer, reference):
    assert graders.number("", answer, reference) == 1.0
    assert graders.best_match("", answer, reference) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (r"\frac{3}{4}", 4),
        ("20 cm^2", 2),
        ("1 1/2", "1/2"),
        ("1\u00bd", "11/2"),
        ("5 1/2", "51/2"),
        (r"\boxed{42} after 3 days", 3),
    ],
)
def test_a_part_of_a_number_is_not_the_number(answer, reference):
    assert graders.number("", answer, reference) == 0.0


def test_two_numbers_are_no_number():
    assert graders.best_match("", "12 15", "12 15") == 1.0
    assert graders.best_match("", "1215", "12 15") == 0.0


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("G) Lima", "G", 1.0),
        ("The answer is (J).", "J", 1.0),
        ("**H**", "H", 1.0),
        ("G or F", "G", 0.0),
        ("I think it is B", "I", 0.0),
        ("(B)", "(B)", 1.0),
        ("The answer is a riddle: (B)", "(A)", 0.0),
        ("the answer is b", "B", 1.0),
        ("[B]", "B", 1.0),
        (r"$\boxed{\text{B}}$", "B", 1.0),
        (r"A) is wrong, so \boxed{B}.", "B", 1.0),
        (r"\boxed{\text{(B)}}", "A", 0.0),
    ],
)
def test_letters_beyond_e_and_in_brackets(answer, reference, score):
    assert graders.best_match("", answer, reference) == score


@pytest.mark.parametrize(
    ("answer", "label", "score"),
    [
        ("not spam", "not spam", 1.0),
        ("It is NOT SPAM.", "not spam", 1.0),
        ("not spam", "spam", 0.0),
        ("spam", "spam", 1.0),
        ("spam", "not spam", 0.0),
        ("spam, or not spam?", "not spam", 0.0),
    ],
)
def test_a_label_may_hold_another(answer, label, score):
    reference = {"label": label, "labels": ["spam", "not spam"]}
    assert graders.label("", answer, reference) == score


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("\u7b54\u6848\u662f\u5317\u4eac\u3002", "\u5317\u4eac", 1.0),
        ("\u6771\u4eac\u3067\u3059", "\u6771\u4eac", 1.0),
        ("\u7b54\u6848\u662f\u4e0a\u6d77\u3002", "\u5317\u4eac", 0.0),
        ("Parisian", "Paris", 0.0),
    ],
)
def test_scripts_without_spaces_have_no_word_ends(answer, reference, score):
    assert graders.best_match("", answer, reference) == score
