"""A file that is uploaded through a form: looked at, committed, and undone."""

from __future__ import annotations

import io
import secrets

import openpyxl

from demo.http import Answer, Json, send
from demo.inbox import Due, Letter
from demo.stage import Unexpected
from demo.world import World, outcome, values

SECONDS_TO_CHECK = 30
SECONDS_TO_COMMIT = 30
SECONDS_TO_UNDO = 30

NOEMIE = "noemie.lefevre@example.fr"
BENOIT = "benoit.gauthier@example.fr"
#: As Excel on a French Windows saves a sheet as csv.
FILE = (
    "Adresse e-mail;Prénom;Nom;Groupe;Informations complémentaires\r\n"
    f"{NOEMIE};Noémie;Lefèvre;Région Nord;Arrivée à l’été\r\n"
    f"{BENOIT};Benoît;Gauthier;Paris;\r\n"
    "pas-une-adresse;Zoé;Œuvrard;;\r\n"
).encode("cp1252")


def upload(world: World) -> None:
    """Asks for a form, uploads the file, and goes through every state it can have."""
    stage = world.stage
    imports = f"{world.path}/imports"
    body = {"contract_id": world.main.contract_id, "filename": "équipe.csv", "mode": "create"}
    made = world.admin.call("POST", imports, body, expects=201)
    path = f"{imports}/{made['import_id']}"
    stage.check("state without a file", "created", made["status"])
    stage.check("status of the upload", 201, post(made["upload"], FILE).status)
    stage.say(f"équipe.csv in Windows-1252, posted to {made['upload']['url']}")

    checked = reach(world, path, "checked", SECONDS_TO_CHECK)
    stage.check("encoding", "windows-1252", checked["detected"]["encoding"])
    stage.check("valid and invalid", (2, 1), values(checked["totals"], "valid", "invalid"))
    stage.check("seats", (2, 0), values(checked["seats"], "needed", "short"))
    stage.check("mails to come", {"fr": 2}, checked["outlook"]["mails"])
    wrong = world.admin.items(f"{path}/rows", verdict="invalid")
    stage.check(
        "the invalid row", [(4, ["invalid-email"])],
        [(row["line"], [error["code"] for error in row["errors"]]) for row in wrong],
    )
    world.moved(world.main, checked["stock"], "checked")
    stage.say("preview: 2 valid, 1 invalid (line 4: invalid-email), 2 mails in French, no seat moved")
    report = world.admin.request("GET", f"{path}/report")
    stage.check("status of the report", 303, report.status)
    workbook = openpyxl.load_workbook(io.BytesIO(send("GET", report.location, {}).body))
    failed = list(workbook.worksheets[0].iter_rows(values_only=True))[1:]
    stage.check("rows to mend", ["pas-une-adresse"], [row[0] for row in failed])
    stage.say(f"report: {failed[0][0]}: {failed[0][-1]}")

    committed = world.admin.call("POST", f"{path}/commit", {}, expects=202)
    stage.check("state of the commit", "committing", committed["status"])
    done = reach(world, path, "completed", SECONDS_TO_COMMIT)
    stage.check("created and failed", (2, 1), values(done["totals"], "created", "failed"))
    world.moved(world.main, done["stock"], "committed", used=2)
    noemie = world.learner(NOEMIE)
    stage.check("accents", ("Noémie", "Lefèvre"), values(noemie, "first_name", "last_name"))
    world.inbox.expect(
        *(Due(to, Letter.CHOOSE_PASSWORD) for to in (NOEMIE, BENOIT)),
        Due(f"client_admin@{world.slug}.example", Letter.IMPORTED),
    )
    stage.say("committed: 2 accounts, each with a mail, and one to the uploader")

    world.admin.call("POST", f"{path}/undo", {}, expects=202)
    undone = reach(world, path, "undone", SECONDS_TO_UNDO)
    stage.check("undone and kept", (2, 0), values(undone["undo"], "undone", "kept"))
    world.moved(world.main, undone["stock"], "undone", used=-2)
    again = world.admin.request("POST", f"{path}/commit", {})
    stage.check("a commit now", (409, "import-not-ready"), outcome(again))
    stage.say("undone: both seats are free again")


def reach(world: World, path: str, state: str, seconds: int) -> Json:
    """Waits until the import is in this state."""
    def there() -> Json | None:
        run = world.admin.call("GET", path)
        return run if run["status"] == state else None

    run = world.stage.wait(f"the import to be {state}", there, seconds)
    if run is None:
        found = world.admin.call("GET", path)
        raise Unexpected(f"the import is {found['status']} and not {state}")
    return run


def post(upload: Json, file: bytes) -> Answer:
    """Posts a file through an upload form, as a browser would."""
    boundary = secrets.token_hex(12)
    parts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in upload["fields"].items()
    )
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = parts + head.encode() + file + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return send("POST", upload["url"], headers, body)
