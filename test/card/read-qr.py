"""Prints what a QR code says: standard input has its modules, 0 or 1 each, a row a line."""

import sys

import zbar

SCALE = 4
rows = sys.stdin.read().split()
pixels = b"".join(
    b"".join((b"\x00" if module == "1" else b"\xff") * SCALE for module in row) * SCALE for row in rows
)
image = zbar.Image(len(rows[0]) * SCALE, len(rows) * SCALE, "Y800", pixels)
scanner = zbar.ImageScanner()
scanner.parse_config("enable")
assert scanner.scan(image) == 1, "one code is found"
for symbol in image:
    sys.stdout.write(symbol.data)
