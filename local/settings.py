"""Where the local stack lives and how it is reached. Read once, passed around."""

from __future__ import annotations

import json
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

#: Everything the local stack writes, except what Cargo builds. The tests' own stack has another.
HOME = Path(os.environ.get("STACK_HOME") or ROOT / ".local")

#: Where Cargo left the functions.
TARGET = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target")
BINARIES = Path(os.environ.get("BINARIES") or TARGET / "debug")

STACK_NAME = "seatkeeper"
REGION = "us-east-1"
ACCOUNT = "000000000000"

#: Eight hexadecimal digits, the shape of the emulator's own ids. Fixed, so that the address of the
#: pages is known before the API exists.
API_ID = "5ea7c0de"

MAIL_FROM = "no-reply@seatkeeper.example"


@dataclass(frozen=True)
class Settings:
    """One local stack: the port it listens on and whether it enforces IAM policies."""

    port: int
    enforce_iam: bool

    @classmethod
    def from_environment(cls) -> Settings:
        """`PORT` (4566) and `AUTH` (`true` enforces the roles' policies)."""
        port = os.environ.get("PORT") or "4566"
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise SystemExit(f"PORT={port} is not a port from 1 to 65535")
        return cls(
            port=int(port),
            enforce_iam=(os.environ.get("AUTH") or "false").lower() == "true",
        )

    @property
    def endpoint(self) -> str:
        """Base of every AWS call."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """Base of the deployed HTTP API: a path and not a host name, because most programs do not
        resolve `*.localhost`."""
        return f"{self.endpoint}/_aws/execute-api/{API_ID}"

    @property
    def inbox_url(self) -> str:
        """Every mail the stack sent, as JSON."""
        return f"{self.endpoint}/_ministack/ses/messages"


def running_stack(path: Path) -> dict[str, str]:
    """What `up` wrote of its stack; ends the program when that stack does not answer."""
    try:
        stack: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        urllib.request.urlopen(f"{stack['aws_endpoint_url']}/_ministack/health", timeout=30).close()
    except OSError:
        raise SystemExit("The stack is not running. `make up` starts it.") from None
    return stack


def client(service: str, endpoint: str) -> Any:
    """A boto3 client of the local stack, as its root user."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
    )
