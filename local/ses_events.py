"""Delivers SES events to EventBridge, which the emulator records but does not do.

After each mail accepted with a configuration set, what SES would tell follows on the event bus:
`Send` and `Delivery`, or what the mailbox simulator's addresses stand for (`bounce@`,
`complaint@simulator.amazonses.com`).
"""

from __future__ import annotations

import contextvars
import json
import threading
from email.utils import parseaddr
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge, ses, ses_v2

Json = dict[str, Any]

#: SES tells a moment later, after the sender has noted the message's id.
DELAY_SECONDS = 1.0

DETAIL_TYPES = {
    "Send": "Email Sent",
    "Delivery": "Email Delivered",
    "Bounce": "Email Bounced",
    "Complaint": "Email Complaint Received",
}


def install() -> None:
    """Has the emulator's `SendEmail` tell its configuration set's event destinations."""
    handle = ses_v2.handle_request

    async def handle_and_tell(method: str, path: str, headers: Json, body: bytes, query: Json) -> Any:
        answer = await handle(method, path, headers, body, query)
        if method == "POST" and path.rstrip("/").endswith("/outbound-emails") and answer[0] == 200:
            _tell_later(json.loads(body), json.loads(answer[2])["MessageId"])
        return answer

    ses_v2.handle_request = handle_and_tell


def _tell_later(request: Json, message_id: str) -> None:
    events = list(_events(request, message_id))
    if events:
        context = contextvars.copy_context()
        timer = threading.Timer(DELAY_SECONDS, context.run, [_put, events])
        timer.daemon = True
        timer.start()


def _put(events: list[Json]) -> None:
    for event in events:
        eventbridge._put_events({"Entries": [event]}, allow_aws_source=True)


def _events(request: Json, message_id: str) -> Any:
    name = request.get("ConfigurationSetName", "")
    destinations = (ses_v2._config_sets.get(name) or {}).get("EventDestinations") or {}
    wanted = {
        kind
        for destination in destinations.values()
        if destination.get("Enabled") and destination.get("EventBridgeDestination")
        for kind in destination["MatchingEventTypes"]
    }
    if not wanted:
        return
    to = request.get("Destination", {})
    recipients = [
        parseaddr(address)[1]
        for field in ("ToAddresses", "CcAddresses", "BccAddresses")
        for address in to.get(field) or []
    ]
    now = ses._iso_now()
    mail = _mail(request, message_id, name, recipients, now)
    for kind, detail in _outcomes(recipients, now):
        if kind.upper() in wanted:
            yield {
                "Source": "aws.ses",
                "DetailType": DETAIL_TYPES[kind],
                "Resources": [_arn(f"configuration-set/{name}")],
                "Detail": json.dumps({"eventType": kind, "mail": mail, **detail}),
            }


def _outcomes(recipients: list[str], now: str) -> Any:
    yield "Send", {"send": {}}
    for recipient in recipients:
        local, _, domain = recipient.partition("@")
        outcomes = (("Delivery", None),)
        if domain.lower() == ses._SIMULATOR_DOMAIN:
            outcomes = ses._SIMULATOR_OUTCOMES.get(local.lower().split("+")[0], outcomes)
        for kind, subtype in outcomes:
            yield kind, ses._notification_detail(kind, recipient, now, subtype)


def _mail(request: Json, message_id: str, name: str, recipients: list[str], now: str) -> Json:
    source = request.get("FromEmailAddress", "")
    subject = request.get("Content", {}).get("Simple", {}).get("Subject", {}).get("Data", "")
    tags = {tag["Name"]: [tag["Value"]] for tag in request.get("EmailTags") or []}
    return {
        "timestamp": now,
        "source": source,
        "sourceArn": _arn(f"identity/{parseaddr(source)[1]}"),
        "sendingAccountId": get_account_id(),
        "messageId": message_id,
        "destination": recipients,
        "headersTruncated": False,
        "headers": [],
        "commonHeaders": {"from": [source], "to": recipients, "messageId": message_id, "subject": subject},
        "tags": {
            "ses:configuration-set": [name],
            "ses:from-domain": [parseaddr(source)[1].rpartition("@")[2]],
            **tags,
        },
    }


def _arn(resource: str) -> str:
    return f"arn:aws:ses:{get_region()}:{get_account_id()}:{resource}"
