"""What the demo prints, and what it found to be as expected or not."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")

#: Where the story is told, and where a step that breaks off is best looked up.
TOLD = ("story.py", "imported.py", "proof.py")

SECONDS_BETWEEN_LOOKS = 0.3
SECONDS_BETWEEN_LINES = 15


@dataclass(frozen=True)
class Stock:
    """A pool's counters, as they should be."""

    total: int
    held: int = 0
    used: int = 0
    allocated: int = 0
    spent: int = 0

    @property
    def available(self) -> int:
        """Seats that can be given."""
        return self.total - self.allocated - self.held - self.used - self.spent

    def moved(self, **deltas: int) -> Stock:
        """The stock after a movement of these counters."""
        return replace(self, **{name: getattr(self, name) + by for name, by in deltas.items()})

    def as_answer(self) -> dict[str, int]:
        """The API's `stock` object."""
        names = ("total", "available", "allocated", "held", "used", "spent")
        return {name: getattr(self, name) for name in names}


class Unexpected(Exception):
    """An answer that the story cannot use. The text says what was expected and what came."""


class Abandoned(Exception):
    """The story cannot go on."""


class Stage:
    """Prints the story and counts what differs."""

    def __init__(self) -> None:
        self.checks = 0
        self.differences: list[str] = []
        self._step = 0
        self._started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._colored = self._terminal and not os.environ.get("NO_COLOR")

    # Words

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step of the story. Whatever breaks in it is a difference, and the story goes on."""
        self._step += 1
        print(f"\n{self._paint('1', f'{self._step:>2}  {title}')}", flush=True)
        try:
            yield
        except Abandoned:
            raise
        except Exception as error:  # noqa: BLE001 - the next steps are worth seeing too
            frames = traceback.extract_tb(error.__traceback__)
            told = [f for f in frames if os.path.basename(f.filename) in TOLD] or frames
            where = f"{os.path.basename(told[-1].filename)}:{told[-1].lineno}"
            kind = "" if isinstance(error, Unexpected) else f"{type(error).__name__}: "
            self._differs(f"the step broke off at {where}: {kind}{error}")

    def say(self, text: str) -> None:
        """One line of what happened."""
        print(f"    {text}", flush=True)

    def mail(self, to: str, language: str, subject: str) -> None:
        """One mail that went out."""
        print("    " + self._paint("36", f"mail  {to:<31} {language}  {subject}"), flush=True)

    def title(self, text: str) -> None:
        """A heading without a number."""
        print(f"\n{self._paint('1', text)}", flush=True)

    # Checks

    def check(self, what: str, expected: object, found: object) -> bool:
        """Whether `found` is what it should be. Says so only when it is not."""
        self.checks += 1
        if expected == found:
            return True
        self._differs(f"{what}: expected {_shown(expected)}, found {_shown(found)}")
        return False

    def stock(self, pool: str, expected: Stock, found: dict[str, Any] | None, after: str = "") -> None:
        """Prints a pool's stock and what it follows, and checks each counter."""
        found = found or {}
        numbers = "  ".join(f"{name} {found.get(name, '?'):>3}" for name in expected.as_answer())
        follows = f"  {self._paint('2', after)}" if after else ""
        print(f"    {self._paint('2', 'stock')} {pool:<11} {numbers}{follows}", flush=True)
        self.checks += 1
        wrong = {
            name: (number, found.get(name))
            for name, number in expected.as_answer().items()
            if number != found.get(name)
        }
        for name, (number, there) in wrong.items():
            self._differs(f"{pool}: {name}: expected {number}, found {there}")

    def wait(self, for_what: str, look: Callable[[], T | None], seconds: float) -> T | None:
        """Looks until there is something, or time is up; shows that it waits."""
        started = time.monotonic()
        next_line = started + (1 if self._terminal else SECONDS_BETWEEN_LINES)
        try:
            while True:
                found = look()
                if found is not None:
                    return found
                now = time.monotonic()
                if now > started + seconds:
                    return None
                if now > next_line:
                    self._waiting(f"waiting for {for_what}: {now - started:.0f} s")
                    next_line = now + (1 if self._terminal else SECONDS_BETWEEN_LINES)
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            if self._terminal:
                print("\r\033[K", end="", flush=True)

    def summary(self, addresses: Iterable[tuple[str, str]]) -> bool:
        """Prints what came of it and where to look. Returns whether all was as expected."""
        self.title("Where to look")
        for name, address in addresses:
            self.say(f"{name:<16} {address}")
        self.title("Summary")
        seconds = time.monotonic() - self._started
        right = self.checks - len(self.differences)
        if not self.differences:
            text = self._paint("32", f"{self.checks} checks, all as expected")
            self.say(f"{text}, in {seconds:.0f} s.")
            return True
        count = len(self.differences)
        text = self._paint("31", f"{count} difference{'' if count == 1 else 's'}")
        self.say(f"{text}, {max(right, 0)} checks as expected, in {seconds:.0f} s:")
        for difference in self.differences:
            self.say(f"- {difference}")
        return False

    def _differs(self, text: str) -> None:
        self.differences.append(f"step {self._step}: {text}")
        print("    " + self._paint("31", f"WRONG {text}"), flush=True)

    def _waiting(self, text: str) -> None:
        if self._terminal:
            print(f"\r\033[K    {self._paint('2', text)}", end="", flush=True)
        else:
            self.say(text)

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colored else text


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"
