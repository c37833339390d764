"""Tables of what `bench_real.py` measures."""

from __future__ import annotations

import numpy as np
from measuring import seconds, table
from real_measures import CEILINGS, CHAINS, DEFAULT

ABSENT = "The recordings are not there: pass their folder as --data to measure on them."
_LEAST = -0.01


def report(found: dict[str, dict]) -> str:
    """All tables, or the one line that there is nothing."""
    if not found:
        return ABSENT
    parts = []
    for name, of in found.items():
        parts.append(f"### {name}\n\n{study(of)}")
        if "resplits" in of:
            parts.append(f"### {name}, split anew at random\n\n{resplits(of['resplits'])}")
        if "small" in of:
            parts.append(f"### {name}, few training queries\n\n{few(of['small'])}")
    return "\n\n".join(parts)


def study(found: dict) -> str:
    """One data set."""
    train, test = found["queries"]
    best = max(found["singles"], key=lambda one: one["quality"])
    lead = (
        f"{len(found['singles'])} models, {train:,} training and {test:,} test queries. The best "
        f"model alone: {best['quality']:.3f} at {best['cost']:.3g} USD."
    )
    spent = found["times"]
    times = (
        f"Fit {seconds(spent['fit'])} CPU; estimates of one query {seconds(spent['before'])} "
        f"before an answer and {seconds(spent['after'])} after each."
    )
    return "\n\n".join(
        (lead, _estimates(found["estimates"]), times, _curves(found["policies"]), _at(found))
    )


def _estimates(found: dict[str, dict]) -> str:
    stages = {"before": "before any answer", "own": "its own answer", "three": "three answers"}
    rows = [
        [part, *(f"{of[stage]['roc_auc']:.3f} / {of[stage]['ece']:.3f}" for stage in stages)]
        for part, of in found.items()
    ]
    return table(["ROC AUC / ECE", *stages.values()], rows)


def _curves(found: dict[str, dict]) -> str:
    head = ["", "AUC x 100", "default less it (95%)", "at the best model's cost"]
    head += ["at half of it", "parity (95%)"]
    return table(head, [_curve(name, of) for name, of in found.items()])


def _curve(name: str, of: dict) -> list[str]:
    less = "" if name == DEFAULT else _interval(of["less"], 100, "+.2f")
    label = f"*{name}*" if name in CEILINGS else name
    qualities = (_number(of[what]) for what in ("at_best", "at_half"))
    return [label, _number(of["auc"], 100), less, *qualities, _interval(of["parity"], 1, ".2f")]


def _at(found: dict) -> str:
    """Qualities at fixed costs, of every policy and of the models that cost no more."""
    head = ["quality at", *(f"{cost:.3g}" for cost in found["costs"])]
    rows = [[name, *map(_number, of["at"])] for name, of in found["policies"].items()]
    alone = [
        max((o["quality"] for o in found["singles"] if o["cost"] <= cost), default=None)
        for cost in found["costs"]
    ]
    rows.append(["best single model", *(_number({"value": quality}) for quality in alone)])
    return table(head, rows) + "\n\n" + _singles(found["singles"])


def _singles(found: list[dict]) -> str:
    rows = [[of["model"], f"{of['cost']:.3g}", f"{of['quality']:.3f}"] for of in found]
    return table(["model", "USD", "quality"], rows)


def resplits(found: list[dict]) -> str:
    """Means over the splits."""
    best = np.mean([max(one["quality"] for one in split["singles"]) for split in found])
    after = [split["estimates"]["test"]["three"] for split in found]
    roc, ece = (np.mean([of[what] for of in after]) for what in ("roc_auc", "ece"))
    lead = (
        f"{len(found)} splits; the best model alone {best:.3f}; estimates after three answers: "
        f"ROC AUC {roc:.3f}, ECE {ece:.3f}."
    )
    head = ["", "AUC x 100", "default less it", "clear of 0", "at the best model's cost"]
    names = found[0]["policies"]
    rows = [_over_splits(name, [one["policies"][name] for one in found]) for name in names]
    return f"{lead}\n\n" + table([*head, "at half of it", "parity"], rows)


def _over_splits(name: str, found: list[dict]) -> list[str]:
    less = [of["less"]["value"] * 100 for of in found]
    clear = sum(of["less"]["low"] > 0 for of in found)
    compared = ["", ""]
    if name != DEFAULT:
        spread = f"{np.mean(less):+.2f} ({min(less):+.2f} to {max(less):+.2f})"
        compared = [spread, f"{clear} of {len(found)}"]
    return [
        f"*{name}*" if name in CEILINGS else name,
        f"{_mean(found, 'auc') * 100:.2f}",
        *compared,
        *(f"{_mean(found, what):.3f}" for what in ("at_best", "at_half")),
        ", ".join(_number(of["parity"], spec=".2f", none="never") for of in found),
    ]


def _mean(found: list[dict], what: str) -> float:
    return float(np.mean([np.nan if (v := of[what]["value"]) is None else v for of in found]))


def few(found: list[dict]) -> str:
    """The default and the search over chains, seed by seed."""
    rows = []
    for of in found:
        ours, chains = of["policies"][DEFAULT], of["policies"][CHAINS]
        rows.append([of["size"], of["seed"], *_gain(ours, of["best"]), *_gain(chains, of["best"])])
    worst = min(of["policies"][DEFAULT]["at_best"]["value"] - of["best"] for of in found)
    met = "met" if worst >= _LEAST else "missed"
    head = ["queries", "seed", "default less the best model, at its cost", "AUC x 100"]
    return (
        table([*head, "chains: the same", "AUC x 100"], rows)
        + f"\n\nThe target, no worse than {_LEAST} anywhere, is {met}: {worst:+.3f} at worst."
    )


def _gain(of: dict, best: float) -> tuple[str, str]:
    """What is gained over the best model at its cost; and the area."""
    at = of["at_best"]["value"]
    return "" if at is None else f"{at - best:+.3f}", _number(of["auc"], 100)


def _number(of: dict, scale: float = 1, *, spec: str | None = None, none: str = "") -> str:
    if of["value"] is None:
        return none
    return format(of["value"] * scale, spec or (".2f" if scale == 100 else ".3f"))


def _interval(of: dict, scale: float, spec: str) -> str:
    if of["value"] is None:
        return "never"
    value, low, high = (
        "never" if of[which] is None else format(of[which] * scale, spec)
        for which in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
