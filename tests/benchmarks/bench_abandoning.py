"""What breaking off drafts saves, and what it loses, on the recorded everyday questions.

python tests/benchmarks/bench_abandoning.py [--every 8] [--quick]

Fitted on the training split, played on the test split, with budgets at 30, 60 and 85% of the way
from the cheapest to the dearest mean cost of the frontier. A draft is played back token by token,
its text cut in proportion, and looked at every so many tokens. What a broken-off call costs is the
recorded cost, less the output tokens that were not written.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from measuring import parser, table, write

from cascade_engine import CascadeRouter
from cascade_engine.datasets import load_everyday
from cascade_engine.routing.abandonment import DraftWatch

SHARES = (0.3, 0.6, 0.85)
THRESHOLDS = (None, 0.15, 0.3, 0.5, 0.9)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--every", type=int, default=8, help="tokens between looks, 8 by default")
    chosen = options.parse_args()
    found = measure(chosen.every, SHARES[:1] if chosen.quick else SHARES)
    write(chosen.out, "bench_abandoning", found)
    print(report(found))


def measure(every: int, shares=SHARES) -> list[dict]:
    """One record for each budget and threshold; means over the test questions."""
    train, test = load_everyday("train"), load_everyday("test")
    router = CascadeRouter(train.models).fit(train)
    low, high = router.frontier_.cost[[0, -1]].tolist()
    found = []
    for share in shares:
        for below in THRESHOLDS:
            router.abandon_below = below
            played = [
                play(router, test, i, low + share * (high - low), every) for i in range(len(test))
            ]
            means = {name: float(np.mean([one[name] for one in played])) for name in played[0]}
            found.append({"share": share, "below": below, "every": every, **means})
    return found


def play(router, data, row: int, budget: float, every: int) -> dict[str, float]:
    """One question: what it cost and brought, and the drafts that were broken off."""
    answers = dict(zip(data.models, data.answers[row], strict=True))
    session = router.session(data.queries[row], budget=budget)
    tokens = gone = 0
    while (call := session.pending) is not None:
        answer = replace(answers[call.model], cost=data.cost[row, data.models.index(call.model)])
        partial = broken_off(session, answer, every) if session.may_abandon else None
        tokens += len((partial or answer).logprobs or ())
        if partial is None:
            session.answer(answer)
        else:
            gone += 1
            session.abandon(partial)
    trace = session.trace
    quality = data.quality[row, data.models.index(trace.chosen)]
    return {"cost": trace.total_cost, "quality": quality, "tokens": tokens, "abandoned": gone}


def broken_off(session, answer, every: int):
    """The draft as far as it was written, None where all of it was."""
    watch = DraftWatch(session, every)
    for written in range(1, len(answer.logprobs or ())):
        if watch.abandons(written, lambda n=written: cut(answer, n)):
            return cut(answer, written)
    return None


def cut(answer, written: int):
    """The first tokens of an answer."""
    whole = len(answer.logprobs)
    usage = replace(answer.usage, output_tokens=written)
    sent = answer.usage.input_tokens
    return replace(
        answer,
        text=answer.text[: len(answer.text) * written // whole],
        logprobs=answer.logprobs[:written],
        usage=usage,
        cost=answer.cost * (sent + written) / (sent + whole),
        finish_reason=None,
    )


def report(found: list[dict]) -> str:
    """Savings and losses against finishing every draft, in percent."""
    rows = []
    for one in found:
        if one["below"] is None:
            plain = one
            continue
        saved = (100 * (1 - one[name] / plain[name]) for name in ("tokens", "cost"))
        lost = 100 * (plain["quality"] - one["quality"])
        rows.append(
            [
                f"{100 * one['share']:.0f}%",
                f"{one['below']:g}",
                f"{100 * one['abandoned']:.1f}",
                *(f"{each:+.1f}%" for each in saved),
                f"{lost:+.2f}",
            ]
        )
    head = ["budget", "below", "broken off per 100", "tokens saved", "cost saved", "points lost"]
    return f"Looks every {found[0]['every']} tokens:\n\n{table(head, rows)}"


if __name__ == "__main__":
    main()
