"""The sheet that is imported, and what should come of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("fr_ordinaire.xlsx")
EXPECTED = Path(__file__).with_name("fr_ordinaire.json")

#: Languages that mails are written in; any other person is written to in French here.
WRITTEN = ("en", "fr", "de")


@dataclass(frozen=True)
class Row:
    """A row of the sheet, as it should be read."""

    line: int
    email: str
    verdict: str
    person: dict[str, Any]
    start_on: str | None
    later: bool

    @property
    def outcome(self) -> str:
        """What becomes of it."""
        return "scheduled" if self.later else "created"

    @property
    def mail_language(self) -> str:
        """The language this person is written to."""
        language = self.person.get("language")
        return language if language in WRITTEN else "fr"


@dataclass(frozen=True)
class Sheet:
    """The whole of it."""

    detected: dict[str, Any]
    ignored: list[str]
    rows: list[Row]
    verdicts: dict[str, int]

    @property
    def totals(self) -> dict[str, int]:
        """How many rows have each verdict, and how many each outcome."""
        none = dict.fromkeys(("invited", "updated", "skipped", "not_seated", "failed"), 0)
        done = {"created": len(self.today), "scheduled": len(self.later)}
        return {**self.verdicts, **done, **none}

    @property
    def today(self) -> list[Row]:
        """Those who start at once."""
        return [row for row in self.rows if not row.later]

    @property
    def later(self) -> list[Row]:
        """Those who start on a later day."""
        return [row for row in self.rows if row.later]


def expected(today: date) -> Sheet:
    """What should come of the sheet when it is imported on this day."""
    entry = json.loads(EXPECTED.read_text(encoding="utf-8"))
    rows = [_row(row, today) for row in entry["rows"]]
    return Sheet(entry["detected"], entry["ignored_columns"], rows, entry["verdict_counts"])


def _row(row: dict[str, Any], today: date) -> Row:
    start_on = row.get("start_on")
    person: dict[str, Any] = {
        k: row[k] for k in ("first_name", "last_name", "language", "groups") if k in row
    }
    later = start_on is not None and date.fromisoformat(start_on) > today
    return Row(row["line"], row["email"], row["verdict"], person, start_on, later)
