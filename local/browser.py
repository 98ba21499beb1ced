"""Visits the learner's pages with a real browser on the local stack.

    python local/browser.py --stack .local/stack.json [--screenshots docs/screenshots]

From the mail to the dashboard in French on a phone; every page and state in every language, light
and dark, narrow and wide, with and without scripts, by keyboard alone; each held against axe's rules
for WCAG 2.2 A and AA. It needs Chromium: `chromium` on the path, or CHROMIUM=<its path>.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import re
import secrets
import shutil
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.http import Caller, Json, send
from demo.stage import Stage
from settings import HOME, client as aws, running_stack
from sign_in import token

LANGUAGES = ("fr", "en", "de", "es")
PASSWORD = "trois petits chats"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}
#: Where the client's site sends learners on to, in the tests of redirects.
ELSEWHERE = "https://login.elsewhere.example"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SECONDS_FOR_A_MAIL = 60


class Lms(http.server.ThreadingHTTPServer):
    """The client's site: `/launch` shows the dashboard, `/via` sends on to another site."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Launch)
        self.tickets: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        """An address of the site."""
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Launch(http.server.BaseHTTPRequestHandler):
    server: Lms

    def do_GET(self) -> None:  # noqa: N802 - the name is given
        url = urllib.parse.urlparse(self.path)
        self.server.tickets += urllib.parse.parse_qs(url.query).get("ticket", [])
        if url.path == "/via":
            self.send_response(302)
            self.send_header("Location", f"{ELSEWHERE}/login")
            self.end_headers()
            return
        body = "<!doctype html><html lang=fr><title>Tableau de bord</title><h1>Tableau de bord</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing: addresses here have tickets in them."""


class Visit:
    """A browser, the stack it visits, and what is expected there."""

    def __init__(self, browser: Any, stack: dict[str, str], shots: Path | None) -> None:
        import axe_playwright_python

        self.browser = browser
        self.stack = stack
        self.shots = shots
        self.stage = Stage()
        self.lms = Lms()
        self.axe = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")
        self.vendor = Caller(stack["api_url"], token(stack, "vendor_admin", "*"))
        self.judged = 0

    # The product, as its callers see it

    def client(self, launch: str) -> tuple[str, Caller, str]:
        """Makes a client whose learners land there, with a contract."""
        slug = f"browser-{secrets.token_hex(4)}"
        self.vendor.call("POST", "/v1/clients", {
            "client_id": slug, "name": "Académie Belmont", "default_language": "fr",
            "time_zone": "Europe/Paris", "launch_url": launch,
            "branding": {"color": "#0b6e4f", "from_name": "Académie Belmont"},
        }, expects=201)
        contract = self.vendor.call(
            "POST", f"/v1/clients/{slug}/contracts", {"reference": "B", "seats": 60}, expects=201
        )
        admin = Caller(self.stack["api_url"], token(self.stack, "client_admin", slug))
        return slug, admin, contract["contract_id"]

    def invite(self, admin: Caller, slug: str, contract: str, **more: Any) -> tuple[str, str]:
        """Invites somebody without a mail: id and link."""
        body = {"contract_id": contract, "emails": [f"{secrets.token_hex(4)}@example.fr"],
                "notify": False, **more}
        result = admin.call("POST", f"/v1/clients/{slug}/invitations", body)["results"][0]
        return result["invitation_id"], result["link"]

    def mailed_link(self, to: str, place: str) -> str:
        """The link in the newest mail to this address."""
        def look() -> str | None:
            answer = json.loads(send("GET", self.stack["inbox_url"], {}).body)
            mails = [mail for account in answer["messages"].values() for mail in account]
            texts = [mail["BodyText"] for mail in mails if to in mail["To"]]
            found = [re.search(rf"https?://\S+/{place}/\S+", text or "") for text in texts]
            links = [match.group() for match in found if match]
            return links[-1] if links else None

        link = self.stage.wait("a mail", look, SECONDS_FOR_A_MAIL)
        if link is None:
            raise RuntimeError(f"no mail to {to}")
        return link

    # The browser

    @contextmanager
    def page(self, size: dict[str, int] = PHONE, **options: Any) -> Iterator[Any]:
        """A page of a browser that knows nothing yet."""
        phone = size is PHONE
        context = self.browser.new_context(
            viewport=size, is_mobile=phone, has_touch=phone,
            **{"locale": "fr-FR", "color_scheme": "light", **options},
        )
        try:
            page = context.new_page()
            page.set_default_timeout(15_000)
            troubles: list[str] = []
            page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.troubles = troubles
            yield page
        finally:
            context.close()

    def judge(self, page: Any, what: str, shot: str = "") -> None:
        """Holds what is shown against axe's rules and the width of the screen."""
        self.judged += 1
        scripted = page.evaluate("() => document.readyState === 'complete'")
        self.stage.check(f"{what}: loaded", True, scripted)
        page.evaluate(self.axe)
        result = page.evaluate(
            "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES
        )
        found = [
            f"{one['id']}: {', '.join(str(node['target'][0]) for node in one['nodes'])}"
            for one in result["violations"]
        ]
        self.stage.check(f"{what}: axe", [], found)
        wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        self.stage.check(f"{what}: wider than the screen", True, wide <= 0)
        if self.shots and shot:
            page.screenshot(path=self.shots / f"{shot}.png", full_page=True)

    def text(self, page: Any) -> str:
        """The main heading."""
        return page.locator("h1").inner_text()


def from_mail_to_dashboard(visit: Visit) -> None:
    """An invited person, on a phone, in French."""
    slug, admin, contract = visit.client(visit.lms.url("/launch"))
    email = f"zoe.{secrets.token_hex(3)}@example.fr"
    admin.call("POST", f"/v1/clients/{slug}/invitations", {
        "contract_id": contract, "emails": [email], "message": "À lundi !",
    })
    link = visit.mailed_link(email, "i")
    with visit.page() as page:
        for _ in range(3):
            page.goto(link)
        visit.stage.check("heading", "Accepter votre invitation", visit.text(page))
        visit.stage.check("language", "fr", page.locator("html").get_attribute("lang"))
        visit.judge(page, "the invitation", "invitation-fr-phone")
        page.fill("#first_name", "Zoé")
        page.fill("#password", "court")
        said = page.locator("#password-typed").inner_text()
        visit.stage.check("what a short password says", "Trop court. Caractères manquants\u00a0: 7", said)
        page.click("#password-show")
        visit.stage.check("a shown password", "text", page.locator("#password").get_attribute("type"))
        visit.judge(page, "a shown password")
        page.click("#password-show")
        page.fill("#password", "")
        page.click("form:not(.decline) button[type=submit]")
        visit.stage.check("errors", 2, page.locator("[aria-invalid=true]").count())
        for field in ("last_name", "password"):
            described = page.locator(f"#{field}").get_attribute("aria-describedby") or ""
            visit.stage.check(f"{field} is described", True, f"{field}-error" in described.split())
        visit.stage.check("what was typed stays", "Zoé", page.input_value("#first_name"))
        visit.stage.check("but no password", "", page.input_value("#password"))
        focused = page.evaluate("() => document.activeElement.className")
        visit.stage.check("the summary has the focus", "summary", focused)
        visit.judge(page, "the invitation with errors", "invitation-errors-fr-phone")
        page.fill("#last_name", "Durand")
        page.fill("#password", PASSWORD)
        said = page.locator("#password-typed").inner_text()
        visit.stage.check("a long one", "Assez long. Plus long est encore plus sûr.", said)
        page.press("#password", "Enter")
        page.wait_for_url("**/launch?ticket=*")
        visit.stage.check("landed on", "Tableau de bord", visit.text(page))
        visit.stage.check("with tickets", 1, len(visit.lms.tickets))
        visit.stage.check("complaints of the browser", [], [t for t in page.troubles if "422" not in t])
        page.goto(link)
        visit.stage.check("the link again", "Cette invitation a déjà été acceptée", visit.text(page))
        visit.judge(page, "an accepted invitation", "invitation-accepted-fr-phone")
    lms = Caller(visit.stack["api_url"], token(visit.stack, "service", slug))
    arrived = lms.call("POST", f"/v1/tickets/{visit.lms.tickets[-1]}")
    visit.stage.check("who arrived", email, arrived["learner"]["email"])


def from_paper_to_dashboard(visit: Visit) -> None:
    """Codes are printed, and somebody who holds one redeems it, on a phone, in French."""
    slug, admin, contract = visit.client(visit.lms.url("/launch"))
    base = f"/v1/clients/{slug}"
    made = admin.call("POST", f"{base}/codes", {
        "contract_id": contract, "kind": "redemption", "label": "Salle 4", "count": 12,
    }, expects=201)
    code, batch = made["codes"][0], made["batch"]["batch_id"]

    sheet = admin.request("GET", f"{base}/codes/{batch}/download?format=html").body.decode()
    with visit.page(DESK) as page:
        page.set_content(sheet)
        visit.stage.check("cards", 12, page.locator("svg").count())
        visit.stage.check("the code in letters", True, code in page.locator("body").inner_text())
        visit.judge(page, "the printed codes", "codes-sheet")
        pages = page.pdf(format="A4", print_background=True)
        visit.stage.check("as a document", b"%PDF", pages[:4])
        if visit.shots:
            (visit.shots / "codes-sheet.pdf").write_bytes(pages)

    email = f"noe.{secrets.token_hex(3)}@example.fr"
    with visit.page() as page:
        page.goto(f"{visit.stack['page_url']}/{slug}")
        visit.stage.check("heading", "Activer votre code", visit.text(page))
        # As it comes out of a mail or a phone's note: other dashes, blanks, small letters, O for 0.
        pasted = f"  {code.lower().replace('-', ' – ').replace('0', 'o')} "
        page.locator("#code").focus()
        page.keyboard.insert_text(pasted)
        page.fill("#email", email)
        page.fill("#first_name", "Noé")
        page.fill("#last_name", "Petit")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url("**/launch?ticket=*")
        visit.stage.check("landed on", "Tableau de bord", visit.text(page))
        # The same code once more: the same person comes in, somebody else does not.
        page.goto(f"{visit.stack['page_url']}/{slug}/{code}")
        page.fill("#email", "autre@example.fr")
        page.fill("#first_name", "Ana")
        page.fill("#last_name", "Lo")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        visit.stage.check("a used code", 1, page.locator("#code-error").count())
        visit.stage.check("what was typed stays", "autre@example.fr", page.input_value("#email"))
        visit.judge(page, "a used code")
    known = admin.call("GET", f"{base}/learners?email={email}")["items"]
    visit.stage.check("who has a seat", ["code"], [seat["source"]["kind"] for one in known for seat in one["seats"]])


def from_paper_by_mail_to_dashboard(visit: Visit) -> None:
    """A code whose address has to be proven: by the mail's link, on a phone, in French."""
    slug, admin, contract = visit.client(visit.lms.url("/launch"))
    made = admin.call("POST", f"/v1/clients/{slug}/codes", {
        "contract_id": contract, "kind": "redemption", "label": "Salle 5", "count": 2,
        "require_email_proof": True,
    }, expects=201)

    def enter(page: Any, code: str, email: str) -> None:
        page.goto(f"{visit.stack['page_url']}/{slug}/{code}")
        page.fill("#email", email)
        page.fill("#first_name", "Noé")
        page.fill("#last_name", "Petit")
        page.fill("#password", "pas celui-ci du tout")
        page.click("button[type=submit]")
        visit.stage.check("heading", "Consultez votre messagerie", visit.text(page))

    email = f"noe.{secrets.token_hex(3)}@example.fr"
    with visit.page() as page:
        enter(page, made["codes"][0], email)
        visit.judge(page, "look into the mailbox", "proof-sent-fr-phone")
        link = visit.mailed_link(email, "i")
        for _ in range(2):
            page.goto(link)
        visit.stage.check("heading", "Confirmer votre adresse e-mail", visit.text(page))
        visit.stage.check("what was typed", ("Noé", ""), (page.input_value("#first_name"), page.input_value("#password")))
        visit.judge(page, "an address to be proven", "proof-fr-phone")
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url("**/launch?ticket=*")
        visit.stage.check("landed on", "Tableau de bord", visit.text(page))
        page.goto(link)
        visit.stage.check("the link again", "Votre adresse est déjà confirmée", visit.text(page))
        visit.judge(page, "a proven address")
    email = f"ida.{secrets.token_hex(3)}@example.fr"
    with visit.page(java_script_enabled=False) as page:
        enter(page, made["codes"][1], email)
        page.goto(visit.mailed_link(email, "i"))
        page.click(".decline button")
        visit.stage.check("given back", "La place a été rendue", visit.text(page))
    stock = admin.call("GET", f"/v1/clients/{slug}/contracts/{contract}")["stock"]
    visit.stage.check("seats", (1, 1), (stock["used"], stock["held"]))


def every_state(visit: Visit) -> None:
    """Every page and state there is, each judged on a phone."""
    slug, admin, contract = visit.client(visit.lms.url("/launch"))
    base = f"/v1/clients/{slug}"
    pages: list[tuple[str, str, str, str]] = []

    identity, link = visit.invite(admin, slug, contract)
    admin.call("POST", f"{base}/invitations/{identity}/resend")
    pages.append(("a replaced link", link, "Ce lien ne fonctionne plus", "link-replaced-fr-phone"))
    identity, link = visit.invite(admin, slug, contract)
    admin.call("DELETE", f"{base}/invitations/{identity}")
    pages.append(("a cancelled invitation", link, "Cette invitation n’est plus valable", "invitation-cancelled-fr-phone"))
    identity, link = visit.invite(admin, slug, contract)
    _expire(visit, slug, identity)
    pages.append(("an expired invitation", link, "Cette invitation a expiré", "invitation-expired-fr-phone"))
    pages.append(("a forged link", f"{link[:-4]}AAAA", "Ce lien n’existe pas", "link-forged-fr-phone"))
    pages.append(("a cut link", link[:-9], "Ce lien n’existe pas", ""))
    forged = f"{visit.stack['page_url']}/p/{link.rsplit('/', 1)[1]}"
    pages.append(("the link of an invitation as one for a password", forged, "Ce lien n’existe pas", ""))
    _, link = visit.invite(admin, slug, contract)
    pages.append(("stopping reminders", f"{link}/unsubscribe", "Ne plus recevoir de rappels", "reminders-fr-phone"))
    code = admin.call("POST", f"{base}/codes", {
        "contract_id": contract, "kind": "registration", "label": "A", "max_redemptions": 5,
    }, expects=201)["codes"][0]
    landing = f"{visit.stack['page_url']}/{slug}"
    pages.append(("the landing page", landing, "Activer votre code", ""))
    pages.append(("the landing page with a code", f"{landing}/{code}", "Activer votre code", "landing-fr-phone"))
    made = admin.call("POST", f"{base}/learners", {
        "contract_id": contract, "email": "lea@example.fr", "notify": False,
    }, expects=201)
    pages.append(("choosing a password", made["link"], "Choisir votre mot de passe", "password-fr-phone"))
    for what, url, heading, shot in pages:
        with visit.page() as page:
            page.goto(url)
            visit.stage.check(f"{what}: heading", heading, visit.text(page))
            visit.judge(page, what, shot)

    with visit.page() as page:
        page.goto(f"{landing}/ABCD-EFGH-JKMN")
        page.fill("#email", "someone@example.fr")
        page.fill("#first_name", "Ana")
        page.fill("#last_name", "Lo")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        visit.stage.check("a wrong code", 1, page.locator("#code-error").count())
        visit.judge(page, "a wrong code", "landing-errors-fr-phone")
    with visit.page() as page:
        _, link = visit.invite(admin, slug, contract)
        page.goto(link)
        page.click(".decline button")
        visit.stage.check("declined", "Vous avez décliné l’invitation", visit.text(page))
        visit.judge(page, "a declined invitation", "invitation-declined-fr-phone")
    with visit.page() as page:
        identity, link = visit.invite(admin, slug, contract)
        page.goto(f"{link}/unsubscribe")
        page.click("button[type=submit]")
        visit.stage.check("stopped", "Vous ne recevrez plus de rappels", visit.text(page))
        visit.judge(page, "no more reminders", "reminders-stopped-fr-phone")
        shown = admin.call("GET", f"{base}/invitations/{identity}")
        visit.stage.check("reminders", (True, "pending"), (shown["reminders_unwanted"], shown["status"]))


def languages_and_screens(visit: Visit) -> None:
    """The pages with forms in every language, light and dark, narrow and wide."""
    slug, admin, contract = visit.client(visit.lms.url("/launch"))
    _, link = visit.invite(admin, slug, contract)
    for language in LANGUAGES:
        for size in (PHONE, DESK):
            for scheme in ("light", "dark"):
                with visit.page(size, color_scheme=scheme, locale="pt-PT") as page:
                    page.goto(f"{link}?lang={language}")
                    tag = page.locator("html").get_attribute("lang")
                    visit.stage.check(f"asked for {language}", language, tag)
                    what = f"the invitation, {language}, {scheme}, {size['width']}"
                    shots = {("de", DESK["width"], "light"): "invitation-de-wide",
                             ("es", PHONE["width"], "dark"): "invitation-es-phone-dark"}
                    shot = shots.get((language, size["width"], scheme), "")
                    visit.judge(page, what, shot)
                    page.click("form:not(.decline) button[type=submit]")
                    visit.stage.check(f"{what}: stays", language, page.locator("html").get_attribute("lang"))
                    visit.judge(page, f"{what}, with errors")
    for locale, expected in (("de-CH", "de"), ("es-MX", "es"), ("en-GB", "en"), ("pt-PT", "fr")):
        with visit.page(locale=locale) as page:
            page.goto(link)
            found = page.locator("html").get_attribute("lang")
            visit.stage.check(f"a browser in {locale}", expected, found)
    with visit.page() as page:
        page.goto(link)
        page.click("nav a[lang=de]")
        visit.stage.check("switched", "Einladung annehmen", visit.text(page))


def by_keyboard_and_without_scripts(visit: Visit) -> None:
    """Whoever has no pointer, and whoever runs no scripts."""
    slug, admin, contract = visit.client(visit.lms.url("/launch"))
    _, link = visit.invite(admin, slug, contract)
    with visit.page(DESK) as page:
        page.goto(link)
        reached = []
        for _ in range(14):
            page.keyboard.press("Tab")
            at = page.evaluate(
                "() => { const e = document.activeElement; const s = getComputedStyle(e);"
                " return [e.id || e.lang || e.className || e.tagName, s.outlineStyle !== 'none']; }"
            )
            if at[0] == "BODY":
                break
            reached.append(at[0])
            visit.stage.check(f"focus shows on {at[0]}", True, at[1])
            if at[0] in ("first_name", "last_name"):
                page.keyboard.type("Ana")
            if at[0] == "password":
                page.keyboard.type(PASSWORD)
        order = ["email", "first_name", "last_name", "password", "password-show", "button", "button quiet"]
        visit.stage.check("order of the keyboard", [*LANGUAGES_SHOWN, *order], reached)
        page.focus("form:not(.decline) button[type=submit]")
        page.keyboard.press("Enter")
        page.wait_for_url("**/launch?ticket=*")
        visit.stage.check("landed on", "Tableau de bord", visit.text(page))
    _, link = visit.invite(admin, slug, contract)
    with visit.page(java_script_enabled=False) as page:
        page.goto(link)
        visit.stage.check("a button that would do nothing", False, page.locator("#password-show").is_visible())
        page.fill("#first_name", "Ana")
        page.fill("#last_name", "Lo")
        page.fill("#password", PASSWORD)
        page.click("form:not(.decline) button[type=submit]")
        page.wait_for_url("**/launch?ticket=*")
        visit.stage.check("landed on", "Tableau de bord", visit.text(page))


#: The language switch in its order.
LANGUAGES_SHOWN = ("en", "fr", "de", "es")


def on_to_another_site(visit: Visit) -> None:
    """A client's site that sends learners on: browsers hold a form's redirects to the policy."""
    slug, admin, contract = visit.client(visit.lms.url("/via"))

    def landed(change: Callable[[str], str]) -> bool:
        _, link = visit.invite(admin, slug, contract)
        with visit.page() as page:
            def policy(route: Any) -> None:
                answer = route.fetch()
                headers = dict(answer.headers)
                headers["content-security-policy"] = change(headers["content-security-policy"])
                route.fulfill(response=answer, headers=headers)

            page.route(link, policy)
            page.route(f"{ELSEWHERE}/**", lambda route: route.fulfill(
                status=200, content_type="text/html", body="<title>x</title><h1>Connexion</h1>"))
            page.goto(link)
            page.fill("#first_name", "Ana")
            page.fill("#last_name", "Lo")
            page.fill("#password", PASSWORD)
            page.click("form:not(.decline) button[type=submit]", no_wait_after=True)
            for _ in range(30):
                if page.url.startswith(ELSEWHERE):
                    return True
                page.wait_for_timeout(100)
            return False

    visit.stage.check("the policy as it is", True, landed(lambda policy: policy))
    strict = landed(lambda policy: policy.replace(" https:;", ";"))
    visit.stage.check("a policy without `https:` would stop the learner", False, strict)
    visit.stage.say(f"without `https:` in form-action the learner {'lands' if strict else 'is stopped'}")


def a_new_password(visit: Visit) -> None:
    """Who forgot the password asks for a new one, and gets a link by mail."""
    slug, admin, contract = visit.client(visit.lms.url("/launch"))
    email = f"lea.{secrets.token_hex(3)}@example.fr"
    admin.call("POST", f"/v1/clients/{slug}/learners", {
        "contract_id": contract, "email": email, "password": PASSWORD, "notify": False,
    }, expects=201)
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"client": slug, "email": email}).encode()
    asked = send("POST", f"{visit.stack['api_url']}/v1/password-reset", headers, body)
    visit.stage.check("asked for a new password", 202, asked.status)
    link = visit.mailed_link(email, "p")
    with visit.page() as page:
        page.goto(link)
        visit.judge(page, "a reset")
        page.fill("#password", "x")
        page.press("#password", "Enter")
        visit.judge(page, "a weak password")
        page.fill("#password", "quatre petits chats")
        page.press("#password", "Enter")
        page.wait_for_url("**/launch?ticket=*")
        page.goto(link)
        visit.stage.check("the link again", "Ce lien ne fonctionne plus", visit.text(page))
        visit.judge(page, "a used link to choose a password")


def _expire(visit: Visit, slug: str, identity: str) -> None:
    """Lets an invitation's time run out."""
    dynamodb = aws("dynamodb", visit.stack["aws_endpoint_url"])
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=visit.stack["table"],
        FilterExpression="kind = :kind AND client_id = :client AND sk = :sk",
        ExpressionAttributeValues={
            ":kind": {"S": "invitation"}, ":client": {"S": slug}, ":sk": {"S": identity},
        },
    )
    items: list[Json] = [item for page in pages for item in page["Items"]]
    dynamodb.update_item(
        TableName=visit.stack["table"],
        Key={"pk": items[0]["pk"], "sk": items[0]["sk"]},
        UpdateExpression="SET expires_at = :then",
        ExpressionAttributeValues={":then": {"S": "2026-01-01T00:00:00Z"}},
    )


STORIES: list[tuple[str, Callable[[Visit], None]]] = [
    ("From the mail to the dashboard, in French, on a phone", from_mail_to_dashboard),
    ("From a printed code to the dashboard, in French, on a phone", from_paper_to_dashboard),
    ("From a code whose address has to be proven to the dashboard", from_paper_by_mail_to_dashboard),
    ("Every page and state", every_state),
    ("Every language, light and dark, narrow and wide", languages_and_screens),
    ("By keyboard alone, and without scripts", by_keyboard_and_without_scripts),
    ("A new password", a_new_password),
    ("A client's site that sends learners on", on_to_another_site),
]


def main() -> None:
    """Reads the command line. Exits with 1 when anything differs."""
    parser = argparse.ArgumentParser(description="Visits the learner's pages with a browser.")
    parser.add_argument("--stack", type=Path, default=HOME / "stack.json")
    parser.add_argument("--screenshots", type=Path)
    arguments = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("No Chromium: install it (`apt-get install chromium`) or set CHROMIUM.")
    stack = running_stack(arguments.stack)

    from playwright.sync_api import sync_playwright

    started = time.monotonic()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        visit = Visit(browser, stack, arguments.screenshots)
        visit.stage.title(f"Chromium {browser.version} at {stack['page_url']}")
        for title, story in STORIES:
            with visit.stage.step(title):
                story(visit)
        browser.close()
    visit.stage.say(f"{visit.judged} pages judged, {time.monotonic() - started:.0f} s")
    sys.exit(0 if visit.stage.summary([]) else 1)


if __name__ == "__main__":
    main()
