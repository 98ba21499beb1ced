"""The emulator's process: MiniStack, with the SES events it lacks."""

from __future__ import annotations


def main() -> None:
    import ses_events
    from ministack.app import main as serve

    ses_events.install()
    serve()


if __name__ == "__main__":
    main()
