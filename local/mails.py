"""Prints the mails that the local stack sent, the newest last.

    python local/mails.py [--to ada@globex.example] [--last 10]

Of each: when it went out (UTC), to whom, its subject, and the links of its text part. With `--to`
only the mails to that address, with the whole text part.
"""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from demo.http import Json, send
from settings import HOME, running_stack


def sent(stack: dict[str, str]) -> list[Json]:
    """Every mail in the inbox, oldest first."""
    answer = json.loads(send("GET", stack["inbox_url"], {}).body)
    found = [message for account in answer["messages"].values() for message in account]
    return sorted(found, key=lambda message: float(message["Timestamp"]))


def receivers(message: Json) -> list[str]:
    """Whom a mail went to."""
    return [*message["To"], *message["CC"], *message["BCC"]]


def show(message: Json, whole: bool) -> None:
    """Prints one mail: its links, or the whole text part."""
    at = datetime.fromtimestamp(float(message["Timestamp"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    print(f"{at}  {', '.join(receivers(message))}  {message['Subject']}")
    text = message["BodyText"] or ""
    if whole:
        print(f"\n{textwrap.indent(text.strip(), '    ')}\n")
        return
    for link in re.findall(r"https?://\S+", text):
        print(f"    {link}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Prints the mails of the local stack.")
    parser.add_argument("--stack", type=Path, default=HOME / "stack.json")
    parser.add_argument("--to", default="")
    parser.add_argument("--last", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.last < 1:
        parser.error("argument --last: a number from 1 on")
    to = arguments.to.strip().casefold()
    mails = [
        message
        for message in sent(running_stack(arguments.stack))
        if not to or to in (address.casefold() for address in receivers(message))
    ]
    for message in mails[-arguments.last :]:
        show(message, whole=bool(to))
    if not mails:
        print(f"No mail went to {arguments.to}." if to else "No mail went out.")


if __name__ == "__main__":
    main()
