"""Reading spreadsheets: ours against openpyxl and SheetJS, on the same file, in turns.

Times are those that the processor spent, so that a busy machine does not change what is compared;
each reader has its best of several turns. What starting an interpreter takes is left out. Memory is
the most that the whole process held.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HOME = ROOT / ".local" / "bench"
BINARIES = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target") / "release"

ROWS = 100_000
MANY_ROWS = 1_000_000

#: What is promised: rows a second, times the speed of each peer, MiB.
LEAST_ROWS_A_SECOND = 400_000
LEAST_TIMES = {"openpyxl": 12, "SheetJS": 7}
MOST_MIB = {ROWS: 16, MANY_ROWS: 96}


def measured(*command: str | Path) -> dict[str, float]:
    """What a reader prints, and the most memory that its process held."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(HOME / "node_modules")},
    )
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    found: dict[str, float] = json.loads(told)
    found["mib"] = usage.ru_maxrss / 1024
    return found


def generated(rows: int, ending: str) -> Path:
    """The file of so many rows."""
    path = HOME / f"{rows}.{ending}"
    if not path.exists():
        subprocess.run([BINARIES / "generate", path, str(rows)], check=True)
    return path


def processor() -> str:
    """The machine's name for its processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def best(turns: list[dict[str, float]]) -> dict[str, float]:
    """The turn that took the least."""
    return min(turns, key=lambda turn: turn["cpu"])


def main() -> None:
    """Measures, prints, and fails when less came of it than is promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="leave out the million rows")
    asked = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)

    book = generated(ROWS, "xlsx")
    readers = {
        "Seatkeeper, every row checked": (BINARIES / "parse", book),
        "openpyxl": (sys.executable, HERE / "read_openpyxl.py", book),
        "SheetJS": ("node", HERE / "read_sheetjs.js", book),
    }
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in readers}
    for _ in range(asked.turns):
        for name, command in readers.items():
            turns[name].append(measured(*command))
    ours, *peers = readers
    fastest = {name: best(found) for name, found in turns.items()}

    print(f"{processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{ROWS:,} rows x 8 columns, xlsx with shared texts, {book.stat().st_size:,} bytes\n")
    missed = []
    for name, found in fastest.items():
        if found["rows"] != ROWS:
            raise SystemExit(f"{name} found {found['rows']} rows")
        speed, times = found["rows"] / found["cpu"], found["cpu"] / fastest[ours]["cpu"]
        print(f"{name:30} {found['cpu']:7.3f} s {speed:10,.0f} rows/s {found['mib']:6.0f} MiB {times:5.1f} x")
        if name in peers and times < LEAST_TIMES[name]:
            missed.append(f"{times:.1f} times {name}, less than {LEAST_TIMES[name]}")
    speed = ROWS / fastest[ours]["cpu"]
    if speed < LEAST_ROWS_A_SECOND:
        missed.append(f"{speed:,.0f} rows/s, less than {LEAST_ROWS_A_SECOND:,}")

    print()
    for rows in (ROWS,) if asked.quick else (ROWS, MANY_ROWS):
        for ending in ("xlsx", "csv"):
            path = generated(rows, ending)
            found = measured(BINARIES / "parse", path)
            # A csv file is as large as it is; beside its bytes nothing grows.
            own = path.stat().st_size / 1048576
            beside = found["mib"] - own
            print(
                f"{rows:>9,} rows of {ending:4} {found['cpu']:7.3f} s {found['mib']:6.1f} MiB,"
                f" {beside:5.1f} beside the file's {own:.1f}"
            )
            held = found["mib"] if ending == "xlsx" else beside
            most = MOST_MIB[rows] if ending == "xlsx" else MOST_MIB[ROWS]
            if held > most:
                missed.append(f"{held:.1f} MiB for {rows:,} rows of {ending}, more than {most}")
    if missed:
        raise SystemExit("\nNot as promised: " + "; ".join(missed))


if __name__ == "__main__":
    main()
