"""The emulator's process: MiniStack, with what it lacks of SES, IAM, streams and persistence."""

from __future__ import annotations


def main() -> None:
    from ministack.app import main as serve

    import iam_resources
    import restarts
    import ses_events
    import stream_retries

    iam_resources.install()
    ses_events.install()
    restarts.install()
    stream_retries.install()
    serve()


if __name__ == "__main__":
    main()
