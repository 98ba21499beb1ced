"""Lets callers of the HTTP API wait in line, where Lambda would start as many functions as there are calls.

The emulator runs each call under way in a process of its own and, beyond what memory allows, turns callers away
with 429. A few processors serve a crowd no sooner with hundreds of processes than with some; so here a call waits
until one of its function's places is free. No function of the product calls another one through the API, which would
wait for the place it has.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from ministack.services import lambda_svc

Json = dict[str, Any]

#: Calls of one function that are under way at once.
PLACES = 48


def install() -> None:
    """Has API Gateway's calls of functions wait for a place."""
    execute = lambda_svc._execute_function_with_config_scope
    places: defaultdict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(PLACES))
    making = threading.Lock()

    def execute_in_line(function: Json, event: Any) -> Json:
        config = function.get("config") or function
        with making:
            line = places[config["FunctionName"]]
        with line:
            return execute(function, event)

    lambda_svc._execute_function_with_config_scope = execute_in_line
