"""Importing: ours against an importer that goes row by row, from the same workbook into the same emulator, in turns.

The emulator is the one that the tests embed (dynoxide), here behind HTTP. Both wait for it, so that the clock is what is compared, and only the ratio counts. The
importer that goes row by row has its first rows only: its speed does not depend on how many there are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import openpyxl
from reading import processor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
EMULATOR = ROOT / ".local" / "bench" / "bin" / "dynoxide"
IMPORT_FILE = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target") / "proofs" / "import-file"

#: What is promised: times the speed of going row by row.
LEAST_TIMES = 20
SECONDS_TO_START = 60


def workbook(path: Path, rows: int) -> None:
    """A sheet of so many learners."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("People")
    sheet.append(["email", "first_name", "last_name"])
    for number in range(rows):
        sheet.append([f"learner.{number}@example.com", f"First {number}", f"Last {number}"])
    book.save(path)


def emulator() -> tuple[subprocess.Popen[bytes], str]:
    """The emulator on a port of its own; what it holds is gone with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([EMULATOR, "--port", str(port), "--log", "quiet"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise SystemExit("the emulator did not start") from None
            time.sleep(0.1)


def table(name: str) -> None:
    """A table with the keys of the template's."""
    boto3.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "due_shard", "due_at")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [{"AttributeName": "due_shard", "KeyType": "HASH"}, {"AttributeName": "due_at", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )


def main() -> None:
    """Measures, prints, and fails when less came of it than is promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--naive-rows", type=int, default=500)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="importing-"))
    process, url = emulator()
    try:
        os.environ |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "eu-west-3",
            "AWS_DEFAULT_REGION": "eu-west-3",
            "AWS_ACCESS_KEY_ID": "measurements",
            "AWS_SECRET_ACCESS_KEY": "measurements",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        book = folder / "people.xlsx"
        workbook(book, asked.rows)
        best = {"ours": 0.0, "naive": 0.0}
        for turn in range(asked.turns):
            commands = {
                "ours": [str(IMPORT_FILE), f"ours-{turn}", str(book)],
                "naive": [sys.executable, str(HERE / "importing" / "naive.py"), f"naive-{turn}", str(book), str(asked.naive_rows)],
            }
            for name, command in commands.items():
                table(f"{name}-{turn}")
                told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                wanted = asked.rows if name == "ours" else asked.naive_rows
                if told["rows"] != wanted:
                    raise SystemExit(f"{name} imported {told['rows']} of {wanted} rows")
                best[name] = max(best[name], told["rows"] / told["seconds"])
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    times = best["ours"] / best["naive"]
    print(f"{processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"Seatkeeper, {asked.rows:,} rows: {best['ours']:,.0f} rows/s, {times:.1f} times as fast as")
    print(f"row by row (get, update, put), {asked.naive_rows:,} rows: {best['naive']:,.0f} rows/s")
    if times < LEAST_TIMES:
        raise SystemExit(f"\nNot as promised: {times:.1f} times, less than {LEAST_TIMES}")


if __name__ == "__main__":
    main()
