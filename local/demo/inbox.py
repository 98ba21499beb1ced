"""The mails that went out, and those that should have."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parseaddr
from enum import Enum

from demo.http import Json, send
from demo.stage import Stage

SECONDS_FOR_A_MAIL = 20


class Letter(Enum):
    """What a mail says, by its subject in English, in French, and where the story needs it in German."""

    INVITATION = (
        "{} has invited you to its online training",
        "{} vous invite à sa formation en ligne",
    )
    CHOOSE_PASSWORD = (
        "Your {} account: choose your password",
        "Votre compte {}\N{NO-BREAK SPACE}: choisissez votre mot de passe",
        "Ihr Konto bei {}: Wählen Sie Ihr Passwort",
    )
    PASSWORD = ("Your {} account is ready", "Votre compte {} est prêt")
    ADDED = (
        "{} has given you access to more training",
        "{} vous ouvre l’accès à une autre formation",
    )
    OPENED = ("Your access at {} is open", "Votre accès chez {} est ouvert")
    NEW_PASSWORD = ("Choose a new password for {}", "Choisissez un nouveau mot de passe pour {}")
    IMPORTED = (
        "Your import is finished: équipe.csv",
        "Votre import est terminé\N{NO-BREAK SPACE}: équipe.csv",
    )
    CODE = (
        "Your code for online training at {}",
        "Votre code pour la formation en ligne chez {}",
    )
    REDEEMED = (
        "Your code is redeemed: welcome to {}",
        "Votre code est activé\N{NO-BREAK SPACE}: bienvenue chez {}",
    )

    def subject(self, language: str, client: str) -> str:
        """The subject line."""
        return self.value[("en", "fr", "de").index(language)].format(client)


@dataclass(frozen=True)
class Mail:
    """A mail that went out."""

    to: str
    subject: str
    language: str
    text: str
    sent_at: float

    def link(self, place: str) -> str:
        """The address in it that leads to `/i/…` or `/p/…`."""
        found = re.search(rf"https?://\S+/{place}/\S+", self.text)
        return found.group() if found else ""

    @property
    def password(self) -> str:
        """The generated password in it."""
        found = re.search(r"(?:Your password|Votre mot de passe)\s*: *(\S+)", self.text)
        return found.group(1) if found else ""


@dataclass(frozen=True)
class Due:
    """A mail that has to go out: to whom, about what, in which language."""

    to: str
    letter: Letter
    language: str = "fr"


class Inbox:
    """The mails of one client since the demo began.

    The sender's name tells the clients of several runs apart.
    """

    def __init__(self, url: str, stage: Stage) -> None:
        self._url = url
        self._stage = stage
        self._client = ""
        self._before = {mail["MessageId"] for mail in self._messages()}
        self._due: list[Due] = []

    def belongs_to(self, client: str) -> None:
        """From here on only mails in this client's name count."""
        self._client = client

    def mails(self) -> list[Mail]:
        """What went out so far, oldest first."""
        found = []
        for message in self._messages():
            if message["MessageId"] in self._before:
                continue
            if parseaddr(message["Source"])[0] != self._client:
                continue
            language = re.search(r'<html[^>]* lang="([a-z-]+)"', message["BodyHtml"] or "")
            found.append(
                Mail(
                    to=", ".join(message["To"] + message["CC"] + message["BCC"]),
                    subject=message["Subject"],
                    language=language.group(1) if language else "?",
                    text=message["BodyText"] or "",
                    sent_at=float(message["Timestamp"]),
                )
            )
        return found

    def expect(self, *due: Due, seconds: float = SECONDS_FOR_A_MAIL) -> list[Mail]:
        """Waits for these mails and prints them. Returns them in the order asked for."""
        self._due += due
        found: dict[Due, Mail] = {}

        def look() -> bool | None:
            sent = self.mails()
            for one in due:
                subject = one.letter.subject(one.language, self._client)
                mail = next((m for m in sent if (m.to, m.subject) == (one.to, subject)), None)
                if mail:
                    found[one] = mail
            return True if len(found) == len(due) else None

        self._stage.wait("mails", look, seconds)
        for one in due:
            if one not in found:
                others = [mail.subject for mail in self.mails() if mail.to == one.to]
                expected = one.letter.subject(one.language, self._client)
                self._stage.check(f"mail to {one.to}", expected, others)
                continue
            mail = found[one]
            self._stage.mail(mail.to, mail.language, mail.subject)
            self._stage.check(f"language of the mail to {one.to}", one.language, mail.language)
            self._stage.check(f"text of the mail to {one.to}", True, bool(mail.text.strip()))
        return [found[one] for one in due if one in found]

    def nobody_else(self) -> int:
        """Checks that each mail owed went out once, and no other. Returns how many."""
        sent = Counter((mail.to, mail.subject) for mail in self.mails())
        owed = Counter((d.to, d.letter.subject(d.language, self._client)) for d in self._due)
        for to, subject in sorted(sent.keys() | owed.keys()):
            what = f"mails to {to}, {subject!r}"
            self._stage.check(what, owed[to, subject], sent[to, subject])
        return sent.total()

    def nothing_to(self, addresses: Iterable[str]) -> None:
        """Checks that nobody of these was written to."""
        written = {mail.to for mail in self.mails()} & set(addresses)
        self._stage.check("mails before their day", set(), written)

    def _messages(self) -> list[Json]:
        answer = json.loads(send("GET", self._url, {}).body)
        return [message for account in answer["messages"].values() for message in account]
