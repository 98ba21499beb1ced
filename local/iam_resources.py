"""Names the resource of two calls whose policies the emulator would check against something else.

With `AUTH=true` the emulator checks a mail against `*` instead of the sender's identity, and every
schedule as if it stood in the group `default`.
"""

from __future__ import annotations

import json
import re
from email.utils import parseaddr
from typing import Any

from ministack.core import iam_actions


def install() -> None:
    """Has the emulator check `ses:SendEmail` and the calls of Scheduler as AWS does."""
    extract = iam_actions.extract_resource_arn

    def extract_as_aws(
        service: str,
        method: str,
        path: str,
        headers: dict[str, Any],
        body: bytes,
        query: dict[str, Any],
        region: str,
        account: str,
    ) -> Any:
        if service == "ses" and path.rstrip("/").endswith("/outbound-emails"):
            sender = parseaddr(json.loads(body or b"{}").get("FromEmailAddress", ""))[1]
            return f"arn:aws:ses:{region}:{account}:identity/{sender}"
        if service == "scheduler" and (schedule := re.fullmatch(r"/schedules/([^/]+)", path)):
            group = json.loads(body or b"{}").get("GroupName") or (query.get("groupName") or ["default"])[0]
            return f"arn:aws:scheduler:{region}:{account}:schedule/{group}/{schedule[1]}"
        return extract(service, method, path, headers, body, query, region, account)

    iam_actions.extract_resource_arn = extract_as_aws
