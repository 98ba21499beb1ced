"""Runs the long proofs one after the other and prints what they came to, in one table.

Each proof is a set of tests with more to do than in `make test`; most leave a file of counts in the folder that
SEATKEEPER_VERIFY names. A proof that fails does not keep the others from being run. `make proofs ONLY=crash` runs those
whose name begins so.
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
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COUNTS = ROOT / "target" / "verify"


@dataclass(frozen=True)
class Proof:
    """Tests that take long: a filter of nextest, or a command of their own."""

    name: str
    tests: str = ""
    profile: str = "proofs"
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def run(self) -> bool:
        nextest = ("cargo", "nextest", "run", "--workspace", "--locked", "--cargo-profile", self.profile, "--profile", "verify")
        environment = os.environ | self.environment | {"SEATKEEPER_VERIFY": str(COUNTS)}
        return subprocess.run(self.command or (*nextest, "--filterset", self.tests), cwd=ROOT, env=environment).returncode == 0


def in_tests(binary: str) -> str:
    return f"package(seatkeeper-tests) & binary({binary})"


PROOFS = [
    Proof("model", in_tests("model")),
    Proof("contention", in_tests("contention")),
    Proof("pacing", in_tests("pacing")),
    Proof("imports", in_tests("imports") + " & test(cost)"),
    Proof("bugs", in_tests("seeded_bugs")),
    Proof("crash points", in_tests("crash_points"), environment={"CRASH_POINTS": "all"}),
    Proof("guesses", "package(seatkeeper-tests) & binary(codes) & test(guesses)"),
    # The functions that are killed, and that import ten thousand rows, are those of the local stack.
    Proof("kills", in_tests("end_to_end"), profile="dev"),
    Proof("fuzz", command=("make", "--no-print-directory", "fuzz")),
]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", default="", help="run the proofs whose name begins so")
    only = arguments.parse_args().only
    chosen = [proof for proof in PROOFS if proof.name.startswith(only)]
    if not chosen:
        print(f"no proof begins with {only!r}: {', '.join(proof.name for proof in PROOFS)}", file=sys.stderr)
        return 2
    shutil.rmtree(COUNTS, ignore_errors=True)
    COUNTS.mkdir(parents=True)
    failed = []
    for place, proof in enumerate(chosen, 1):
        print(f"\n[{place}/{len(chosen)}] {proof.name}, at {time.strftime('%H:%M:%S')}", flush=True)
        if not proof.run():
            failed.append(proof.name)
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
