//! The edge: callers, request bodies, problem answers, idempotency, pages, telemetry.
