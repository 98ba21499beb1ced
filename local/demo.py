"""Plays the story of Seatkeeper on the local stack and checks every number.

    python local/demo.py --stack .local/stack.json

It uses the deployed product as its users do: the API, the pages, the bucket and the mails. It can
be repeated on a stack that has data: each time it makes the next of `acme`, `acme-2`, …
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.stage import Stage
from demo.story import Story
from demo.world import World
from settings import HOME, running_stack


def main() -> None:
    """Reads the command line. Exits with 1 when anything differs."""
    parser = argparse.ArgumentParser(description="Plays the story on the local stack.")
    parser.add_argument("--stack", type=Path, default=HOME / "stack.json")
    arguments = parser.parse_args()
    stack = running_stack(arguments.stack)
    stage = Stage()
    stage.title(f"Seatkeeper at {stack['api_url']}")
    sys.exit(0 if Story(World(stack, stage)).play() else 1)


if __name__ == "__main__":
    main()
