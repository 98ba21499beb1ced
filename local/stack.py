"""The local stack: `up`, `down`, `logs`, `clean-data`.

    python local/stack.py up

`up` starts the emulator on loopback when it is not running, deploys `template.yaml` with the debug
binaries, and writes `.local/stack.json`. `PORT` and `AUTH` are read from the environment. Data is
saved by `down` and found again by the next `up`.

    python local/stack.py up --until-eof

The emulator of such a stack ends, with all its functions and without saving anything, as soon as
nobody holds the other end of standard input any more: also when its user was killed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from settings import ACCOUNT, HOME, REGION, STACK_NAME, Settings, client, running_stack

STATE = HOME / "state"
TEMPORARY = HOME / "tmp"
LOG = HOME / "emulator.log"
RUNNING = HOME / "emulator.json"
STACK = HOME / "stack.json"

SECONDS_TO_START = 60
SECONDS_TO_STOP = 120


def up(settings: Settings, until_eof: bool) -> None:
    """Starts what is not running and deploys what changed."""
    import deploy

    started = time.monotonic()
    if _running_settings() not in (None, settings):
        down()
    if _running_settings() is None:
        _start(settings, until_eof)
    stack = deploy.deploy(settings)
    STACK.write_text(json.dumps(stack, indent=2) + "\n", encoding="utf-8")
    print(f"The stack is up ({time.monotonic() - started:.1f} s): {STACK}")
    for name, value in stack.items():
        print(f"  {name:<17} {value}")


def down() -> None:
    """Saves the data and ends the emulator with all functions."""
    pid = _pid()
    if pid is None:
        print("The stack is not running.")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_STOP
    while _alive(pid):
        if time.monotonic() > deadline:
            raise SystemExit(f"the emulator (process {pid}) did not end; see {LOG}")
        time.sleep(0.1)
    RUNNING.unlink(missing_ok=True)
    print("The stack is down. Its data is kept for the next `make up`.")


def clean_data() -> None:
    """Forgets all data."""
    if _pid() is not None:
        down()
    for path in (STATE, TEMPORARY):
        shutil.rmtree(path, ignore_errors=True)
    STACK.unlink(missing_ok=True)
    print("The data of the local stack is gone.")


def logs(follow: bool) -> None:
    """Prints what the functions logged, oldest first."""
    stack = running_stack(STACK)
    cloudwatch = client("logs", stack["aws_endpoint_url"])
    seen: set[tuple[int, str, str]] = set()
    while True:
        events = []
        groups = cloudwatch.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{STACK_NAME}-")
        for group in (g["logGroupName"] for g in groups["logGroups"]):
            for page in cloudwatch.get_paginator("filter_log_events").paginate(logGroupName=group):
                events += [(e["timestamp"], group, e["message"]) for e in page["events"]]
        for event in sorted(events, key=lambda event: event[0]):
            if event not in seen and not event[2].startswith(("START ", "END ")):
                seen.add(event)
                timestamp, group, message = event
                at = datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
                print(at, group.removeprefix(f"/aws/lambda/{STACK_NAME}-").ljust(9), message.rstrip())
        if not follow:
            return
        sys.stdout.flush()
        time.sleep(1)


def _start(settings: Settings, until_eof: bool) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", settings.port))
        except OSError as error:
            raise SystemExit(
                f"port {settings.port} cannot be used ({error.strerror}); choose one with PORT="
            ) from None
    shutil.rmtree(TEMPORARY, ignore_errors=True)
    for path in (STATE, TEMPORARY):
        path.mkdir(parents=True, exist_ok=True)
    # The functions inherit this environment, so nothing of the caller's is in it.
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(TEMPORARY),
        "LANG": "C.UTF-8",
        "TMPDIR": str(TEMPORARY),
        "GATEWAY_PORT": str(settings.port),
        "BIND_HOST": "127.0.0.1",
        "AUTH": str(settings.enforce_iam).lower(),
        "PERSIST_STATE": "0" if until_eof else "1",
        "STATE_DIR": str(STATE),
        "S3_PERSIST": "0" if until_eof else "1",
        "S3_DATA_DIR": str(STATE / "s3"),
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
        # Listeners nobody needs here.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    emulator = [sys.executable, str(Path(__file__).with_name("emulator.py"))]
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            [*emulator, "--until-eof"] if until_eof else emulator,
            stdin=None if until_eof else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    deadline = time.monotonic() + SECONDS_TO_START
    while not _healthy(settings):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"the emulator did not start:\n{LOG.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
    RUNNING.write_text(
        json.dumps({"pid": process.pid, "port": settings.port, "enforce_iam": settings.enforce_iam}),
        encoding="utf-8",
    )


def _healthy(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{settings.endpoint}/_ministack/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _pid() -> int | None:
    """The emulator's process, when this checkout started it and it still runs."""
    if not RUNNING.exists():
        return None
    pid = int(json.loads(RUNNING.read_text(encoding="utf-8"))["pid"])
    return pid if _alive(pid) else None


def _alive(pid: int) -> bool:
    """Whether the process is our emulator: process ids are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"emulator.py" in command


def _running_settings() -> Settings | None:
    if _pid() is None:
        return None
    running = json.loads(RUNNING.read_text(encoding="utf-8"))
    return Settings(port=running["port"], enforce_iam=running["enforce_iam"])


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="The local stack.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up").add_argument("--until-eof", action="store_true")
    for name in ("down", "clean-data"):
        commands.add_parser(name)
    commands.add_parser("logs").add_argument("--follow", action="store_true")
    arguments = parser.parse_args()
    match arguments.command:
        case "up":
            up(Settings.from_environment(), arguments.until_eof)
        case "down":
            down()
        case "clean-data":
            clean_data()
        case "logs":
            logs(arguments.follow)


if __name__ == "__main__":
    main()
