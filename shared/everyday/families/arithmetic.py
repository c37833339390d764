"""Families about numbers: arithmetic, word problems, unit conversion, comparison."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from everyday.families.question import (
    NUMBER_ONLY,
    Item,
    Question,
    draw_distinct,
    label_item,
    table,
)

if TYPE_CHECKING:
    from random import Random

_ASK = ("What is {}?", "Calculate {}.", "Compute {}.", "Work out {}.", "{} = ?")


def _numeric(rng: Random, question: str, value: int) -> Item:
    return f"{question} {rng.choice(NUMBER_ONLY)}", value, "number"


def _expression(rng: Random, expression: str, value: int) -> Item:
    return _numeric(rng, rng.choice(_ASK).format(expression), value)


def _tiny_sum(rng: Random) -> Item:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    if rng.random() < 0.7:  # noqa: PLR2004 - most are sums
        return _expression(rng, f"{a} + {b}", a + b)
    return _expression(rng, f"{a + b} - {b}", a)


def _small_sum(rng: Random) -> Item:
    a, b = rng.randint(2, 20), rng.randint(2, 20)
    return _expression(rng, f"{a} + {b}", a + b)


def _long_sum(rng: Random) -> Item:
    a, b = rng.randint(120, 9800), rng.randint(120, 9800)
    if rng.random() < 0.5:  # noqa: PLR2004 - a fair coin
        return _expression(rng, f"{a} + {b}", a + b)
    return _expression(rng, f"{max(a, b)} - {min(a, b)}", abs(a - b))


def _small_product(rng: Random) -> Item:
    a, b = rng.randint(2, 12), rng.randint(2, 12)
    return _expression(rng, f"{a} * {b}", a * b)


def _long_product(rng: Random) -> Item:
    a, b = rng.randint(12, 99), rng.randint(12, 499)
    return _expression(rng, f"{a} * {b}", a * b)


def _quotient(rng: Random) -> Item:
    a, b = rng.randint(2, 30), rng.randint(2, 15)
    return _expression(rng, f"{a * b} / {b}", a)


def _precedence(rng: Random) -> Item:
    a, b, c, d = (rng.randint(2, 15) for _ in range(4))
    forms = (
        (f"{a} + {b} * {c}", a + b * c),
        (f"({a} + {b}) * {c} - {d}", (a + b) * c - d),
        (f"{a} * {b} + {c} * {d}", a * b + c * d),
        (f"{a} - {b} * {c}", a - b * c),
    )
    return _expression(rng, *rng.choice(forms))


def _percentage(rng: Random) -> Item:
    percent, base = rng.choice((5, 10, 15, 20, 25, 40, 75)), 20 * rng.randint(2, 40)
    return _expression(rng, f"{percent}% of {base}", percent * base // 100)


def _remainder(rng: Random) -> Item:
    a, b = rng.randint(30, 400), rng.randint(3, 12)
    return _numeric(rng, f"What is the remainder when {a} is divided by {b}?", a % b)


def arithmetic(rng: Random, n: int) -> list[Question]:
    """Sums, differences, products, quotients, percentages and remainders of varied size."""
    easy = (_tiny_sum, _small_sum, _tiny_sum, _small_sum, _small_product, _quotient)
    hard = (_long_sum, _long_product, _precedence, _percentage, _remainder)
    return draw_distinct("arithmetic", rng, n, (*easy, *hard))


_NAMES = ("Anna", "Ben", "Chloe", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jack")
_THINGS = ("apples", "marbles", "books", "stickers", "pencils", "coins", "cards", "shells")


def _one_step(rng: Random) -> Item:
    who, other = rng.sample(_NAMES, 2)
    high = rng.choice((10, 10, 20, 60))
    what, a, b = rng.choice(_THINGS), rng.randint(6, high), rng.randint(2, 5)
    forms = (
        (f"{who} has {a} {what} and finds {b} more. How many {what} does {who} have now?", a + b),
        (f"{who} had {a} {what} and gave {b} to {other}. How many {what} are left?", a - b),
        (f"A box holds {b} {what}. How many {what} are in {a} boxes?", a * b),
        (f"{who} shares {a * b} {what} equally among {b} friends. How many does each get?", a),
    )
    return _numeric(rng, *rng.choice(forms))


def _two_steps(rng: Random) -> Item:
    who, other = rng.sample(_NAMES, 2)
    what, a, b, c = rng.choice(_THINGS), rng.randint(20, 60), rng.randint(2, 9), rng.randint(2, 9)
    forms = (
        (
            (
                f"{who} buys {b} packs of {c} {what} each and already had {a} {what}. "
                f"How many {what} does {who} have in total?"
            ),
            a + b * c,
        ),
        (
            (
                f"{who} has {a} {what}. {other} has {b} fewer than {who}. "
                f"How many {what} do they have together?"
            ),
            2 * a - b,
        ),
        (
            (
                f"A ticket costs ${b} for a child and ${b + c} for an adult. "
                f"How many dollars do {c} children and 2 adults pay?"
            ),
            b * c + 2 * (b + c),
        ),
        (
            (
                f"{who} reads {b} pages every day of the week and {c} extra pages on Sunday. "
                f"How many pages does {who} read in one week?"
            ),
            7 * b + c,
        ),
        (
            (
                f"{who} pays for {b} notebooks at ${c} each with a $100 bill. "
                "How many dollars of change are due?"
            ),
            100 - b * c,
        ),
    )
    return _numeric(rng, *rng.choice(forms))


def _three_steps(rng: Random) -> Item:
    who, other, third = rng.sample(_NAMES, 3)
    what, a, b, c = rng.choice(_THINGS), rng.randint(3, 12), rng.randint(2, 6), rng.randint(2, 9)
    forms = (
        (
            (
                f"{who} has {a} {what}. {other} has {b} times as many as {who}, and {third} has "
                f"{c} more than {other}. How many {what} do the three have in total?"
            ),
            a + 2 * a * b + c,
        ),
        (
            (
                f"A shop sells {a} bags a day at ${10 * b} each. Every bag costs the shop "
                f"${b + c}. What is its profit in dollars over 5 days?"
            ),
            5 * a * (10 * b - b - c),
        ),
        (
            (
                f"A train leaves with {10 * a} passengers. At the first stop half of them get off "
                f"and {b} get on. At the second stop {c} get off. "
                "How many passengers are on the train?"
            ),
            5 * a + b - c,
        ),
        (
            (
                f"{who} earns ${a + 8} an hour and works {b} hours a day, 5 days a week. After "
                f"paying ${10 * c} for food each week, how many dollars are left in 2 weeks?"
            ),
            2 * (5 * b * (a + 8) - 10 * c),
        ),
        (
            (
                f"{who} is {b} times as old as {other}. In {c} years {other} will be {a + c}. "
                f"How old will {who} be then?"
            ),
            a * b + c,
        ),
    )
    return _numeric(rng, *rng.choice(forms))


def word_problems(rng: Random, n: int) -> list[Question]:
    """Word problems of one to three steps."""
    return draw_distinct(
        "word_problems", rng, n, (_one_step, _one_step, _one_step, _two_steps, _three_steps)
    )


# From, to, and how many of the second make one of the first.
_UNITS = table("""
kilometres|metres|1000
metres|centimetres|100
centimetres|millimetres|10
kilograms|grams|1000
tonnes|kilograms|1000
grams|milligrams|1000
litres|millilitres|1000
hours|minutes|60
minutes|seconds|60
days|hours|24
weeks|days|7
hours|seconds|3600
weeks|hours|168
feet|inches|12
yards|feet|3
yards|inches|36
miles|feet|5280
pounds|ounces|16
dozen|single items|12
centuries|years|100
decades|years|10
US gallons|US pints|8
US gallons|US quarts|4
kilometres|centimetres|100000
stone|pounds|14
""")


def _everyday(rng: Random) -> Item:
    big, small, factor = rng.choice(_UNITS[: len(_UNITS) // 2])
    count = rng.choice((1, 2, 3, 4, 5, 10))
    one = {"feet": "foot", "centuries": "century"}.get(big, big.removesuffix("s"))
    name = f"one {one}" if count == 1 else f"{count} {big}"
    question = rng.choice((f"How many {small} are in {name}?", f"{name} = how many {small}?"))
    return _numeric(rng, question, count * int(factor))


def _convert(rng: Random) -> Item:
    big, small, factor = rng.choice(_UNITS)
    count = rng.randint(2, 25)
    forms = (
        f"How many {small} are there in {count} {big}?",
        f"Convert {count} {big} to {small}.",
        f"Express {count} {big} in {small}.",
    )
    return _numeric(rng, rng.choice(forms), count * int(factor))


def _convert_back(rng: Random) -> Item:
    big, small, factor = rng.choice(_UNITS)
    count = rng.randint(2, 25)
    forms = (
        f"How many {big} are {count * int(factor)} {small}?",
        f"Convert {count * int(factor)} {small} to {big}.",
    )
    return _numeric(rng, rng.choice(forms), count)


def _temperature(rng: Random) -> Item:
    celsius = 5 * rng.randint(-8, 30)
    fahrenheit = celsius * 9 // 5 + 32
    if rng.random() < 0.5:  # noqa: PLR2004 - a fair coin
        return _numeric(rng, f"Convert {celsius} degrees Celsius to Fahrenheit.", fahrenheit)
    return _numeric(rng, f"Convert {fahrenheit} degrees Fahrenheit to Celsius.", celsius)


def _mixed_units(rng: Random) -> Item:
    a, b = rng.randint(2, 9), rng.randint(2, 11)
    forms = (
        (f"How many minutes are {a} hours and {b} minutes?", 60 * a + b),
        (f"How many inches are {a} feet {b} inches?", 12 * a + b),
        (f"How many seconds are {a} minutes and {b} seconds?", 60 * a + b),
        (f"How many hours are {a} days and {b} hours?", 24 * a + b),
        (f"How many grams are {a} kilograms and {b} grams?", 1000 * a + b),
        (f"How many ounces are {a} pounds and {b} ounces?", 16 * a + b),
    )
    return _numeric(rng, *rng.choice(forms))


def unit_conversion(rng: Random, n: int) -> list[Question]:
    """Conversions between units of length, mass, volume, time and temperature."""
    kinds = (_everyday, _everyday, _everyday, _convert, _convert_back, _temperature, _mixed_units)
    return draw_distinct("unit_conversion", rng, n, kinds)


def _two_values(question: str, values: tuple[str, str], right: str) -> Item:
    prompt = f"{question} A) {values[0]} or B) {values[1]}? Answer with the letter only."
    return prompt, "AB"[values.index(right)], "choice"


def _larger_whole(rng: Random) -> Item:
    base = 10 ** rng.randint(1, 4)
    values = rng.sample(range(base, base * 10), rng.randint(2, 4))
    words = (("largest", max), ("smallest", min))
    word, pick = rng.choice(words)
    listed = ", ".join(str(value) for value in values)
    return _numeric(rng, f"Which of these numbers is the {word}: {listed}?", pick(values))


def _larger_decimal(rng: Random) -> Item:
    whole = rng.randint(0, 12)
    short, long = rng.randint(2, 9), rng.randint(11, 99)
    values = (f"{whole}.{short}", f"{whole}.{long:02d}")
    if rng.random() < 0.5:  # noqa: PLR2004 - a fair coin
        values = (values[1], values[0])
    if Fraction(values[0]) == Fraction(values[1]):
        return _larger_decimal(rng)
    right = max(values, key=Fraction)
    return _two_values("Which number is larger:", values, right)


def _larger_fraction(rng: Random) -> Item:
    values = (
        f"{rng.randint(1, 5)}/{rng.randint(6, 11)}",
        f"{rng.randint(1, 5)}/{rng.randint(6, 11)}",
    )
    if Fraction(values[0]) == Fraction(values[1]):
        return _larger_fraction(rng)
    right = max(values, key=Fraction)
    return _two_values("Which fraction is larger:", values, right)


def _sorted_numbers(rng: Random) -> Item:
    values = rng.sample(range(-40, 130), rng.randint(3, 6))
    descending = rng.random() < 0.5  # noqa: PLR2004 - a fair coin
    way = "largest to smallest" if descending else "smallest to largest"
    listed = ", ".join(str(value) for value in values)
    prompt = f"Sort these numbers from {way}: {listed}. Answer with the sorted list only."
    return prompt, sorted(values, reverse=descending), "sequence"


_RELATIONS = (
    ("taller", "tallest", "shortest"),
    ("older", "oldest", "youngest"),
    ("faster", "fastest", "slowest"),
    ("heavier", "heaviest", "lightest"),
)


def _ranked_people(rng: Random) -> Item:
    people = rng.sample(_NAMES, rng.randint(3, 4))
    more, most, least = rng.choice(_RELATIONS)
    facts = [f"{first} is {more} than {second}." for first, second in itertools.pairwise(people)]
    rng.shuffle(facts)
    word, right = rng.choice(((most, people[0]), (least, people[-1])))
    prompt = f"{' '.join(facts)} Who is the {word}? Answer with the name only."
    return label_item(prompt, right, sorted(people))


def comparison(rng: Random, n: int) -> list[Question]:
    """Which of several is the largest, and in what order they stand."""
    kinds = (
        _larger_whole,
        _larger_whole,
        _larger_whole,
        _larger_decimal,
        _larger_fraction,
        _sorted_numbers,
        _ranked_people,
    )
    return draw_distinct("comparison", rng, n, kinds)
