"""The proof at the end: what the counters say is what there is, and how it came about."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from demo.http import Json
from demo.world import World, rfc3339

PARTS = ("available", "allocated", "held", "used", "spent")


def counters(world: World) -> None:
    """Checks every pool's sum, and its counters against seats, invitations and codes one by one."""
    stage, admin, path = world.stage, world.admin, world.path
    held, used = _counted(world)
    contracts = {contract["contract_id"]: contract for contract in admin.items(f"{path}/contracts")}
    known = {pool.contract_id for pool in world.pools}
    stage.check("contracts", sorted(known), sorted(contracts))
    for pool in world.pools:
        stock = contracts[pool.contract_id]["stock"]
        stage.stock(pool.name, pool.stock, stock)
        stage.check(f"{pool.name}: sum", stock["total"], sum(stock[part] for part in PARTS))
        stage.check(f"{pool.name}: used, counted", used[pool.contract_id], stock["used"])
        stage.check(f"{pool.name}: held, counted", held[pool.contract_id], stock["held"])
    stage.say("total = available + allocated + held + used + spent")
    stage.say("used: the open seats; held: scheduled seats, open invitations and unused codes")


def _counted(world: World) -> tuple[Counter[str], Counter[str]]:
    """Held and used seats of each pool, counted one by one."""
    held: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for learner in world.admin.items(f"{world.path}/learners"):
        for seat in learner["seats"]:
            if seat["state"] == "scheduled":
                held[seat["pool"]] += 1
            elif seat["state"] in ("active", "suspended"):
                used[seat["pool"]] += 1
    for invitation in world.admin.items(f"{world.path}/invitations", status="pending"):
        held[invitation["contract_id"]] += 1
    for batch in world.admin.items(f"{world.path}/codes"):
        if batch["kind"] == "redemption" and batch["state"] != "revoked":
            held[batch["contract_id"]] += batch["count"] - batch["redeemed"]
    return held, used


def trail(world: World) -> None:
    """Adds up the trail of each pool."""
    stage = world.stage
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    records: Counter[str] = Counter()
    since = rfc3339(world.started - timedelta(seconds=5))
    for record in world.admin.items(f"{world.path}/audit", since=since):
        records[record["pool"]] += 1
        for counter, by in record["delta"].items():
            sums[record["pool"]][counter] += by
    known = {pool.contract_id for pool in world.pools}
    stage.check("pools in the trail", sorted(known), sorted(records))
    for pool in world.pools:
        counter = sums[pool.contract_id]
        found = {name: counter[name] for name in ("total", *PARTS)}
        stage.stock(pool.name, pool.stock, found, f"from {records[pool.contract_id]} records")


def outbox(world: World) -> None:
    """Looks into the table: no mail of this client that is due was left, given up or in doubt."""
    stage = world.stage
    now = datetime.now(UTC)
    later = 0
    for mail in _items(world, "mail"):
        if datetime.fromisoformat(mail["due_at"]) > now:
            later += 1
            continue
        what = "mails left, in doubt or refused"
        left = _mails(mail) - mail["next"]
        stage.check(what, (0, [], []), (left, mail["unknown"], mail.get("refused", [])))
    stage.say(f"nothing that is due is left in the outbox; {later} letters wait for their day")


def _mails(mail: Json) -> int:
    """How many mails an item of the outbox owes: listed, or a mark for each learner of a record (`12n-` is twelve)."""
    if "subjects" in mail:
        return len(mail["subjects"])
    runs = re.findall(r"(\d*)(\D)", mail["letters"])
    return sum(int(count or 1) for count, mark in runs if mark != "-")


def _items(world: World, kind: str) -> list[Json]:
    """The client's items of a kind, as the table holds them."""
    from boto3.dynamodb.types import TypeDeserializer

    plain = TypeDeserializer().deserialize
    pages = world.dynamodb.get_paginator("scan").paginate(
        TableName=world.stack["table"],
        FilterExpression="kind = :kind AND client_id = :client",
        ExpressionAttributeValues={":kind": {"S": kind}, ":client": {"S": world.slug}},
        ConsistentRead=True,
    )
    found = [item for page in pages for item in page["Items"]]
    return [{name: plain(value) for name, value in item.items()} for item in found]
