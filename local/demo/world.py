"""What the steps of the story share: who calls, which pools there are, how they should stand."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from demo.http import Answer, Caller, Json
from demo.inbox import Inbox
from demo.scheduler import Scheduler, expression
from demo.stage import Abandoned, Stage, Stock
from settings import client as aws
from sign_in import token

PARIS = ZoneInfo("Europe/Paris")
LAUNCH_URL = "https://lms.example.com/launch"

CLIENTS_TRIED = 1000
SECONDS_FOR_A_SCHEDULE = 20


@dataclass
class Pool:
    """A contract of the story, and its stock as it should be by now."""

    name: str
    contract_id: str
    stock: Stock


class World:
    """The stack, the client of this run and what is known of it."""

    def __init__(self, stack: dict[str, str], stage: Stage) -> None:
        endpoint = stack["aws_endpoint_url"]
        self.stack = stack
        self.stage = stage
        self.started = datetime.now(UTC)
        self.inbox = Inbox(stack["inbox_url"], stage)
        self.scheduler = Scheduler(aws("scheduler", endpoint), self.started)
        self.s3 = aws("s3", endpoint)
        self.dynamodb = aws("dynamodb", endpoint)
        self.vendor = Caller(stack["api_url"], token(stack, "vendor_admin", "*"))
        self.pools: list[Pool] = []
        self.groups: dict[str, str] = {}

    @property
    def main(self) -> Pool:
        """The contract of 100 seats."""
        return self.pools[0]

    def today(self) -> date:
        """The client's day."""
        return datetime.now(PARIS).date()

    def make_client(self) -> None:
        """Makes the first of `acme`, `acme-2`, … that is free."""
        for number in range(1, CLIENTS_TRIED):
            self.slug = "acme" if number == 1 else f"acme-{number}"
            name = "Acme" if number == 1 else f"Acme {number}"
            body = {
                "client_id": self.slug,
                "name": name,
                "default_language": "fr",
                "time_zone": PARIS.key,
                "launch_url": LAUNCH_URL,
                "branding": {"color": "#0b6e4f", "from_name": name},
            }
            answer = self.vendor.request("POST", "/v1/clients", body)
            if answer.status == 201:
                break
            if outcome(answer) != (409, "client-exists"):
                raise Abandoned(f"POST /v1/clients: {answer.status} {answer.text[:600]}")
        else:
            raise Abandoned("no client id is free")
        self.path = f"/v1/clients/{self.slug}"
        self.landing_page = f"{self.stack['page_url']}/{self.slug}"
        self.inbox.belongs_to(name)
        api = self.stack["api_url"]
        self.admin = Caller(api, token(self.stack, "client_admin", self.slug))
        self.lms = Caller(api, token(self.stack, "service", self.slug))
        for field in ("client_id", "name", "default_language", "time_zone", "launch_url"):
            self.stage.check(f"{field} of the client", body[field], answer.json.get(field))
        self.stage.say(f"client {self.slug}: French, {PARIS.key}")

    def make_contract(self, name: str, seats: int, policies: Json | None = None) -> Pool:
        """Has the vendor make a contract, and checks its stock."""
        today = self.today()
        body: Json = {
            "reference": f"{self.slug.upper()}-{name}",
            "seats": seats,
            "starts_on": min(date(2026, 1, 1), today).isoformat(),
            # Far enough for the last start date of the sheet.
            "ends_on": max(date(2028, 12, 31), today + timedelta(days=365)).isoformat(),
            "modules": ["excel", "word"],
            "policies": policies or {},
        }
        made = self.vendor.call("POST", f"{self.path}/contracts", body, expects=201)
        pool = Pool(body["reference"], made["contract_id"], Stock(total=seats))
        self.pools.append(pool)
        self.stage.check("modules", ["excel", "word"], sorted(made["modules"]))
        self.stage.say(f"contract {pool.name}: {seats} seats")
        self.stage.stock(pool.name, pool.stock, made["stock"], "signed")
        return pool

    def make_group(self, name: str) -> None:
        """Makes a group."""
        group = self.admin.call("POST", f"{self.path}/groups", {"name": name}, expects=201)
        self.stage.check("name of the group", name, group["name"])
        self.groups[name] = group["group_id"]

    def person(
        self, pool: Pool, email: str, first: str, last: str, group: str, **more: Any
    ) -> Json:
        """The body of a call that creates someone."""
        return {
            "contract_id": pool.contract_id,
            "email": email,
            "first_name": first,
            "last_name": last,
            "group_ids": [self.groups[group]],
            **more,
        }

    def seated(self, pool: Pool, made: Json, state: str, after: str = "", **deltas: int) -> None:
        """Checks a created learner's seat and the stock after it."""
        self.stage.check("seat", (pool.contract_id, state), values(made["seat"], "pool", "state"))
        self.moved(pool, made["stock"], after, **deltas)

    def moved(self, pool: Pool, found: Json | None, after: str = "", **deltas: int) -> None:
        """Checks a pool's stock after an action; asks for it when no answer told it."""
        pool.stock = pool.stock.moved(**deltas)
        found = self.stock(pool) if found is None else found
        self.stage.stock(pool.name, pool.stock, found, after)

    def stock(self, pool: Pool) -> Json:
        """A pool's stock as the API tells it."""
        found: Json = self.admin.call("GET", f"{self.path}/contracts/{pool.contract_id}")["stock"]
        return found

    def learner(self, email: str) -> Json:
        """Someone of the client, by address; empty when there is nobody."""
        found = self.admin.items(f"{self.path}/learners", email=email)
        return found[0] if found else {}

    def scheduled(self, pool: Pool, opens: datetime) -> None:
        """Checks that Scheduler will open this cohort."""
        stage = self.stage
        found = stage.wait(
            "its schedule",
            lambda: self.scheduler.cohort(self.slug, pool.contract_id, opens),
            SECONDS_FOR_A_SCHEDULE,
        )
        if found is None:
            stage.check(f"schedule of {pool.name}", expression(opens), None)
            return
        stage.check("expression of the schedule", expression(opens), found.expression)
        stage.check("the schedule after it fires", "DELETE", found.after_completion)
        stage.say(f"schedule {found.expression} in group {found.group}")

    def launched(self, url: str) -> Json:
        """Checks where a learner lands, and lets the LMS exchange the ticket, which works once."""
        stage = self.stage
        parts = urllib.parse.urlsplit(url)
        stage.check("where the learner lands", LAUNCH_URL, parts._replace(query="").geturl())
        ticket = urllib.parse.parse_qs(parts.query).get("ticket", [""])[0]
        if not stage.check("a ticket", True, bool(ticket)):
            return {}
        path = f"/v1/tickets/{urllib.parse.quote(ticket, safe='')}"
        answer = self.lms.call("POST", path)
        for name in ("learner", "seats", "groups", "roles"):
            stage.check(f"{name} in the ticket", True, name in answer)
        stage.check("the ticket again", 404, self.lms.request("POST", path).status)
        found: Json = answer["learner"]
        return found


def outcome(answer: Answer) -> tuple[int, str]:
    """Status and problem code."""
    return answer.status, answer.code


def values(of: Json, *names: str) -> tuple[Any, ...]:
    """Some fields of an object; `None` for one it lacks."""
    return tuple(of.get(name) for name in names)


def midnight(day: date) -> datetime:
    """When a day begins for the client."""
    return datetime(day.year, day.month, day.day, tzinfo=PARIS).astimezone(UTC)


def rfc3339(instant: datetime) -> str:
    """An instant as the API writes it."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
