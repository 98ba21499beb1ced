"""EventBridge Scheduler, looked at only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """A one-time schedule of a cohort."""

    name: str
    group: str
    expression: str
    after_completion: str
    asks: dict[str, Any]


class Scheduler:
    """The schedules made since the demo began."""

    def __init__(self, client: Any, since: datetime) -> None:
        self._client = client
        self._since = since - timedelta(seconds=2)

    def cohort(self, client: str, pool: str, instant: datetime) -> Schedule | None:
        """The schedule that opens this pool's seats at this instant, if there is one."""
        for schedule in self._all():
            asks = schedule.asks
            if (asks.get("client"), asks.get("pool")) != (client, pool):
                continue
            if datetime.fromisoformat(asks["instant"]) == instant:
                return schedule
        return None

    def _all(self) -> list[Schedule]:
        found = []
        for page in self._client.get_paginator("list_schedules").paginate():
            for summary in page["Schedules"]:
                if summary["CreationDate"] < self._since:
                    continue
                schedule = self._get(summary["Name"], summary["GroupName"])
                if schedule:
                    found.append(schedule)
        return found

    def _get(self, name: str, group: str) -> Schedule | None:
        try:
            schedule = self._client.get_schedule(Name=name, GroupName=group)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        try:
            asks = json.loads(schedule["Target"].get("Input") or "{}")
        except ValueError:
            asks = {}
        if asks.get("kind") != "activate":
            return None
        return Schedule(
            name=name,
            group=group,
            expression=schedule["ScheduleExpression"],
            after_completion=schedule.get("ActionAfterCompletion", "NONE"),
            asks=asks,
        )


def expression(instant: datetime) -> str:
    """How a one-time schedule names an instant."""
    return f"at({instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S})"
