"""Whatever was asked and answered, a log holds one line of it, and gives it back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine import Answer, CascadeRouter, Price, Query, Usage
from cascade_engine.data.traffic import LoggedTrace, TraceLog, read_traces

laws = settings(max_examples=60)


@st.composite
def answers(draw):
    numbers = st.floats(allow_nan=False)
    return Answer(
        draw(st.text()),
        draw(st.none() | st.lists(numbers, max_size=3).map(tuple)),
        draw(st.none() | st.builds(Usage, st.integers(0, 99), st.integers(0, 99))),
        draw(st.none() | st.floats(0, 9)),
        signals=draw(st.dictionaries(st.text(), numbers, max_size=2)),
        samples=draw(st.lists(st.text(), max_size=2).map(tuple)),
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@laws
@given(query=st.builds(Query, st.text()), given=answers(), held=values, texts=st.booleans())
def test_whatever_is_logged_is_one_line_and_comes_back(tmp_path_factory, query, given, held, texts):
    log = TraceLog(tmp_path_factory.mktemp("log") / "log", texts=texts)
    session = CascadeRouter(["m"], prices={"m": Price(1, 1)}).session(query)
    session.answer(given)
    for _ in range(2):
        log.write(LoggedTrace(session.trace, input=held))
    assert log.path.read_bytes().count(b"\n") == 2
    for found in read_traces(log.path):
        assert found.trace.costs == session.trace.costs
        (answer,) = found.answers.values()
        assert answer.logprobs == given.logprobs
        assert len(answer.text) == len(given.text)
        assert found.trace.decisions == session.trace.decisions
        if texts:
            assert answer == given
            assert found.query == query
            assert found.input == held
