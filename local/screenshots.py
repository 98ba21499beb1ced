"""Takes the pictures of mails under docs/screenshots, with a headless Chromium.

    python3 local/screenshots.py [--all FOLDER]

Without an argument, the pictures the documents show are written to docs/screenshots. With `--all`,
every letter in every language is pictured at 360 and 1280 pixels, light and dark, to be looked at.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "screenshots"

#: What the documents show: every letter at both widths, in the languages by turns, some of them dark.
LETTERS = {
    "invitation": "fr", "reminder": "de", "account-created-link": "es", "account-created-password": "fr",
    "account-created": "en", "added": "de", "access-opened": "fr", "redeemed": "es", "password-reset": "fr",
    "code-sent": "es", "import-finished": "en", "stock-low": "de", "contract-ending": "en", "address-proof": "fr", "erasure": "en",
    "seat-unused": "de",
}
DARK = {("fr-invitation", 360), ("de-stock-low", 360), ("es-code-sent", 1280)}

#: A page shows a mail in a frame, since no window is as narrow as a phone.
FRAME = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="{scheme}">
<style>html, body {{ margin: 0; background: {ground} }} iframe {{ border: 0; width: {width}px; height: {height}px }}</style>
<iframe src="{source}"></iframe>"""

GROUNDS = {"light": "#f3f4f6", "dark": "#121417"}
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--force-device-scale-factor=1", "--allow-file-access-from-files",
]
HEIGHTS = {360: 1150, 1280: 960}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="picture everything into FOLDER")
    args = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if chromium is None:
        print("no Chromium is installed (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        letters = Path(scratch) / "letters"
        command = ["cargo", "run", "--quiet", "--locked", "-p", "seatkeeper-mail", "--example", "letters", "--"]
        subprocess.run([*command, str(letters)], cwd=ROOT, check=True)
        both = [(f"{language}-{letter}", width) for letter, language in LETTERS.items() for width in HEIGHTS]
        wanted = [(*shown, "dark" if shown in DARK else "light") for shown in both]
        wanted.append(("en-invitation", 1280, "light"))
        folder = DOCS
        if args.all:
            folder = args.all
            names = sorted(path.stem for path in letters.glob("*.html"))
            wanted = [(name, width, scheme) for name in names for width in HEIGHTS for scheme in GROUNDS]
        folder.mkdir(parents=True, exist_ok=True)
        for name, width, scheme in wanted:
            target = folder / f"mail-{name}-{width}-{scheme}.png"
            picture(chromium, Path(scratch), letters / f"{name}.html", width, scheme, target)
            print(target.relative_to(ROOT) if target.is_relative_to(ROOT) else target)
    return 0


def picture(chromium: str, scratch: Path, letter: Path, width: int, scheme: str, target: Path) -> None:
    """Pictures one mail, and cuts off what stands empty below it."""
    height = HEIGHTS[width]
    page = scratch / "frame.html"
    page.write_text(
        FRAME.format(scheme=scheme, ground=GROUNDS[scheme], width=width, height=height, source=letter.as_uri())
    )
    shot = scratch / "shot.png"
    flags = [*FLAGS, f"--user-data-dir={scratch / 'profile'}", f"--window-size={max(width, 800)},{height}"]
    flags.append(f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}")
    run = subprocess.run([chromium, *flags, f"--screenshot={shot}", page.as_uri()], capture_output=True, check=False)
    if run.returncode or not shot.exists():
        raise SystemExit(f"Chromium took no picture of {letter.name}")
    crop(shot, target, width)


def crop(source: Path, target: Path, width: int) -> None:
    """Keeps the first `width` columns, and the rows down to the last that is not all one color."""
    columns, rows, channels, lines = decode(source.read_bytes())
    width = min(width, columns)
    cut = [line[: width * channels] for line in lines]
    blank = cut[-1][:channels] * width
    while len(cut) > 1 and cut[-1] == blank:
        cut.pop()
    cut += [blank] * min(24, rows - len(cut))
    target.write_bytes(encode(width, cut, channels))


def decode(png: bytes) -> tuple[int, int, int, list[bytes]]:
    """The rows of a PNG of 8 bits a channel, not interlaced, which is what Chromium writes."""
    place, data, columns, rows, channels = 8, b"", 0, 0, 3
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        body = png[place + 8 : place + 8 + length]
        place += length + 12
        if kind == b"IHDR":
            columns, rows, _, color = struct.unpack(">IIBB", body[:10])
            channels = {2: 3, 6: 4}[color]
        elif kind == b"IDAT":
            data += body
    raw, stride, lines = zlib.decompress(data), columns * channels, []
    before = bytearray(stride)
    for row in range(rows):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1 : start + 1 + stride])
        unfilter(raw[start], line, before, channels)
        lines.append(bytes(line))
        before = line
    return columns, rows, channels, lines


def unfilter(kind: int, line: bytearray, above: bytearray, channels: int) -> None:
    """Undoes the filter of a row (PNG specification, 9.2)."""
    for place in range(len(line)):
        left = line[place - channels] if place >= channels else 0
        up = above[place]
        corner = above[place - channels] if place >= channels else 0
        if kind == 1:
            add = left
        elif kind == 2:
            add = up
        elif kind == 3:
            add = (left + up) // 2
        elif kind == 4:
            guess = left + up - corner
            add = min((left, up, corner), key=lambda near: abs(guess - near))
        else:
            return
        line[place] = (line[place] + add) & 255


def encode(columns: int, lines: list[bytes], channels: int) -> bytes:
    """A PNG of these rows, without alpha: by palette where there are few enough colors."""
    pixels = [[line[at : at + 3] for at in range(0, len(line), channels)] for line in lines]
    colors = sorted({pixel for line in pixels for pixel in line})
    if len(colors) <= 256:
        place = {color: number for number, color in enumerate(colors)}
        body = b"".join(b"\0" + bytes(place[pixel] for pixel in line) for line in pixels)
        kind, palette = 3, chunk(b"PLTE", b"".join(colors))
    else:
        body = b"".join(b"\0" + b"".join(line) for line in pixels)
        kind, palette = 2, b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, len(lines), 8, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + palette + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


if __name__ == "__main__":
    sys.exit(main())
