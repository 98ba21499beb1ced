"""Two things the emulator gets wrong when it saves its state and finds it again.

It forgets the mails that were sent; and it remembers how far each function had read a table's stream
but not the stream, so that the first changes after a restart would pass unread.
"""

from __future__ import annotations

import copy
from typing import Any

from ministack.services import lambda_svc, ses

Json = dict[str, Any]


def install() -> None:
    """Keeps the inbox and has the functions read a stream that starts anew from its start."""
    _keep_inbox()
    _read_streams_from_their_start()


def _keep_inbox() -> None:
    get_state, load = ses.get_state, ses.load_persisted_state

    def get_state_with_inbox() -> Json:
        return {**get_state(), "_sent_emails": copy.deepcopy(ses._sent_emails)}

    def load_with_inbox(data: Json) -> None:
        load(data)
        if "_sent_emails" in data:
            ses._sent_emails.update(data["_sent_emails"])

    ses.get_state, ses.load_persisted_state = get_state_with_inbox, load_with_inbox


def _read_streams_from_their_start() -> None:
    load = lambda_svc.load_persisted_state

    def load_without_positions(data: Json) -> None:
        load({key: value for key, value in data.items() if key != "dynamodb_stream_positions"})

    lambda_svc.load_persisted_state = load_without_positions
