"""Reservation values: the held quality at which asking a model is just worth its price.

In Pandora's problem (Weitzman 1979, 'Optimal Search for the Best Alternative', Econometrica 47)
boxes with independent contents are opened at a price each, and the best content found is kept. The
optimal rule needs one number for each box, the sigma with E[(q - sigma)^+] = price: open the box of
the highest one, until what is held is at least as good. Here the boxes are models, the price is
lambda x cost. For a Gaussian sigma = mean + sd psi^{-1}(price / sd), where psi(z) = phi(z) -
z (1 - Phi(z)). The inverse is read from one table of cubics in the logarithm of its argument (error
below 2e-9), by single decisions and by arrays alike.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cascade_engine.core.arrays import FloatArray

#: Cells per unit of log(price / sd).
PER_UNIT = 64.0
#: Where the table starts, in log(price / sd).
START = -46.0
_CELLS = 3080
#: Below it z hardly moves any more, above it psi(z) = -z to the last digit.
SMALLEST, LARGEST = float(np.exp(START)), 8.0


def reservation_values(mean: FloatArray, sd: FloatArray, price: FloatArray) -> FloatArray:
    """Reservation values of Gaussian qualities; arrays of one shape, or that broadcast to one.

    Args:
        mean: expected quality.
        sd: standard deviation; 0 for a quality that is certain.
        price: what asking costs, in units of quality: lambda x cost.

    Returns:
        mean + sd psi^{-1}(price / sd); infinity for what is free and uncertain, mean - price for
        what is certain.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        y = price / sd
        place = np.log(y)
        place -= START
        place *= PER_UNIT
        # Whatever is outside the table, or no number, is dealt with below.
        np.fmin(np.fmax(place, 0.0, out=place), _CELLS - 1.0, out=place)
        cell = place.astype(np.intp)
        place -= cell
        a, b, c, d = np.moveaxis(_table().take(cell, axis=0), -1, 0)
        value = d * place
        for coefficient in (c, b):
            value += coefficient
            value *= place
        value += a
        value *= sd
        value += mean
        inside = (y < LARGEST) & (price > 0)
    if not inside.all():
        value = np.where(inside, value, np.where((price <= 0) & (sd > 0), np.inf, mean - price))
    return np.asarray(value)


@cache
def one_reservation_value() -> Callable[[float, float, float], float]:
    """`reservation_values` for plain numbers, the same but for rounding: f(mean, sd, price).

    It is made once the table is there, so that a call has nothing to look up.
    """
    cells = [tuple(row) for row in _table().tolist()]
    log, infinity = math.log, math.inf

    def value(mean: float, sd: float, price: float) -> float:
        if price >= LARGEST * sd:
            return mean - price
        if price <= 0:
            return infinity
        y = price / sd
        place = (log(y if y > SMALLEST else SMALLEST) - START) * PER_UNIT  # noqa: FURB136  faster
        cell = int(place)
        t = place - cell
        a, b, c, d = cells[cell]
        index: float = mean + sd * (a + t * (b + t * (c + t * d)))
        return index

    return value


@cache
def one_decision() -> Callable[..., int]:
    """The model of the highest reservation value, the cheapest of ties; -1 to stop.

    f(mean, sd, cost, run, available, lam) on plain sequences. The value is written out once more: a
    call for each model would take a fifth longer, and this is all the time a decision takes.
    """
    cells = [tuple(row) for row in _table().tolist()]
    log, infinity, special = math.log, math.inf, one_reservation_value()
    largest, smallest, start, per_unit = LARGEST, SMALLEST, START, PER_UNIT  # looked up faster

    def decide(  # noqa: PLR0917
        mean: Sequence[float],
        sd: Sequence[float],
        cost: Sequence[float],
        run: Sequence[bool],
        available: Sequence[bool],
        lam: float,
    ) -> int:
        held = best = cheapest = -infinity
        action = i = -1
        for index, spread, paid, ran, free in zip(mean, sd, cost, run, available, strict=True):
            i += 1
            if ran:
                held = index if index > held else held  # noqa: FURB136  faster
            elif free:
                price = lam * paid
                if spread and smallest < (y := price / spread) < largest:
                    place = (log(y) - start) * per_unit
                    cell = int(place)
                    t = place - cell
                    a, b, c, d = cells[cell]
                    value = index + spread * (a + t * (b + t * (c + t * d)))
                else:
                    value = special(index, spread, price)
                if value > best or (value == best and paid < cheapest):
                    best, action, cheapest = value, i, paid
        return action if best > held else -1

    return decide


@cache
def _table() -> FloatArray:
    """Z in cell j, at t in [0, 1), is a + t (b + t (c + t d)): shape (cells, 4)."""
    from scipy.special import ndtr  # noqa: PLC0415  kept out of the import of the package

    u = START + np.arange(_CELLS + 1) / PER_UNIT
    z = _inverse(u)
    slope = -np.exp(u) / ndtr(-z) / PER_UNIT
    rise = np.diff(z)
    start, end = slope[:-1], slope[1:]
    return np.stack([z[:-1], start, 3 * rise - 2 * start - end, start + end - 2 * rise], axis=1)


def _inverse(u: FloatArray) -> FloatArray:
    """Z with log psi(z) = u: Newton's method from a coarse table."""
    from scipy.special import ndtr  # noqa: PLC0415

    coarse = np.linspace(9.6, -9.0, 4001)
    z = np.interp(u, _log_psi(coarse), coarse)
    for _ in range(4):
        log_psi = _log_psi(z)
        z = z + (log_psi - u) * np.exp(log_psi) / ndtr(-z)
    return np.asarray(z)


def _log_psi(z: FloatArray) -> FloatArray:
    from scipy.special import erfcx  # noqa: PLC0415

    size = np.abs(z)
    # psi(|z|) = phi(z) (1 - |z| Mills(|z|)), without the cancellation in the far tail.
    tail = np.exp(-z * z / 2) * (1 / np.sqrt(2 * np.pi) - size / 2 * erfcx(size / np.sqrt(2)))
    return np.asarray(np.log(np.where(z >= 0, tail, tail - z)))
