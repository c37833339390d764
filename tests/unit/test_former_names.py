"""Programs written before the engine had packages find what they name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import cascade_engine

MODULES = {
    "advisers": "ChatJudge ChatRouter JudgeReport JudgedModel aadvise advise judge_prompt "
    "judge_report read_score read_scores router_prompt yes_no_prompt",
    "extraction": "Canonical Extract Extractor agree agreement automatic boxed canonical "
    "choice_letter code_block json_answer json_field label normalised_text number similarity",
    "graders": "Grader Reference best_match choice contains exact exact_case grader json_fields "
    "label number sequence",
    "logs": "read_langsmith read_openai_batches",
    "payloads": "finish_reason token_logprobs token_usage tokens_of tool_calls",
    "structure": "STRUCTURE_COLUMNS Validator structure_features structure_table",
}


@pytest.mark.parametrize("module", MODULES)
def test_a_former_module_has_its_names(module):
    former = import_module(f"cascade_engine.{module}")
    missing = [name for name in MODULES[module].split() if not hasattr(former, name)]
    assert not missing


@pytest.mark.parametrize("module", MODULES)
def test_a_former_module_hands_on_all_of_them(module):
    former = import_module(f"cascade_engine.{module}")
    starred = getattr(former, "__all__", [n for n in vars(former) if not n.startswith("_")])
    assert set(MODULES[module].split()) <= set(starred)


def test_former_modules_are_attributes_of_the_engine():
    code = "import cascade_engine; print(cascade_engine.graders.number('', '5', '5'))"
    paths = f"import sys; sys.path[:0] = {sys.path!r}; "
    done = subprocess.run(
        [sys.executable, "-c", paths + code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1.0"
    assert {"Advice", "PriorEstimator", "Trace"} <= set(dir(cascade_engine))


def test_former_canonical_answers_still_agree():
    from cascade_engine.extraction import agree, canonical

    one, other = (canonical("How much is 2 + 3?", text) for text in ("It is 5.", "5"))
    assert agree(one, other) == 1.0


def test_names_that_moved_from_the_top_are_those_of_their_packages():
    for package, names in cascade_engine._MOVED.items():
        for name in names:
            assert name not in cascade_engine.__all__
            own = getattr(import_module(f"cascade_engine.{package}"), name)
            assert getattr(cascade_engine, name) is own


def test_a_router_is_summarized_by_a_function_as_before(router, data):
    from cascade_engine import summarize

    assert summarize(router, data).to_dict() == router.summarize(data).to_dict()


def test_the_top_has_at_most_sixty_names():
    assert len(cascade_engine.__all__) <= 60
    assert all(hasattr(cascade_engine, name) for name in cascade_engine.__all__)


def test_a_name_that_never_was_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = cascade_engine.Nonsense
