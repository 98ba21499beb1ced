"""The emulator's process: MiniStack, with what it lacks of SES, IAM and persistence."""

from __future__ import annotations


def main() -> None:
    import iam_resources
    import restarts
    import ses_events
    from ministack.app import main as serve

    iam_resources.install()
    ses_events.install()
    restarts.install()
    serve()


if __name__ == "__main__":
    main()
