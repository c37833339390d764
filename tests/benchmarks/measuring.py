"""What the benchmarks share: CPU time, the machine's description, tables, files."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OUT = Path("output")
_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    new = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    new.add_argument("--reference", help="a checkout of the paper's code, to compare with")
    new.add_argument("--quick", action="store_true", help="fewer sizes and repeats")
    new.add_argument("--out", type=Path, default=OUT)
    return new


def cpu_seconds(work: Callable[[], object], *, repeats: int = 1) -> float:
    """CPU time of one call, the best of several: what others do to the machine only adds."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def cpu_seconds_each(work: Callable[[], object], *, at_least: float = 0.05, tries: int = 5):
    """The same for what is too quick for the clock: called often enough to fill `at_least`."""
    count, spent = 1, cpu_seconds(work)
    while spent < at_least:
        count = max(2 * count, int(1.2 * at_least / max(spent, 1e-6) * count))
        count = min(count, 1_000_000)
        spent = _repeated(work, count)
    return min([spent, *(_repeated(work, count) for _ in range(tries - 1))]) / count


def _repeated(work: Callable[[], object], count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        work()
    return time.process_time() - start


def machine() -> dict[str, str | int]:
    """What the figures were measured on, without date or name."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def machine_line() -> str:
    """The same in words."""
    of = machine()
    cores = "one core" if of["cores"] == 1 else f"{of['cores']} cores"
    return (
        f"{of['processor']}, {cores}; Python {of['python']}, numpy {of['numpy']}, "
        f"scipy {of['scipy']}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write(folder: Path, name: str, found: object) -> None:
    """Results as JSON beside the description of the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "results": found}, indent=1)
    (folder / f"{name}.json").write_text(text + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def seconds(value: float | None) -> str:
    """A time to two or three digits, in the unit that suits it."""
    if value is None:
        return ""
    unit, size = next((pair for pair in _UNITS if value >= pair[1]), _UNITS[-1])
    return f"{_digits(value / size)} {unit}"


def times(slow: float | None, fast: float) -> str:
    """How many times as fast."""
    return "" if slow is None else f"{_digits(slow / fast)}x"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
