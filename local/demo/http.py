"""HTTP as the demo speaks it: redirects are looked at, not followed."""

from __future__ import annotations

import html.parser
import itertools
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from demo.stage import Unexpected

Json = dict[str, Any]

SECONDS_PER_CALL = 30


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def json(self) -> Json:
        """The body as a JSON object; empty when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return str(self.headers.get("Location") or "")

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.json.get("code") or "")


class _NotFollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NotFollowed, urllib.request.ProxyHandler({}))


def send(method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
    """One request and its answer, whatever its status."""
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with _OPENER.open(request, timeout=SECONDS_PER_CALL) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


@dataclass
class Caller:
    """Someone who calls the API with a token. Every POST carries an idempotency key."""

    base: str
    token: str
    run: str = field(default_factory=lambda: secrets.token_hex(6))
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def request(self, method: str, path: str, body: Json | None = None, key: str = "") -> Answer:
        """A call, whatever comes of it."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        if method == "POST":
            headers["Idempotency-Key"] = key or self.new_key()
        return send(method, f"{self.base}{path}", headers, data)

    def new_key(self) -> str:
        """An idempotency key that nobody used."""
        return f'"demo-{self.run}-{next(self._count)}"'

    def call(
        self, method: str, path: str, body: Json | None = None, *, expects: int = 200, key: str = ""
    ) -> Json:
        """A call whose answer the story needs."""
        answer = self.request(method, path, body, key)
        if answer.status != expects:
            raise Unexpected(
                f"{method} {path}: expected {expects}, found {answer.status} {answer.text[:600]}"
            )
        return answer.json

    def items(self, path: str, **query: str) -> list[Json]:
        """All items of a list, page by page."""
        found: list[Json] = []
        cursor = ""
        while True:
            asked = {**query, "limit": "100", **({"cursor": cursor} if cursor else {})}
            page = self.call("GET", f"{path}?{urllib.parse.urlencode(asked)}")
            found += page["items"]
            cursor = page["next_cursor"] or ""
            if not cursor:
                return found


@dataclass
class Form:
    """A form as a browser would send it."""

    action: str
    method: str
    fields: dict[str, str]


def open_page(url: str) -> tuple[Answer, list[Form]]:
    """A page and its forms, as a browser gets them."""
    answer = send("GET", url, {"Accept": "text/html,application/xhtml+xml"})
    if answer.status != 200:
        raise Unexpected(f"GET {url}: expected 200, found {answer.status} {answer.text[:600]}")
    forms = _Forms()
    forms.feed(answer.text)
    for form in forms.found:
        form.action = urllib.parse.urljoin(url, form.action)
    return answer, forms.found


def submit(form: Form, **typed: str) -> Answer:
    """Sends a form with what was typed into it. A field it does not have is an error."""
    missing = typed.keys() - form.fields.keys()
    if missing:
        raise Unexpected(f"the form has no field {', '.join(sorted(missing))}")
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "text/html,application/xhtml+xml",
    }
    data = urllib.parse.urlencode({**form.fields, **typed}).encode()
    return send(form.method.upper(), form.action, headers, data)


class _Forms(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            action, method = attributes.get("action", ""), attributes.get("method", "get")
            self.found.append(Form(action, method, {}))
            self._open = True
        elif tag == "input" and self._open and attributes.get("name"):
            self.found[-1].fields[attributes["name"]] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False
