"""Lambda given for one query, in place of what a budget buys."""

from __future__ import annotations

import pytest

from cascade_engine import ConfigurationError
from tests.helpers import answer


def first(session):
    while session.pending.is_advice:
        session.answer(answer(session.pending))
    return session.pending.model


def test_lambda_decides_and_is_recorded(router, data):
    query = data.queries[0]
    free, mean = router.session(query, lam=0.0), router.session(query, lam=1e12)
    assert first(mean) == data.models[0]
    assert free.trace.setting == {"lambda": 0.0}
    assert mean.trace.setting == {"lambda": 1e12}


def test_it_takes_the_place_of_the_routers_budget(router, data):
    cheap = router.with_budget(float(router.frontier_.cost[0]))
    session = cheap.session(data.queries[0], lam=0.5)
    assert session.trace.budget is None
    assert session.trace.setting == {"lambda": 0.5}
    assert cheap.session(data.queries[0]).trace.budget == cheap.budget


def test_it_is_the_lambda_of_the_budget_that_buys_it(router, data):
    dear = router.with_budget(float(router.frontier_.cost[-1]))
    lam = dear.policy_.lam(0.5)
    for query in data.queries[:20]:
        assert first(dear.session(query, lam=lam)) == first(dear.session(query))


@pytest.mark.parametrize("lam", [-1, float("nan"), "low", [1]])
def test_what_is_no_amount_is_refused(router, lam):
    with pytest.raises(ConfigurationError, match="lam must be a number >= 0, not"):
        router.session("q", lam=lam)


def test_what_contradicts_is_refused(router, data):
    with pytest.raises(ConfigurationError, match=r"lam=1 and budget=2 contradict each other"):
        router.session("q", lam=1, budget=2)
    unfitted = type(router)(data.models)
    with pytest.raises(ConfigurationError, match="there are none before fit"):
        unfitted.session("q", lam=1)
