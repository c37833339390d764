"""Runs the paper's own code on the simulated study and keeps what it decided.

    python tests/benchmarks/reference_runs.py --reference PATH [--settings 'cascade_routing/3/*']

The results go to reference_runs.json beside this file: for every setting (rule/models/noise/seed)
and budget the columns run and the column that answered, from which per-query costs and qualities
follow, since the data follow from the seed. A setting is written as soon as it is done, and one
that is there is skipped, so the hours that this takes can be spent in pieces.
"""

from __future__ import annotations

import argparse
import base64
import fnmatch
import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from emulation import sobol_points
from reference import (
    RULES,
    Played,
    Reference,
    fit_reference,
    load_reference,
    play_reference,
    share_points,
)
from simulated import NOISE, Split, area, budgets, study

FILE = Path(__file__).with_name("reference_runs.json")
SEEDS = {3: 3, 5: 3, 11: 1}  # eleven models take half an hour a setting


@dataclass(frozen=True)
class Run:
    """The reference in one setting: a point of its curve and what it played for each budget."""

    budgets: np.ndarray
    cost: np.ndarray
    quality: np.ndarray
    area: float
    lambdas: list[float]
    fit_seconds: list[float]
    play_seconds: list[float]
    played: list[Played]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, help="a checkout of the paper's code")
    parser.add_argument("--settings", default=["*"], nargs="+", help="rule/models/noise/seed")
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    reference = load_reference(options.reference)
    for setting in settings():
        wanted = any(fnmatch.fnmatch(setting, pattern) for pattern in options.settings)
        if wanted and setting not in _stored(options.out):
            start = time.time()
            record = measure(reference, setting)
            _store(options.out, setting, record)
            spent = time.time() - start
            print(f"{setting:32} area {record['area']:.4f}  {spent:.0f} s", flush=True)


def settings() -> list[str]:
    """All of them, cascade routing first and the quick ones first within a rule."""
    return [
        f"{rule}/{models}/{noise}/{seed}"
        for rule in RULES
        for models, seeds in SEEDS.items()
        for seed in range(seeds)
        for noise in NOISE
    ]


def measure(reference: Reference, setting: str) -> dict:
    """Fits and plays one setting at all its budgets; the result is ready for JSON."""
    rule, models, noise, seed = setting.split("/")
    train, test = study(int(models), noise, int(seed))
    share_points(reference, sobol_points(int(seed), int(models)))
    record: dict = {"fingerprint": fingerprint(train, test), "budgets": budgets(test).tolist()}
    played, lambdas, fit_seconds, play_seconds = [], [], [], []
    for i, budget in enumerate(record["budgets"]):
        start = time.process_time()
        router = fit_reference(reference, train, budget, rule)
        fitted = time.process_time()
        played.append(play_reference(router, test, seed=i))
        lambdas.append(float(router.get_lambdas()[0]))
        fit_seconds.append(round(fitted - start, 3))
        play_seconds.append(round(time.process_time() - fitted, 3))
    cost = [one.cost(test).mean() for one in played]
    quality = [one.quality(test).mean() for one in played]
    return record | {
        "cost": cost,
        "quality": quality,
        "area": area(cost, quality, test.truth),
        "lambdas": lambdas,
        "fit_seconds": fit_seconds,
        "play_seconds": play_seconds,
        "played": _pack(played),
    }


def fingerprint(train: Split, test: Split) -> int:
    """Changes when the simulated queries do; correctness does not hang on the last bit."""
    correct = np.concatenate([train.truth.quality, test.truth.quality])
    return zlib.crc32(np.packbits(correct > 0).tobytes())


def load_runs(file: Path = FILE) -> dict[str, Run]:
    """The stored runs by setting, checked against the data that the seeds give here."""
    return {setting: _run(setting, record) for setting, record in _stored(file).items()}


def _run(setting: str, record: dict) -> Run:
    _, models, noise, seed = setting.split("/")
    if fingerprint(*study(int(models), noise, int(seed))) != record["fingerprint"]:
        raise ValueError(f"{setting}: the simulated queries are others than when this was run")
    return Run(
        budgets=np.array(record["budgets"]),
        cost=np.array(record["cost"]),
        quality=np.array(record["quality"]),
        area=record["area"],
        lambdas=record["lambdas"],
        fit_seconds=record["fit_seconds"],
        play_seconds=record["play_seconds"],
        played=_unpack(record["played"], len(record["budgets"]), int(models)),
    )


def _pack(played: list[Played]) -> str:
    """Two bytes a query and budget: the columns run as bits, above them the one that answered."""
    bits = 1 << np.arange(played[0].ran.shape[1])
    codes = [(one.ran @ bits) + (one.chosen << 11) for one in played]
    # All low bytes before all high bytes compresses better.
    plain = np.array(codes).astype("<u2").view(np.uint8).reshape(-1, 2).T.tobytes()
    return base64.b64encode(zlib.compress(plain, 9)).decode()


def _unpack(text: str, count: int, models: int) -> list[Played]:
    plain = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    codes = np.ascontiguousarray(plain.reshape(2, -1).T).view("<u2").reshape(count, -1).astype(int)
    ran = (codes[..., None] >> np.arange(models)) & 1
    return [Played(chosen, mask > 0) for chosen, mask in zip(codes >> 11, ran, strict=True)]


def _stored(file: Path) -> dict:
    return json.loads(file.read_text()) if file.exists() else {}


def _store(file: Path, setting: str, record: dict) -> None:
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(_stored(file) | {setting: record}, indent=1) + "\n")
    partial.replace(file)


if __name__ == "__main__":
    main()
