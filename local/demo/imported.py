"""The sheet that is dropped into the bucket, and whether what came of it is right."""

from __future__ import annotations

import io
from datetime import date

import openpyxl

from demo import sheet
from demo.http import Json, send
from demo.inbox import Due, Letter
from demo.stage import Unexpected
from demo.world import Pool, World, midnight, values

SECONDS_TO_IMPORT = 60

#: States in which an import that was dropped has not come to its end.
MOVING = ("created", "checking", "checked", "committing")


def drop(world: World) -> None:
    """Drops the sheet, waits for its import and checks every row, seat and mail of it."""
    stage = world.stage
    wanted = sheet.expected(world.today())
    key = f"drop/{world.slug}/{world.main.contract_id}/{sheet.FILE.name}"
    bucket = world.stack["upload_bucket"]
    world.s3.put_object(Bucket=bucket, Key=key, Body=sheet.FILE.read_bytes())
    stage.say(f"s3://{bucket}/{key}")
    run = stage.wait("the import", lambda: _at_rest(world, key), SECONDS_TO_IMPORT)
    if run is None:
        raise Unexpected(f"the import did not come to rest: {_of(world, key)}")
    stage.say(f"import {run['status']}, {run['progress']['rows_done']} rows")
    _check_run(world, run, wanted)
    _check_rows(world, run["import_id"], wanted)
    world.moved(
        world.main, run["stock"], "imported", used=len(wanted.today), held=len(wanted.later)
    )
    _check_report(world, run["import_id"], wanted)
    world.inbox.expect(
        *(Due(row.email, Letter.CHOOSE_PASSWORD, row.mail_language) for row in wanted.today)
    )
    world.inbox.nothing_to(row.email for row in wanted.later)
    stage.say("nobody who starts later was written to")
    for day in sorted({date.fromisoformat(row.start_on or "") for row in wanted.later}):
        world.scheduled(world.main, midnight(day))


def of_cohort(number: int) -> str:
    """The address of one who starts with many others."""
    return f"cohort.{number}@example.fr"


def drop_cohort(world: World, pool: Pool, count: int, day: date) -> Json:
    """Drops a list of people who all start on this day and are not told, and waits for its import."""
    rows = "".join(f"{of_cohort(number)};Élève {number}\n" for number in range(count))
    key = f"drop/{world.slug}/{pool.contract_id}/cohort.csv"
    settings = {"start-on": day.isoformat(), "notify": "no"}
    body = f"email;prénom\n{rows}".encode()
    world.s3.put_object(Bucket=world.stack["upload_bucket"], Key=key, Body=body, Metadata=settings)
    run = world.stage.wait("the import", lambda: _at_rest(world, key), SECONDS_TO_IMPORT)
    if run is None:
        raise Unexpected(f"the import did not come to rest: {_of(world, key)}")
    return run


def _of(world: World, key: str) -> list[Json]:
    return [run for run in world.admin.items(f"{world.path}/imports") if run["key"] == key]


def _at_rest(world: World, key: str) -> Json | None:
    for run in _of(world, key):
        if run["status"] not in MOVING:
            return world.admin.call("GET", f"{world.path}/imports/{run['import_id']}")
    return None


def _check_run(world: World, run: Json, wanted: sheet.Sheet) -> None:
    stage = world.stage
    stage.check("status of the import", "completed", run["status"])
    for name, value in wanted.detected.items():
        stage.check(f"detected {name}", value, run["detected"].get(name))
    ignored = [c["heading"] for c in run["detected"]["columns"] if c["field"] is None]
    stage.check("ignored columns", wanted.ignored, ignored)
    rows = len(wanted.rows)
    stage.check("progress", (rows, rows), values(run["progress"], "rows_total", "rows_done"))
    totals = wanted.totals
    stage.check("totals", totals, {name: run["totals"].get(name) for name in totals})
    stage.check("seats", (rows, 0), values(run["seats"], "needed", "short"))


def _check_rows(world: World, import_id: str, wanted: sheet.Sheet) -> None:
    stage = world.stage
    rows = {row["line"]: row for row in world.admin.items(f"{world.path}/imports/{import_id}/rows")}
    stage.check("lines", [row.line for row in wanted.rows], sorted(rows))
    for row in wanted.rows:
        found = rows.get(row.line, {})
        stage.check(
            f"row {row.line}",
            (row.email, row.verdict, row.outcome, []),
            values(found, "email", "verdict", "outcome", "errors"),
        )
        _check_person(world, row)
        when = f", from {row.start_on}" if row.later else ""
        stage.say(f"line {row.line}  {row.email:<28}  {found.get('outcome')}{when}")


def _check_person(world: World, row: sheet.Row) -> None:
    stage = world.stage
    names = {group_id: name for name, group_id in world.groups.items()}
    learner = world.learner(row.email)
    groups = sorted(names.get(group, group) for group in learner.get("group_ids", []))
    person = {**learner, "groups": groups}
    parsed = {name: person.get(name) for name in row.person}
    stage.check(f"person of row {row.line}", row.person, parsed)
    seats = [values(seat, "pool", "state", "starts_on") for seat in learner.get("seats", [])]
    state = ("scheduled", row.start_on) if row.later else ("active", None)
    stage.check(f"seat of row {row.line}", [(world.main.contract_id, *state)], seats)


def _check_report(world: World, import_id: str, wanted: sheet.Sheet) -> None:
    stage = world.stage
    answer = world.admin.request("GET", f"{world.path}/imports/{import_id}/report")
    stage.check("status of the report", 303, answer.status)
    workbook = openpyxl.load_workbook(io.BytesIO(send("GET", answer.location, {}).body))
    stage.check("sheets of the report", 2, len(workbook.sheetnames))
    rows, totals = (list(one.iter_rows(values_only=True)) for one in workbook.worksheets)
    uploaded = next(openpyxl.load_workbook(sheet.FILE).worksheets[0].iter_rows(values_only=True))
    stage.check("heading of the report", (*uploaded, "line", "status", "error", "hint"), rows[0])
    stage.check("failed rows in the report", [], rows[1:])
    # The number of rows, then each verdict and outcome.
    numbers = sum(row[1] for row in totals)
    stage.check("totals in the report", 3 * len(wanted.rows), numbers)
    bucket, key = world.stack["report_bucket"], f"reports/{world.slug}/{import_id}.xlsx"
    stored = world.s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    stage.check("object of the report", [key], [entry["Key"] for entry in stored])
    stage.say(f"report: s3://{bucket}/{key}")
