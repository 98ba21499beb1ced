"""Runs the long proofs and prints what they came to, in one table.

Each proof is a set of tests with more to do than in `make test`; most leave a file of counts in the folder that
SEATKEEPER_VERIFY names. Those that only compute run side by side, so that no processor waits for the longest; the others
follow one after the other. One that fails does not keep the others from being run. `make proofs ONLY=crash` runs those whose
name begins so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COUNTS = ROOT / "target" / "verify"


@dataclass(frozen=True)
class Proof:
    """Tests that take long: a filter of nextest, or a command of their own."""

    name: str
    tests: str = ""
    command: tuple[str, ...] = ()


def in_tests(binary: str) -> str:
    return f"package(seatkeeper-tests) & binary({binary})"


def nextest(profile: str, tests: str) -> tuple[str, ...]:
    nextest = ("cargo", "nextest", "run", "--workspace", "--locked", "--profile", "verify")
    return (*nextest, "--cargo-profile", profile, "--filterset", tests)


# Compiled for it, and nothing but time is theirs alone.
COMPUTED = [
    Proof("model", in_tests("model")),
    Proof("contention", in_tests("contention")),
    Proof("pacing", in_tests("pacing")),
    Proof("imports", in_tests("imports") + " & test(cost)"),
    Proof("bugs", in_tests("seeded_bugs")),
    Proof("crash points", in_tests("crash_points")),
    Proof("guesses", in_tests("codes") + " & test(guesses)"),
]
ALONE = [
    # The functions that are killed, and that import ten thousand rows, are those of the local stack.
    Proof("kills", command=nextest("dev", in_tests("end_to_end"))),
    Proof("fuzz", command=("make", "--no-print-directory", "fuzz")),
]
# All crash points, and all pairs of them.
ENVIRONMENT = {"SEATKEEPER_VERIFY": str(COUNTS), "CRASH_POINTS": "all", "CRASH_PAIRS": "0/1"}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", default="", help="run the proofs whose name begins so")
    only = arguments.parse_args().only
    computed, alone = ([proof for proof in proofs if proof.name.startswith(only)] for proofs in (COMPUTED, ALONE))
    if not computed and not alone:
        print(f"no proof begins with {only!r}: {', '.join(proof.name for proof in COMPUTED + ALONE)}", file=sys.stderr)
        return 2
    shutil.rmtree(COUNTS, ignore_errors=True)
    COUNTS.mkdir(parents=True)
    together = nextest("proofs", " | ".join(f"({proof.tests})" for proof in computed))
    runs = [(", ".join(proof.name for proof in computed), together)] if computed else []
    runs += [(proof.name, proof.command) for proof in alone]
    failed = []
    for place, (name, command) in enumerate(runs, 1):
        print(f"\n[{place}/{len(runs)}] {name}, at {time.strftime('%H:%M:%S')}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT).returncode != 0:
            failed.append(name)
    print(f"\nEnded at {time.strftime('%H:%M:%S')}")
    tell()
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


def tell() -> None:
    """Prints the counts: a line a gate, then how often each fault fired, then where."""
    gates: dict[str, Counter[str]] = {}
    faults: Counter[str] = Counter()
    sites: Counter[str] = Counter()
    for path in sorted(COUNTS.glob("*.json")):
        told = json.loads(path.read_text())
        gate = gates.setdefault(told["gate"], Counter())
        gate.update({name: told.get(name, 0) for name in ("runs", "left_out", "breaks", "seconds")})
        gate["faults"] += sum(told.get("faults", {}).values())
        faults.update(told.get("faults", {}))
        sites.update(told.get("sites", {}))
    table(
        ("gate", "runs", "left out", "faults", "breaks", "seconds"),
        [(name, *(f"{gate[column]:,.0f}" for column in ("runs", "left_out", "faults", "breaks", "seconds"))) for name, gate in gates.items()],
    )
    table(("fault", "fired"), [(name, f"{count:,}") for name, count in faults.most_common()])
    table(("call site", "faults"), [(name, f"{count:,}") for name, count in sorted(sites.items())])


def table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    widths = [max(len(row[place]) for row in [heading, *rows]) for place in range(len(heading))]
    print()
    for row in [heading, *rows]:
        first, *others = (cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths)))
        print("  ".join([first, *others]).rstrip())


if __name__ == "__main__":
    sys.exit(main())
