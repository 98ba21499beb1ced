"""The emulator's process: MiniStack, with what it lacks of SES, IAM, streams, crowds and persistence."""

from __future__ import annotations

import os
import signal
import sys
import threading


def main() -> None:
    # Not an argument of MiniStack's.
    if "--until-eof" in sys.argv:
        sys.argv.remove("--until-eof")
        threading.Thread(target=_end_at_eof, daemon=True).start()

    from hypercorn.config import Config
    from ministack.app import main as serve

    import crowds
    import iam_resources
    import restarts
    import ses_events
    import stream_retries

    crowds.install()
    iam_resources.install()
    ses_events.install()
    restarts.install()
    stream_retries.install()
    # Hypercorn turns callers away beyond a hundred that wait to be let in; API Gateway does not.
    Config.backlog = 1024
    serve()


def _end_at_eof() -> None:
    """Ends this process and those of the functions, which are of its group, when standard input does."""
    with open(sys.stdin.fileno(), "rb", closefd=False) as pipe:
        while pipe.read(4096):
            pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
