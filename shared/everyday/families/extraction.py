"""The family about structured output: read a sentence, write one JSON object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from everyday.families.question import Item, Question, draw_distinct, words

if TYPE_CHECKING:
    from random import Random

_NAMES = words("Alice Boris Carla Deniz Elif Frank Greta Hiro Ilya Julia Kofi Lara")
_CITIES = words("Paris Oslo Lima Cairo Tokyo Boston Madrid Delhi Prague Quito")
_JOBS = words("nurse pilot lawyer chef farmer painter teacher engineer")
_GOODS = words("lamps chairs mugs shirts kettles notebooks helmets plates")
_COLOURS = words("red blue green black white yellow")
_DAYS = words("Monday Tuesday Wednesday Thursday Friday")


def _request(rng: Random, text: str, reference: dict[str, Any]) -> Item:
    keys = json.dumps(list(reference))[1:-1]
    forms = (
        f"Text: {text}\nExtract the keys {keys} as JSON. Answer with the JSON object only.",
        f"Read this: {text}\nWrite a JSON object with the keys {keys} and nothing else.",
        f'Turn this into JSON with the keys {keys}: "{text}" Answer with JSON only.',
    )
    return rng.choice(forms), reference, "json_fields"


def _person(rng: Random) -> Item:
    name, age = rng.choice(_NAMES), rng.randint(19, 80)
    forms = (f"{name} is {age} years old.", f"At the age of {age}, {name} still likes to dance.")
    return _request(rng, rng.choice(forms), {"name": name, "age": age})


def _worker(rng: Random) -> Item:
    name, city, job = rng.choice(_NAMES), rng.choice(_CITIES), rng.choice(_JOBS)
    forms = (
        f"{name} works as a {job} in {city}.",
        f"Our favourite {job} in {city} is called {name}.",
    )
    return _request(rng, rng.choice(forms), {"name": name, "job": job, "city": city})


def _order(rng: Random) -> Item:
    colour, goods = rng.choice(_COLOURS), rng.choice(_GOODS)
    count, price = rng.randint(2, 20), rng.randint(3, 60)
    text = f"Please send {count} {colour} {goods} at ${price} each."
    reference = {"product": goods, "color": colour, "quantity": count, "unit_price": price}
    return _request(rng, text, reference)


def _order_total(rng: Random) -> Item:
    goods, count, price = rng.choice(_GOODS), rng.randint(2, 12), rng.randint(3, 30)
    text = f"{rng.choice(_NAMES)} bought {count} {goods} for ${price} each."
    return _request(rng, text, {"product": goods, "quantity": count, "total": count * price})


def _two_people(rng: Random) -> Item:
    (first, second), (city, town) = rng.sample(_NAMES, 2), rng.sample(_CITIES, 2)
    age, gap = rng.randint(25, 60), rng.randint(2, 15)
    text = f"{first}, {age}, lives in {city}. {second} is {gap} years older and lives in {town}."
    older = {"name": second, "age": age + gap, "city": town}
    item = _request(rng, text, older)
    return f"{item[0]} Describe the older person.", older, item[2]


def _meeting(rng: Random) -> Item:
    day, moved = rng.sample(_DAYS, 2)
    room, hour = rng.randint(101, 420), rng.randint(1, 11)
    clock = f"{hour + 12}:30"
    forms = (
        (f"The meeting is on {day} at {clock} in room {room}.", day),
        (f"The {day} meeting in room {room} has moved to {moved} at {clock}.", moved),
    )
    text, final = rng.choice(forms)
    return _request(rng, text, {"day": final, "time": clock, "room": room})


def _flags(rng: Random) -> Item:
    city, pets = rng.choice(_CITIES), rng.choice((True, False))
    rooms, rent = rng.randint(1, 6), 50 * rng.randint(9, 40)
    rule = "Pets are welcome." if pets else "No pets, please."
    text = f"Flat in {city} with {rooms} rooms for ${rent} a month. {rule}"
    reference = {"city": city, "rooms": rooms, "rent": rent, "pets_allowed": pets}
    item = _request(rng, text, reference)
    return f"{item[0]} Use true or false for pets_allowed.", reference, item[2]


def extraction(rng: Random, n: int) -> list[Question]:
    """Plain extraction, and extraction that needs one step of reasoning."""
    easy = (_person, _worker, _person, _worker, _order)
    kinds = (*easy, _order_total, _two_people, _meeting, _flags)
    return draw_distinct("extraction", rng, n, kinds)
