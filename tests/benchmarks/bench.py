"""All benchmarks, with their tables in one file: output/benchmarks.md.

python tests/benchmarks/bench.py [--reference PATH] [--data PATH] [--quick]

The reference is the paper's own code, from a checkout that PATH names; without it ours is timed
alone. The quality is compared with stored runs of it and needs no checkout. Real measurements are
read from the folder that the other PATH names, and left out where it is absent. An hour and a
quarter, most of it for the emulation at eleven models; `--quick` takes some minutes.
"""

from __future__ import annotations

from pathlib import Path

import bench_budget
import bench_decisions
import bench_everyday
import bench_fit
import bench_overhead
import bench_quality
import bench_real
from measuring import machine_line, parser, write


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, default=bench_real.DATA, help="real measurements")
    options = arguments.parse_args()
    quick, path = options.quick, options.reference
    models = (3, 5) if quick else bench_quality.MODELS
    seeds = 2 if quick else 20
    parts = (
        ("Fits", bench_fit, lambda: bench_fit.measure(path, quick=quick)),
        ("Decisions", bench_decisions, lambda: bench_decisions.measure(path, quick=quick)),
        ("Overhead", bench_overhead, lambda: bench_overhead.measure(quick=quick)),
        ("Budgets", bench_budget, lambda: bench_budget.measure(models, seeds)),
        ("Real", bench_real, lambda: bench_real.measure(options.data, quick=quick)),
        ("Quality", bench_quality, lambda: bench_quality.measure(models, seeds)),
    )
    text = f"# Benchmarks\n\n{machine_line()}\n"
    options.out.mkdir(parents=True, exist_ok=True)
    for title, module, measure in parts:
        found = measure()
        write(options.out, module.__name__, found)
        text += f"\n## {title}\n\n{module.report(found)}\n"
        # Written as it grows: the last part takes longest.
        (options.out / "benchmarks.md").write_text(text)
    print(text)
    bench_everyday.main(["--out", str(options.out)])


if __name__ == "__main__":
    main()
