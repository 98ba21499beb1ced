"""Retries a table's changes as AWS does.

The emulator knows nothing of partial failures (`ReportBatchItemFailures`), bisecting and counted
retries: it takes every answer for success, and repeats a failed batch as a whole until it is too old.
Here a batch continues at the first change its function reported as failed; one that fails as a whole
is halved; and a single change that keeps failing goes to the mapping's failure queue, so that the
changes behind it are not held up.
"""

from __future__ import annotations

import time
from typing import Any

from ministack.services import lambda_svc

Json = dict[str, Any]

SECONDS_BETWEEN_ATTEMPTS = 0.5


def install() -> None:
    """Has the emulator hand batches of changes to functions through `_deliver`."""
    execute = lambda_svc._execute_function

    def execute_with_retries(function: Json, event: Any, *rest: Any, **options: Any) -> Json:
        records = event.get("Records") if isinstance(event, dict) else None
        if not records or records[0].get("eventSource") != "aws:dynamodb":
            return execute(function, event, *rest, **options)
        mapping = _mapping(function, records[0]["eventSourceARN"])

        def call(batch: list[Json]) -> Json:
            return execute(function, {"Records": batch}, *rest, **options)

        return _deliver(function, mapping, records, call)

    lambda_svc._execute_function = execute_with_retries


def _deliver(function: Json, mapping: Json, records: list[Json], call: Any) -> Json:
    """Calls until every record is processed or given up; answers like the last call."""
    attempts = 1 + int(mapping.get("MaximumRetryAttempts", 2)) if len(records) == 1 else 1
    result: Json = {}
    for attempt in range(attempts):
        if attempt:
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        result = call(records)
        left = _unprocessed(records, result)
        if not left:
            return result
        if len(left) < len(records):
            return _deliver(function, mapping, left, call)
    if len(records) > 1:
        middle = len(records) // 2
        _deliver(function, mapping, records[:middle], call)
        return _deliver(function, mapping, records[middle:], call)
    lambda_svc._send_ddb_stream_failure_record(
        mapping, function, records, records[0]["eventSourceARN"], result, "RetryAttemptsExhausted"
    )
    return {**result, "error": False}


def _unprocessed(records: list[Json], result: Json) -> list[Json]:
    """The records from the first one that failed."""
    if result.get("error"):
        return records
    answer = result.get("body")
    failures = (answer.get("batchItemFailures") if isinstance(answer, dict) else None) or []
    failed = {failure.get("itemIdentifier") for failure in failures}
    if not failed:
        return []
    for index, record in enumerate(records):
        if record["dynamodb"]["SequenceNumber"] in failed:
            return records[index:]
    return records


def _mapping(function: Json, stream: str) -> Json:
    name = (function.get("config") or function)["FunctionName"]
    for _, _, mapping in lambda_svc._iter_all_esms():
        if mapping.get("EventSourceArn") == stream and mapping["FunctionName"].endswith(name):
            return dict(mapping)
    return {}
