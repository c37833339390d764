"""Laws of sessions whose drafts are broken off, whatever is believed and whatever fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine import STRATEGIES, AllModelsFailedError, Answer
from cascade_engine.errors import DraftAbandonedError
from tests.properties.test_session_laws import worlds

laws = settings(max_examples=40, deadline=None, derandomize=True, database=None)
PARTIAL = Answer("half a wo", (-1.0,))


def drive(session, world, abandons):
    """Every draft goes that `abandons` says; how often each model was asked to answer."""
    asked = []
    for _ in range(2 * world.k + 1):
        call = session.pending
        if call is None:
            return asked
        if not call.final and abandons(session):
            session.abandon(replace(PARTIAL, cost=0.0))
            continue
        asked.append(call.model)
        try:
            session.answer(replace(world.run(call), cost=None))
        except TimeoutError as error:
            session.fail(error)
    pytest.fail(f"still going after {asked}")


def advised(session):
    return session.abandons(replace(PARTIAL, cost=0.0))


def opened(world, name, below):
    session = world.session(name)
    session._abandon_below = below
    return session


thresholds = st.sampled_from([0.0, 0.3, 0.7, 1.0])


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@laws
@given(world=worlds(), below=thresholds)
def test_a_session_ends_and_no_model_is_asked_for_two_answers(name, world, below):
    session = opened(world, name, below)
    asked = drive(session, world, advised)
    assert len(set(asked)) == len(asked)
    trace = session.trace
    assert trace.decisions[-1].action is None
    assert set(trace.answers) == set(asked) - world.down


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@laws
@given(world=worlds(capped=False), below=thresholds, ruthless=st.booleans())
def test_an_answer_is_returned_if_any_model_can_give_one(name, world, below, ruthless):
    session = opened(world, name, below)
    drive(session, world, (lambda _: True) if ruthless else advised)
    if len(world.down) < world.k:
        assert session.result.text == f"by {session.trace.chosen}"
        return
    with pytest.raises(AllModelsFailedError) as caught:
        _ = session.result
    assert not any(isinstance(e, DraftAbandonedError) for e in caught.value.errors.values())
    assert set(caught.value.errors) == world.down


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@laws
@given(world=worlds(), below=thresholds)
def test_under_a_cap_too_unless_those_that_were_abandoned_fail(name, world, below):
    session = opened(world, name, below)
    asked = drive(session, world, advised)
    expected = dict(zip(world.names, world.cost, strict=True))
    if world.max_cost is not None:
        assert sum(expected[model] for model in asked) <= world.max_cost + 1e-12
    trace = session.trace
    gone = {f.model for f in trace.failures if isinstance(f.error, DraftAbandonedError)}
    if gone and not gone & world.down:
        assert trace.chosen is not None


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@laws
@given(world=worlds())
def test_a_threshold_of_nothing_changes_nothing(name, world):
    plain, watched = world.session(name), opened(world, name, 0.0)
    assert drive(plain, world, advised) == drive(watched, world, advised)
    assert plain.trace.to_dict() == watched.trace.to_dict()
