"""Families about characters, programs and calendars, with computed references."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from datetime import date, timedelta
from typing import TYPE_CHECKING

from everyday.families.question import (
    NUMBER_ONLY,
    Item,
    Question,
    draw_distinct,
    label_item,
    words,
)

if TYPE_CHECKING:
    from random import Random

_WORDS = words(
    "apple banana bicycle blanket bottle bridge butter camera candle carpet castle cheese "
    "cherry circle coffee cookie cotton dragon engine family feather finger flower forest "
    "garden guitar hammer harbor helmet island jacket jungle kitchen ladder lemon letter "
    "magnet marble meadow mirror monkey mountain needle number orange orchard paper parrot "
    "pencil pepper piano pillow planet pocket potato puzzle rabbit ribbon river rocket saddle "
    "school shadow silver soccer spider spring statue summer sunset table temple thunder ticket "
    "tiger tomato tractor tunnel turtle umbrella valley velvet village violin wallet walnut "
    "window winter wizard yellow zebra mississippi committee assessment strawberry"
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def _long_enough(rng: Random) -> str:
    return rng.choice([word for word in _WORDS if len(word) > len(_ORDINALS)])


def _reversed(rng: Random) -> Item:
    word = rng.choice(_WORDS)
    ask = rng.choice(("Reverse the word '{}'.", "Write the word '{}' backwards."))
    return f"{ask.format(word)} Answer with the reversed word only.", word[::-1], "contains"


def _letter_count(rng: Random) -> Item:
    word = rng.choice(_WORDS)
    letter = rng.choice(word)
    ask = rng.choice(
        (
            "How many times does the letter '{}' appear in the word '{}'?",
            "Count the letter '{}' in '{}'.",
        )
    )
    prompt = f"{ask.format(letter, word)} {rng.choice(NUMBER_ONLY)}"
    return prompt, word.count(letter), "number"


def _length(rng: Random) -> Item:
    word = rng.choice(_WORDS)
    prompt = f"How many letters does the word '{word}' have? {rng.choice(NUMBER_ONLY)}"
    return prompt, len(word), "number"


def _nth_letter(rng: Random) -> Item:
    word, place = _long_enough(rng), rng.randrange(len(_ORDINALS))
    prompt = f"What is the {_ORDINALS[place]} letter of the word '{word}'?"
    return f"{prompt} Answer with one letter only.", word[place], "exact"


def _first_letter(rng: Random) -> Item:
    word = rng.choice(_WORDS)
    prompt = f"Which letter does the word '{word}' start with? Answer with one letter only."
    return prompt, word[0], "exact"


def _repeat(rng: Random) -> Item:
    word, times = rng.choice(_WORDS), rng.randint(2, 3)
    prompt = f"Write the word '{word}' {times} times, separated by spaces, and nothing else."
    return prompt, " ".join([word] * times), "exact"


def _first_word(rng: Random) -> Item:
    chosen = rng.sample(_WORDS, rng.randint(3, 5))
    place, right = rng.choice((("first", chosen[0]), ("last", chosen[-1])))
    prompt = f"What is the {place} word of this list: {', '.join(chosen)}?"
    return label_item(f"{prompt} Answer with the word only.", right, chosen)


def _last_letter(rng: Random) -> Item:
    word = rng.choice(_WORDS)
    prompt = f"What is the last letter of the word '{word}'? Answer with one letter only."
    return prompt, word[-1], "exact"


def _upper(rng: Random) -> Item:
    pair = " ".join(rng.sample(_WORDS, 2))
    prompt = f"Write '{pair}' in capital letters. Answer with the converted text only."
    return prompt, pair.upper(), "exact_case"


def _initials(rng: Random) -> Item:
    chosen = rng.sample(_WORDS, rng.randint(3, 5))
    initials = "".join(word[0] for word in chosen)
    prompt = f"Join the first letters of these words into one string: {' '.join(chosen)}."
    return f"{prompt} Answer with the string only.", initials, "exact"


def _alphabetical(rng: Random) -> Item:
    chosen = rng.sample(_WORDS, rng.randint(3, 4))
    prompt = f"Sort these words alphabetically: {', '.join(chosen)}. Answer with the list only."
    return prompt, sorted(chosen), "sequence"


def _longest(rng: Random) -> Item:
    chosen = sorted(rng.sample(_WORDS, 4), key=len)
    if len(chosen[-1]) == len(chosen[-2]):
        return _longest(rng)
    right = chosen[-1]
    rng.shuffle(chosen)
    prompt = f"Which of these chosen has the most letters: {', '.join(chosen)}?"
    return label_item(f"{prompt} Answer with the word only.", right, chosen)


def _glue(rng: Random) -> Item:
    first, second = rng.sample(_WORDS, 2)
    prompt = f"Join '{first}' and '{second}' with a hyphen. Answer with the result only."
    return prompt, f"{first}-{second}", "exact"


def string_manipulation(rng: Random, n: int) -> list[Question]:
    """Spelling tasks on single words and short lists."""
    hard = (_reversed, _letter_count, _length, _nth_letter, _last_letter, _initials)
    easy = (_first_letter, _glue, _upper, _repeat, _first_word, _longest, _alphabetical)
    return draw_distinct("string_manipulation", rng, n, (*hard, *easy))


_PROGRAMS = (
    "print({a} + {b})",
    "print({a} * {b})",
    "print('{word}')",
    "print('{word}' + 's')",
    "x = {a}\nprint(x + 1)",
    "x = '{word}'\nprint(x)",
    "x = {a}\nx = {b}\nprint(x)",
    "print(max({a}, {b}, {big}))",
    "print({a} == {b})",
    "print([{a}, {b}, {c}][0])",
    "for i in range(3):\n    x = i\nprint(x)",
    "if {big} > {a}:\n    print('{word}')\nelse:\n    print('no')",
    "print({a} + {b} * {c})",
    "print({big} // {a})",
    "print({big} % {a})",
    "print({c} ** 2 - {b})",
    "print(len('{word}'))",
    "print('{word}'[{i}])",
    "print('{word}'[:3])",
    "print('{word}'[::-1])",
    "print('{word}'.upper())",
    "print('{word}'[1:4] * 2)",
    "print('{word}'.replace('{letter}', 'Z'))",
    "print('{word}'.count('{letter}'))",
    "print('{word}'.find('{letter}'))",
    "print('{a}' + '{b}')",
    "x = {a}\ny = {b}\nx, y = y, x\nprint(x - y)",
    "x = [{a}, {b}, {c}]\nprint(x[1])",
    "x = [{a}, {b}, {c}]\nprint(sum(x))",
    "x = [{a}, {b}, {c}]\nprint(max(x) - min(x))",
    "x = [{a}, {b}, {c}]\nx.append({big})\nprint(len(x))",
    "x = [{a}, {b}, {c}]\ny = x\ny[0] = {big}\nprint(x[0])",
    "x = [{a}, {b}, {c}]\nprint(x[-1] + x[-2])",
    "print(sum(range({a})))",
    "print(len(range({a}, {big}, {b})))",
    "total = 0\nfor i in range(1, {b}):\n    total += i * i\nprint(total)",
    "n = {big}\ncount = 0\nwhile n > 1:\n    n //= 2\n    count += 1\nprint(count)",
    "x = {{'a': {a}, 'b': {b}}}\nx['a'] += {c}\nprint(x['a'] * x['b'])",
    "print(len(set('{word}')))",
    "def f(x, y={a}):\n    return x * y\nprint(f({b}))",
    "def f(n):\n    return 1 if n < 2 else n * f(n - 1)\nprint(f({i}))",
    "print('yes' if {a} > {b} else 'no')",
    "print({a} > {b} and {b} > {c})",
    "print(sum(1 for i in range({big}) if i % {a} == 0))",
    "print([i * {a} for i in range(5)][{i}])",
    "print('{word}'.split('{letter}')[0] + '{a}')",
)


def _output(source: str) -> str:
    buffer = io.StringIO()
    with redirect_stdout(buffer):
        exec(source, {})  # noqa: S102 - only the programs written above reach this line
    return buffer.getvalue().strip()


def _program(rng: Random) -> Item:
    word = _long_enough(rng)
    source = rng.choice(_PROGRAMS).format(
        a=rng.randint(2, 9),
        b=rng.randint(2, 9),
        c=rng.randint(2, 9),
        i=rng.randint(1, 4),
        big=rng.randint(12, 60),
        word=word,
        letter=rng.choice(word),
    )
    ask = rng.choice(("What does this Python code print?", "What is the output of this Python?"))
    printed = _output(source)
    prompt = f"{ask}\n{source}\nAnswer with the output only."
    if printed.lstrip("-").isdigit():
        return prompt, int(printed), "number"
    return prompt, printed, "exact_case"


def code_reading(rng: Random, n: int) -> list[Question]:
    """What a short Python program prints; each reference is the real output."""
    return draw_distinct("code_reading", rng, n, (_program,))


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = words(
    "January February March April May June July August September October November December"
)


def _some_date(rng: Random) -> date:
    return date(1990, 1, 1) + timedelta(days=rng.randrange(14000))


def _written(day: date) -> str:
    return f"{_MONTHS[day.month - 1]} {day.day}, {day.year}"


def _weekday(rng: Random) -> Item:
    day = _some_date(rng)
    prompt = f"What day of the week was {_written(day)}? Answer with the day only."
    return label_item(prompt, _DAYS[day.weekday()], _DAYS)


def _later_weekday(rng: Random) -> Item:
    start, step = rng.randrange(7), rng.choice((1, 2, 3, 4, 7, 10, 14, 25, 100))
    days = "1 day" if step == 1 else f"{step} days"
    forms = (
        (f"Today is {_DAYS[start]}. What day of the week will it be in {days}?", step),
        (f"Today is {_DAYS[start]}. What day of the week was it {days} ago?", -step),
    )
    question, shift = rng.choice(forms)
    right = _DAYS[(start + shift) % 7]
    return label_item(f"{question} Answer with the day only.", right, _DAYS)


def _days_between(rng: Random) -> Item:
    start, gap = _some_date(rng), rng.choice((5, 9, 14, 23, 40, 75))
    end = start + timedelta(days=gap)
    prompt = f"How many days are there from {_written(start)} to {_written(end)}, not counting"
    return f"{prompt} the first day? {rng.choice(NUMBER_ONLY)}", gap, "number"


def _later_date(rng: Random) -> Item:
    start, gap = _some_date(rng), rng.choice((1, 3, 7, 10, 30, 45))
    end = start + timedelta(days=gap)
    days = "1 day" if gap == 1 else f"{gap} days"
    prompt = f"What is the date {days} after {start.isoformat()}? Answer as YYYY-MM-DD only."
    return prompt, end.isoformat(), "contains"


def _month_length(rng: Random) -> Item:
    month, year = rng.randint(1, 12), rng.randint(1995, 2032)
    following = date(year + month // 12, month % 12 + 1, 1)
    length = (following - date(year, month, 1)).days
    prompt = f"How many days are in {_MONTHS[month - 1]} {year}? {rng.choice(NUMBER_ONLY)}"
    return prompt, length, "number"


def _neighbour_month(rng: Random) -> Item:
    month, step = rng.randrange(12), rng.randint(1, 8)
    months = "1 month" if step == 1 else f"{step} months"
    forms = (("after", step), ("before", -step))
    word, shift = rng.choice(forms)
    prompt = f"Which month comes {months} {word} {_MONTHS[month]}? Answer with the month only."
    others = [name for index, name in enumerate(_MONTHS) if index != month]
    return label_item(prompt, _MONTHS[(month + shift) % 12], others)


def _next_day(rng: Random) -> Item:
    start = rng.randrange(7)
    word, shift = rng.choice((("after", 1), ("before", -1)))
    ask = rng.choice(("Which day comes right {} {}?", "Name the day of the week {} {}."))
    prompt = f"{ask.format(word, _DAYS[start])} Answer with the day only."
    others = [name for index, name in enumerate(_DAYS) if index != start]
    return label_item(prompt, _DAYS[(start + shift) % 7], others)


def _month_place(rng: Random) -> Item:
    month = rng.randrange(12)
    prompt = f"What is the number of the month {_MONTHS[month]}, counting January as 1?"
    return f"{prompt} {rng.choice(NUMBER_ONLY)}", month + 1, "number"


def _part_of_date(rng: Random) -> Item:
    day = _some_date(rng)
    forms = (
        (f"Which year is in this date: {_written(day)}?", day.year),
        (f"In which year is the date {day.isoformat()}?", day.year),
        (f"Which day of the month is {_written(day)}?", day.day),
        (f"Which day of the month is {day.isoformat()} (year-month-day)?", day.day),
    )
    question, value = rng.choice(forms)
    return f"{question} {rng.choice(NUMBER_ONLY)}", value, "number"


def _age(rng: Random) -> Item:
    born = _some_date(rng)
    now = date(2030, 1, 1) + timedelta(days=rng.randrange(3000))
    age = now.year - born.year - ((now.month, now.day) < (born.month, born.day))
    prompt = f"Someone was born on {_written(born)}. How old in full years are they on"
    return f"{prompt} {_written(now)}? {rng.choice(NUMBER_ONLY)}", age, "number"


def dates(rng: Random, n: int) -> list[Question]:
    """Weekdays, distances between dates, and the calendar."""
    hard = (_weekday, _later_weekday, _days_between, _later_date, _age, _neighbour_month)
    easy = (_next_day, _month_length, _month_place, _part_of_date, _part_of_date, _month_length)
    return draw_distinct("dates", rng, n, (*hard, *easy))
