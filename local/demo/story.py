"""The story, step by step."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, date, datetime, timedelta

from demo import imported, proof, sheet, uploaded
from demo.http import Answer, Json, open_page, send, submit
from demo.inbox import Due, Letter, Mail
from demo.stage import Abandoned, Stage, Unexpected
from demo.world import PARIS, Pool, World, midnight, outcome, rfc3339, values

PASSWORD = "trois petits chats"

#: Seats that open at one moment, beside Sami's; one of them is cancelled before, and one moved.
COHORT = 200
OPENED = COHORT - 1
SECONDS_TO_DROP_A_COHORT = 30
#: The local Scheduler looks every ten seconds.
SECONDS_TO_OPEN = 60
SECONDS_FOR_A_SCHEDULE_TO_END = 20
SECONDS_FOR_NEWS = 20
#: Long enough for a mail that went out twice to be seen.
SECONDS_OF_SILENCE = 3

CAMILLE = "camille.roux@example.fr"
PAUL = "paul.martin@example.com"
LEA = "lea.bernard@example.fr"
HUGO = "hugo.petit@example.fr"
JADE = "jade.moreau@example.fr"
#: The address that was meant.
JADE_AT_HOME = "jade.moreau@example.com"
#: SES's mailbox simulator: what becomes of a mail stands in its address.
ARRIVES = "success@simulator.amazonses.com"
BOUNCES = "bounce@simulator.amazonses.com"
COMPLAINS = "complaint@simulator.amazonses.com"
MENDED = "chloe.marchand@example.fr"
SAMI = "sami.garcia@example.fr"
ROSE = "rose.fontaine@example.fr"
JADE = "jade.simon@example.fr"
NINA = "nina.lopez@example.fr"
OMAR = "omar.haddad@example.fr"
#: The first has an account by then.
FOUR = (CAMILLE, "yann.colin@example.fr", "alba.simon@example.fr", "ivan.leroy@example.fr")
FIFTH = "eva.morel@example.fr"
#: Three who start on one day.
WAVE = ("lou.garnier@example.fr", "tom.lambert@example.fr", "zoe.fabre@example.fr")
#: Two whom a code is mailed to.
MIA = "mia.faure@example.fr"
NOE = "noe.blanc@example.fr"


class Story:
    """Plays the steps in order. A step that breaks off is a difference; the next is played."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stage: Stage = world.stage
        self.opens = world.started
        self.pages: dict[str, str] = {}
        self.codes: dict[str, Json] = {}
        self.four: Pool | None = None

    def play(self) -> bool:
        """Plays everything. Returns whether every number was as it should be."""
        try:
            self._client()
            self._two_accounts()
            self._soon()
            self._invitations()
            self._wrong_address()
            self._delivery()
            self._forgotten_password()
            self._import()
            self._upload()
            self._issue_codes()
            self._redeem_codes()
            self._steer_codes()
            self._start_date()
            self._order()
            self._four_seats()
            self._opened()
            self._renewed()
            self._whole_date()
            self._proof()
        except Abandoned as error:
            self.stage.check("the story", "told to its end", str(error))
        return self.stage.summary(self._addresses())

    def _client(self) -> None:
        world, stage = self.world, self.stage
        with stage.step("The vendor signs a client and its contract"):
            world.make_client()
            world.make_contract("100", 100)
            for name in ("Paris", "Région Nord"):
                world.make_group(name)
            stage.say(f"groups: {', '.join(world.groups)}")
        if not world.pools or len(world.groups) < 2:
            raise Abandoned("there is no contract to go on with")

    def _two_accounts(self) -> None:
        world, stage = self.world, self.stage
        path = f"{world.path}/learners"
        mails: list[Mail] = []
        with stage.step("Two accounts are created, to start today"):
            camille = world.person(
                world.main, CAMILLE, "Camille", "Roux", "Paris", generate_password=True
            )
            key = world.admin.new_key()
            first = world.admin.call("POST", path, camille, expects=201, key=key)
            stage.say(f"{CAMILLE}: with a generated password")
            world.seated(world.main, first, "active", "Camille created", used=1)

            again = world.admin.call("POST", path, camille, expects=201, key=key)
            stage.say("the call again, with the same Idempotency-Key: the same answer")
            for name in ("learner", "seat", "stock"):
                stage.check(f"{name} of the replay", first[name], again[name])
            other = world.admin.request("POST", path, {**camille, "first_name": "Carole"}, key)
            stage.check(
                "another body under that key", (422, "idempotency-key-reused"), outcome(other)
            )
            world.moved(world.main, None, "sent again")

            paul = world.person(world.main, PAUL, "Paul", "Martin", "Région Nord", language="en")
            made = world.admin.call("POST", path, paul, expects=201)
            stage.say(f"{PAUL}: with a link to choose a password, in English")
            world.seated(world.main, made, "active", "Paul created", used=1)
            mails = world.inbox.expect(
                Due(CAMILLE, Letter.PASSWORD), Due(PAUL, Letter.CHOOSE_PASSWORD, "en")
            )
        if len(mails) == 2:
            with stage.step("Both sign in for the first time"):
                self._generated_password(mails[0])
                self._chosen_password(mails[1])

    def _generated_password(self, mail: Mail) -> None:
        """Camille signs in with the password of her mail, and has to choose her own."""
        stage = self.stage
        signed_in = self._sign_in(CAMILLE, mail.password)
        stage.check("status of the sign-in", 200, signed_in.status)
        page = signed_in.json.get("launch_url", "")
        stage.check("where she must choose a password", True, "/p/" in page)
        answer = submit(open_page(page)[1][0], password=PASSWORD)
        stage.check("status of the form", 303, answer.status)
        self.world.launched(answer.location)
        again = self._sign_in(CAMILLE, mail.password)
        stage.check("the mailed password again", (401, "unauthorized"), outcome(again))
        stage.say("Camille has to choose her own password, and reaches the LMS")

    def _chosen_password(self, mail: Mail) -> None:
        """Paul follows his link, chooses a password and signs in with it."""
        stage = self.stage
        link = mail.link("p")
        stage.check("the link of the mail", True, link.startswith(self.world.stack["page_url"]))
        answer = submit(open_page(link)[1][0], password=PASSWORD)
        stage.check("status of the form", 303, answer.status)
        signed_in = self._sign_in(PAUL, PASSWORD)
        stage.check("status of the sign-in", 200, signed_in.status)
        learner = self.world.launched(signed_in.json.get("launch_url", ""))
        stage.check("address in the ticket", PAUL, learner.get("email"))
        stage.say("Paul follows his link, chooses a password, signs in and reaches the LMS")

    def _sign_in(self, email: str, password: str) -> Answer:
        body = {"client": self.world.slug, "email": email, "password": password}
        headers = {"Content-Type": "application/json"}
        url = f"{self.world.stack['api_url']}/v1/sign-in"
        return send("POST", url, headers, json.dumps(body).encode())

    def _soon(self) -> None:
        world, stage = self.world, self.stage
        with stage.step("An account that starts in a minute or two"):
            local = datetime.now(PARIS) + timedelta(seconds=SECONDS_TO_DROP_A_COHORT)
            local = local.replace(second=0, microsecond=0) + timedelta(minutes=1)
            self.opens = local.astimezone(UTC)
            live = world.make_contract("LIVE", COHORT + 10, {"opens_at": f"{local:%H:%M}"})
            body = world.person(live, SAMI, "Sami", "Garcia", "Paris")
            body["start_on"] = local.date().isoformat()
            made = world.admin.call("POST", f"{world.path}/learners", body, expects=201)
            stage.say(f"{SAMI}: held until {local:%H:%M} in Paris")
            world.seated(live, made, "scheduled", "Sami scheduled", held=1)
            world.scheduled(live, self.opens)
        with stage.step(f"{COHORT} more for the same moment; one is cancelled, and one moved"):
            self._cohort(live, local.date())
            stage.say("the story goes on meanwhile")

    def _cohort(self, live: Pool, day: date) -> None:
        world, stage = self.world, self.stage
        run = imported.drop_cohort(world, live, COHORT, day)
        stage.check("scheduled", COHORT, run["totals"]["scheduled"])
        world.moved(live, run["stock"], f"{COHORT} imported", held=COHORT)
        cancelled, moved = (imported.of_cohort(number) for number in (0, 1))
        path = f"{world.path}/learners/{world.learner(cancelled)['learner_id']}/seats/{live.contract_id}/release"
        world.moved(live, world.admin.call("POST", path)["stock"], "one cancelled", held=-1)
        path = f"{world.path}/learners/{world.learner(moved)['learner_id']}"
        later = {"start_on": (day + timedelta(days=1)).isoformat()}
        found = world.admin.call("PATCH", path, later)
        stage.check("the day it was moved to", later["start_on"], found["seats"][0]["starts_on"])
        world.moved(live, None, "one moved to the next day")

    def _invitations(self) -> None:
        world, stage = self.world, self.stage
        mails: list[Mail] = []
        with stage.step("Three people are invited in one call, one of them twice"):
            body = {
                "contract_id": world.main.contract_id,
                "emails": f"{LEA}; {HUGO}; {LEA.upper()} ; {JADE}",
                "group_ids": [world.groups["Paris"]],
                "message": "À lundi !",
            }
            answer = world.admin.call("POST", f"{world.path}/invitations", body)
            stage.check(
                "results",
                [(LEA, "invited"), (HUGO, "invited"), (LEA, "duplicate"), (JADE, "invited")],
                [(result["email"], result["outcome"]) for result in answer["results"]],
            )
            for result in answer["results"]:
                stage.say(f"{result['email']}: {result['outcome']}")
            world.moved(world.main, answer["stock"], "three invited", held=3)
            mails = world.inbox.expect(*(Due(to, Letter.INVITATION) for to in (LEA, HUGO, JADE)))
        with stage.step("One of them accepts through the link in her mail"):
            if len(mails) != 3:
                raise Unexpected("there is no link to follow")
            self.pages["invitation page"] = mails[1].link("i")
            link = mails[0].link("i")
            page, forms = open_page(link)
            stage.check("language of the page", True, '<html lang="fr"' in page.text)
            done = submit(forms[0], first_name="Léa", last_name="Bernard", password=PASSWORD)
            stage.check("status of the form", 303, done.status)
            learner = world.launched(done.location)
            stage.check("who arrived", (LEA, "Léa"), values(learner, "email", "first_name"))
            stage.say("she fills the form and lands on the LMS, which exchanges her ticket once")
            again = send("GET", link, {"Accept": "application/json"})
            stage.check("the link again", (409, "already-accepted"), outcome(again))
            world.moved(world.main, None, "Léa accepted", held=-1, used=1)

    def _wrong_address(self) -> None:
        """Jade's address was mistyped: the seat stays, the link is a new one."""
        world, stage = self.world, self.stage
        with stage.step("The address of an invitation was wrong, and is changed"):
            path = f"{world.path}/invitations"
            pending = world.admin.items(path, status="pending")
            found = next(one for one in pending if one["email"] == JADE)
            one = f"{path}/{found['invitation_id']}"
            body = {"email": JADE_AT_HOME}
            changed = world.admin.call("PATCH", one, body)
            stage.check(
                "the invitation",
                (found["invitation_id"], JADE_AT_HOME, "pending"),
                values(changed, "invitation_id", "email", "status"),
            )
            world.moved(world.main, changed["stock"], "address changed")
            first = next(m for m in world.inbox.mails() if m.to == JADE).link("i")
            again = send("GET", first, {"Accept": "application/json"})
            stage.check("the first link", (410, "gone"), outcome(again))
            mails = world.inbox.expect(Due(JADE_AT_HOME, Letter.INVITATION))
            opened = send("GET", mails[0].link("i"), {"Accept": "application/json"})
            stage.check("the new link", JADE_AT_HOME, opened.json.get("email"))
            world.admin.call("PATCH", one, body)
            taken = world.admin.request("PATCH", one, {"email": HUGO})
            stage.check("an address that is invited", (409, "conflict"), outcome(taken))
            reminded = world.admin.call("POST", f"{path}/remind", {})
            stage.check("reminders on the first day", 0, reminded["reminded"])
            stage.say(f"{JADE} becomes {JADE_AT_HOME}: same seat, new link, the old one is dead")

    def _delivery(self) -> None:
        """What SES tells of a mail stands on its invitation; who complained is not written to again."""
        world, stage = self.world, self.stage
        path = f"{world.path}/invitations"
        three = (ARRIVES, BOUNCES, COMPLAINS)
        with stage.step("SES tells what became of three mails"):
            body = {"contract_id": world.main.contract_id, "emails": list(three)}
            answer = world.admin.call("POST", path, body)
            ids = [result.get("invitation_id") for result in answer["results"]]
            world.moved(world.main, answer["stock"], "three invited", held=3)
            world.inbox.expect(*(Due(to, Letter.INVITATION) for to in three))
            for one, news in zip(ids, ("delivered", "bounced", "complained"), strict=True):
                self._hear(f"{path}/{one}", news)
            bounced = [one["email"] for one in world.admin.items(path, delivery="bounced")]
            stage.check("addresses to mend", [BOUNCES], bounced)
            stage.say("delivered, bounced and complained, each on its invitation")

            mended = world.admin.call("PATCH", f"{path}/{ids[1]}", {"email": MENDED})
            stage.check("the seat of the mended one", "pending", mended["status"])
            world.inbox.expect(Due(MENDED, Letter.INVITATION))
            self._hear(f"{path}/{ids[1]}", "delivered")
            world.admin.call("POST", f"{path}/{ids[2]}/resend", {})
            self._hear(f"{path}/{ids[2]}", "complained")
            written = [mail.subject for mail in world.inbox.mails() if mail.to == COMPLAINS]
            stage.check("mails to who complained", 1, len(written))
            stage.say(f"{BOUNCES} becomes {MENDED}, and arrives; who complained gets no second mail")
            for number, one in enumerate(ids, 1):
                answer = world.admin.call("DELETE", f"{path}/{one}")
                world.moved(world.main, answer["stock"], f"cancelled: {number} of 3", held=-1)

    def _hear(self, invitation: str, news: str) -> None:
        """Waits until SES has told this of an invitation's mail."""
        def told() -> bool | None:
            return True if self.world.admin.call("GET", invitation)["delivery"] == news else None

        if not self.stage.wait(f"news of a mail: {news}", told, SECONDS_FOR_NEWS):
            found = self.world.admin.call("GET", invitation)["delivery"]
            self.stage.check("delivery", news, found)

    def _forgotten_password(self) -> None:
        """Léa asks for a new password; somebody unknown gets the same answer and no mail."""
        world, stage = self.world, self.stage
        with stage.step("A learner has forgotten her password"):
            url = f"{world.stack['api_url']}/v1/password-reset"
            answers = []
            for email in (LEA, "nobody@example.fr"):
                body = json.dumps({"client": world.slug, "email": email}).encode()
                answers.append(send("POST", url, {"Content-Type": "application/json"}, body))
            stage.check("both are told", [202, 202], [answer.status for answer in answers])
            stage.check("the same", answers[0].text, answers[1].text)
            mails = world.inbox.expect(Due(LEA, Letter.NEW_PASSWORD))
            done = submit(open_page(mails[0].link("p"))[1][0], password="quatre petits chats")
            stage.check("status of the form", 303, done.status)
            world.launched(done.location)
            old = self._sign_in(LEA, PASSWORD)
            stage.check("her old password", (401, "unauthorized"), outcome(old))
            signed_in = self._sign_in(LEA, "quatre petits chats")
            stage.check("her new one", 200, signed_in.status)
            stage.say("she chooses another by a link; an unknown address gets the same answer")

    def _import(self) -> None:
        with self.stage.step(f"{sheet.FILE.name} is dropped into the bucket"):
            imported.drop(self.world)

    def _upload(self) -> None:
        with self.stage.step("A French file is uploaded through a form, committed and undone"):
            uploaded.upload(self.world)

    def _issue_codes(self) -> None:
        world, stage = self.world, self.stage
        path = f"{world.path}/codes"
        with stage.step("Codes: one for ten registrations, and five to be redeemed once"):
            body: Json = {"contract_id": world.main.contract_id, "kind": "registration"}
            body |= {"label": "Open day", "count": 1, "max_redemptions": 10}
            made = world.admin.call("POST", path, body, expects=201)
            stage.check("registration codes", 1, len(made["codes"]))
            self.codes[NINA] = made
            stage.say(f"registration  {made['codes'][0]}, ten times")
            world.moved(world.main, made["stock"], "registration code issued")

            body = {"contract_id": world.main.contract_id, "kind": "redemption"}
            body |= {"label": "Welcome cards", "count": 5}
            made = world.admin.call("POST", path, body, expects=201)
            stage.check("redemption codes", 5, len(set(made["codes"])))
            self.codes[OMAR] = made
            for code in made["codes"]:
                stage.say(f"redemption    {code}")
            world.moved(world.main, made["stock"], "five cards issued", held=5)
            batch = made["batch"]["batch_id"]
            file = world.admin.request("GET", f"{path}/{batch}/download?format=csv")
            # As the French Excel expects it: a byte order mark, and semicolons.
            table = csv.DictReader(io.StringIO(file.body.decode("utf-8-sig")), delimiter=";")
            stage.check("codes in the csv file", made["codes"], [row["code"] for row in table])
            stage.check("byte order mark", b"\xef\xbb\xbf", file.body[:3])

    def _redeem_codes(self) -> None:
        world, stage = self.world, self.stage
        with stage.step("One of each is redeemed on the landing page"):
            codes = {who: made["codes"][0] for who, made in self.codes.items()}
            self._redeem(NINA, "Nina", "Lopez", codes[NINA])
            world.moved(world.main, None, "Nina registered", used=1)
            self._redeem(OMAR, "Omar", "Haddad", codes[OMAR])
            world.moved(world.main, None, "Omar's card redeemed", held=-1, used=1)
            world.inbox.expect(Due(NINA, Letter.REDEEMED), Due(OMAR, Letter.REDEEMED))
            for who, made in self.codes.items():
                batch = f"{world.path}/codes/{made['batch']['batch_id']}"
                found = [one["email"] for one in world.admin.items(f"{batch}/redemptions")]
                stage.check("redemptions", [who], found)
                stage.check("redeemed", 1, world.admin.call("GET", batch)["redeemed"])
            used = self._fill(FIFTH, "Eva", "Morel", codes[OMAR])
            stage.check("status of a used code", 404, used.status)
            stage.say("the used card is refused to anybody else, like an unknown code")
            self.pages["landing page"] = f"{world.landing_page}/{codes[NINA]}"

    def _steer_codes(self) -> None:
        world, stage = self.world, self.stage
        made = self.codes[OMAR]
        path = f"{world.path}/codes/{made['batch']['batch_id']}"
        with stage.step("The cards are printed, paused, extended, and two are added"):
            for form, begins in (("xlsx", b"PK"), ("html", b"<!doctype html>")):
                file = world.admin.request("GET", f"{path}/download?format={form}")
                stage.check(f"status of the {form}", 200, file.status)
                stage.check(f"how the {form} begins", begins, file.body[: len(begins)])
            squares = file.body.count(b"<svg")
            stage.check("squares for codes that nobody used", 4, squares)
            stage.say(f"a workbook, and a sheet with {squares} squares to scan")

            world.admin.call("PATCH", path, {"state": "paused"})
            card = made["codes"][1]
            refused = self._fill(FIFTH, "Eva", "Morel", card)
            stage.check("status of a paused card", 404, refused.status)
            day = world.today() + timedelta(days=60)
            body = {"state": "active", "valid_until": day.isoformat()}
            steered = world.admin.call("PATCH", path, body)
            stage.check("extended until", rfc3339(midnight(day + timedelta(days=1))), steered["valid_until"])
            stage.say(f"paused, refused like an unknown code; resumed, and good until {day}")
            more = world.admin.call("POST", f"{path}/codes", {"count": 2}, expects=201)
            stage.check("codes of the batch", 7, more["batch"]["count"])
            world.moved(world.main, more["stock"], "two cards added", held=2)
            seconds = self.codes[NINA]["batch"]["batch_id"]
            raised = world.admin.call("PATCH", f"{world.path}/codes/{seconds}", {"max_redemptions": 12})
            stage.check("maximum of the registration code", 12, raised["max_redemptions"])
        with stage.step("Two cards are mailed, to a pasted list with a slip in it"):
            sent = world.admin.call("POST", f"{path}/send", {"emails": f"{MIA}; nobody, {NOE}"})
            outcomes = [one["outcome"] for one in sent["results"]]
            stage.check("outcomes", ["sent", "rejected", "sent"], outcomes)
            stage.check("cards left to mail", 4, sent["left"])
            mails = world.inbox.expect(Due(MIA, Letter.CODE), Due(NOE, Letter.CODE))
            for mail, card in zip(mails, made["codes"][1:3], strict=True):
                stage.check(f"the card of {mail.to}", True, card in mail.text)
            again = world.admin.call("POST", f"{path}/send", {"emails": MIA})
            stage.check("outcome for one who has a card", "already_sent", again["results"][0]["outcome"])
            stage.say("Omar's card was passed over; nobody is sent a second one")
        with stage.step("Cards that were lost are revoked"):
            revoked = world.admin.call("PATCH", path, {"state": "revoked"})
            stage.check("redeemed before", 1, revoked["redeemed"])
            world.moved(world.main, revoked["stock"], "cards revoked", held=-6)
            refused = self._fill(FIFTH, "Eva", "Morel", card)
            stage.check("status of a revoked card", 404, refused.status)
            trail = world.admin.items(f"{world.path}/audit")
            printed = [one["actor"] for one in trail if one["action"] == "codes_downloaded"]
            stage.check("downloads in the trail", 3, len(printed))
            stage.say("six seats return; Omar keeps his; the trail names who downloaded the codes")

    def _redeem(self, email: str, first_name: str, last_name: str, code: str) -> None:
        answer = self._fill(email, first_name, last_name, code)
        self.stage.check(f"status for {email}", 303, answer.status)
        learner = self.world.launched(answer.location)
        self.stage.check("who arrived", email, learner.get("email"))
        self.stage.say(f"{email} redeems {code} and lands on the LMS")

    def _fill(self, email: str, first_name: str, last_name: str, code: str) -> Answer:
        """Opens the page of a code as a browser would, fills the form and sends it."""
        form = open_page(f"{self.world.landing_page}/{code}")[1][0]
        self.stage.check("code on the page", code, form.fields.get("code"))
        return submit(
            form, email=email, first_name=first_name, last_name=last_name, password=PASSWORD
        )

    def _start_date(self) -> None:
        world, stage = self.world, self.stage
        with stage.step("An account with a start date, and a card for the same day"):
            day = world.today() + timedelta(days=30)
            body = world.person(world.main, ROSE, "Rose", "Fontaine", "Région Nord")
            body["start_on"] = day.isoformat()
            made = world.admin.call("POST", f"{world.path}/learners", body, expects=201)
            stage.say(f"{ROSE}: held until {day}")
            stage.check("start of the seat", day.isoformat(), made["seat"]["starts_on"])
            world.seated(world.main, made, "scheduled", "Rose scheduled", held=1)
            world.scheduled(world.main, midnight(day))

            body = {"contract_id": world.main.contract_id, "kind": "redemption", "label": "Spring course", "count": 1}
            made = world.admin.call("POST", f"{world.path}/codes", {**body, "start_on": day.isoformat()}, expects=201)
            world.moved(world.main, made["stock"], "a card issued", held=1)
            self._redeem(JADE, "Jade", "Simon", made["codes"][0])
            world.moved(world.main, None, "Jade's seat waits like Rose's")
            seat = world.learner(JADE)["seats"][0]
            stage.check("seat of the card", ("scheduled", day.isoformat()), values(seat, "state", "starts_on"))

    def _order(self) -> None:
        world = self.world
        with self.stage.step("An order adds 50 seats; the same order again adds none"):
            path = f"{world.path}/contracts/{world.main.contract_id}/seats"
            order = {"add": 50, "order": "PO-2048"}
            added = world.vendor.call("POST", path, order)
            world.moved(world.main, added["stock"], "order PO-2048", total=50)
            world.moved(world.main, world.vendor.call("POST", path, order)["stock"], "PO-2048 again")

    def _four_seats(self) -> None:
        world, stage = self.world, self.stage
        path = f"{world.path}/learners"
        with stage.step("A contract of 4 seats: four people, and a fifth"):
            four = self.four = world.make_contract("4", 4)
            for number, email in enumerate(FOUR, 1):
                body = {"contract_id": four.contract_id, "email": email}
                made = world.admin.call("POST", path, body, expects=201)
                world.seated(four, made, "active", f"created: {number} of 4", used=1)
            body = {"contract_id": four.contract_id, "email": FIFTH}
            fifth = world.admin.request("POST", path, body)
            stage.check("the fifth", (409, "no-seats-left"), outcome(fifth))
            stage.say(f"the fifth: {fifth.status} {fifth.code}")
            world.moved(four, None, "the fifth refused")
            world.inbox.expect(
                *(Due(to, Letter.ADDED if to == CAMILLE else Letter.CHOOSE_PASSWORD) for to in FOUR)
            )

    def _opened(self) -> None:
        stage = self.stage
        at = self.opens.astimezone(PARIS)
        with stage.step(f"EventBridge Scheduler opens the seat of {at:%H:%M}"):
            live = next(pool for pool in self.world.pools if pool.name.endswith("-LIVE"))
            self._await_opening(live)
            self._check_opening(live)

    def _await_opening(self, live: Pool) -> None:
        world, stage = self.world, self.stage
        left = (self.opens - datetime.now(UTC)).total_seconds()
        if left > 0:
            stage.say(f"{left:.0f} s to go")
            stage.check("seats held before it", live.stock.as_answer(), world.stock(live))
        expected = live.stock.moved(held=-OPENED, used=OPENED).as_answer()

        def opened() -> bool | None:
            return True if world.stock(live) == expected else None

        if stage.wait("Scheduler", opened, max(left, 0) + SECONDS_TO_OPEN):
            late = (datetime.now(UTC) - self.opens).total_seconds()
            stage.check("opened before its time", False, late < 0)
            stage.say(f"opened {max(late, 0):.0f} s after {rfc3339(self.opens)}")

    def _check_opening(self, live: Pool) -> None:
        world, stage = self.world, self.stage
        world.moved(live, None, f"{OPENED} opened", held=-OPENED, used=OPENED)
        stage.say(f"{OPENED} seats at once; the one that was moved waits for its day")
        cancelled, moved, last = (imported.of_cohort(number) for number in (0, 1, COHORT - 1))
        for who, wanted in ((SAMI, "active"), (last, "active"), (cancelled, "released"), (moved, "scheduled")):
            states = [seat["state"] for seat in world.learner(who).get("seats", [])]
            stage.check("seat", [wanted], states)
        for mail in world.inbox.expect(Due(SAMI, Letter.OPENED)):
            stage.check("mail before it opened", False, mail.sent_at < self.opens.timestamp())
        stage.say(f"one mail, to Sami: the file said notify: no for the {OPENED - 1} others")
        trail = world.admin.items(f"{world.path}/audit")
        who = [record["actor"] for record in trail if record["action"] == "seats_opened"]
        stage.check("who opened it", ["system"], who)

        def gone() -> bool | None:
            found = world.scheduler.cohort(world.slug, live.contract_id, self.opens)
            return None if found else True

        ended = stage.wait("the schedule's end", gone, SECONDS_FOR_A_SCHEDULE_TO_END)
        if stage.check("schedule that fired is gone", True, ended):
            stage.say("its schedule has fired and is gone")

    def _renewed(self) -> None:
        world, stage = self.world, self.stage
        with stage.step("The contract of 4 seats is renewed: its people go over, and nobody is written to"):
            if self.four is None:
                raise Unexpected("there is no contract of 4 seats")
            following = world.make_contract("4-NEXT", 4)
            path = f"{world.path}/contracts/{self.four.contract_id}/renewal"
            renewed = world.vendor.call("POST", path, {"to_contract_id": following.contract_id})
            left = (renewed["seats_left"], renewed["invitations_left"], renewed["complete"])
            stage.check("left behind", (0, 0, True), left)
            world.moved(following, renewed["stock"], "carried over", used=4)
            world.moved(self.four, None, "let go", used=-4)
            states = {seat["pool"]: seat["state"] for seat in world.learner(FOUR[1]).get("seats", [])}
            expected = {self.four.contract_id: "released", following.contract_id: "active"}
            stage.check("seats of one of them", expected, states)

    def _whole_date(self) -> None:
        world, stage = self.world, self.stage
        with stage.step("All who start on one day start on another, in one call; then none of them does"):
            pool = world.make_contract("DATES", len(WAVE))
            day = world.today() + timedelta(days=30)
            for email in WAVE:
                body = world.person(pool, email, "Une", "Personne", "Paris", notify=False)
                made = world.admin.call("POST", f"{world.path}/learners", {**body, "start_on": day.isoformat()}, expects=201)
                world.seated(pool, made, "scheduled", held=1)
            later = day + timedelta(days=7)
            body = {"pool": pool.contract_id, "opens_at": rfc3339(midnight(day)), "start_on": later.isoformat()}
            moved = world.admin.call("POST", f"{world.path}/openings/reschedule", {**body, "notify": False})
            stage.check("rescheduled", (len(WAVE), 0, True), values(moved, "rescheduled", "seats_left", "complete"))
            world.moved(pool, moved["stock"], f"all start on {later} instead of {day}")
            listed = world.admin.call("GET", f"{world.path}/openings")["items"]
            dates = [(one["start_on"], one["seats"]) for one in listed if one["pool"] == pool.contract_id]
            stage.check("what opens when", [(later.isoformat(), len(WAVE))], dates)
            body = {"pool": pool.contract_id, "opens_at": rfc3339(midnight(later))}
            cancelled = world.admin.call("POST", f"{world.path}/openings/cancel", body)
            stage.check("cancelled", (len(WAVE), 0, True), values(cancelled, "cancelled", "seats_left", "complete"))
            world.moved(pool, cancelled["stock"], "all cancelled", held=-len(WAVE))

    def _proof(self) -> None:
        world, stage = self.world, self.stage
        with stage.step("Every seat is accounted for"):
            proof.counters(world)
        with stage.step("The trail replays to the same counters"):
            proof.trail(world)
        with stage.step("One mail per person and event"):
            time.sleep(SECONDS_OF_SILENCE)
            stage.say(f"{world.inbox.nobody_else()} mails went out")
            proof.outbox(world)
            sent = sorted(
                one["sent_count"] for one in world.admin.items(f"{world.path}/invitations")
            )
            # Two have another address by now, and one was to be sent again to who had complained.
            stage.check("times each invitation was sent", [1, 1, 1, 2, 2, 2], sent)

    def _addresses(self) -> list[tuple[str, str]]:
        stack = self.world.stack
        keys = "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
        aws = f"{keys} aws --endpoint-url {stack['aws_endpoint_url']} --region {stack['region']}"
        return [
            *sorted(self.pages.items(), reverse=True),
            ("mails", "make mails"),
            ("a mail in full", f"make mails TO={LEA}"),
            ("inbox, as JSON", stack["inbox_url"]),
            ("API", f"{stack['api_url']}/v1/clients/{self.world.slug}"),
            ("a token for it", f"make -s token ROLE=client_admin CLIENT={self.world.slug}"),
            ("table", f"{aws} dynamodb scan --table-name {stack['table']}"),
        ]
