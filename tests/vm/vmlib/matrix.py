# SPDX-License-Identifier: GPL-2.0
"""The table of all devices in all their shapes on all kernels: what became of each cell, printed and kept as a page.

A test whose `cell` parameter is a Cell is one; its file's NOT_OFFERED has those that there are no devices for.
"""

import html
from typing import NamedTuple

from .host import BUILD

PAGE = BUILD / "transports.html"
PASSED, FAILED, SKIPPED, NONE = "ok", "FAILED", "skipped", "not offered"
_ORDER = (PASSED, SKIPPED, FAILED)


class Cell(NamedTuple):
    """A device: of what kind, by which interface, on which board, with how many MSI-X vectors."""
    kind: str
    transport: str
    board: str
    vectors: str

    def __str__(self):
        return "-".join(self)


class Matrix:
    """What is known of the cells, {(kernel, *cell): outcome}, and why some are not offered, {cell: reason}."""

    def __init__(self):
        self.outcomes = {}
        self.reasons = {}

    def note(self, report):
        """Takes what a report says of a cell, if it is of one; the worst of its phases counts."""
        for name, value in report.user_properties:
            if name == "cell" and (report.when == "call" or report.outcome != "passed"):
                key = tuple(value)
                now = {"passed": PASSED, "skipped": SKIPPED}.get(report.outcome, FAILED)
                self.outcomes[key] = max(self.outcomes.get(key, now), now, key=_ORDER.index)
            elif name == "not-offered":
                self.reasons.update({tuple(cell): reason for cell, reason in value})

    def _lines(self):
        """[(row's name, [what is in each column])] and the columns' names."""
        kernels = list(dict.fromkeys(key[0] for key in self.outcomes))
        kinds = list(dict.fromkeys(key[1] for key in (*self.outcomes, *((None, *cell) for cell in self.reasons))))
        shapes = list(dict.fromkeys(key[2:] for key in self.outcomes))
        lines = []
        for kernel in kernels:
            for shape in shapes:
                found = [self.outcomes.get((kernel, kind, *shape)) or
                         (NONE if (kind, *shape) in self.reasons else "-") for kind in kinds]
                if set(found) - {"-", NONE}:
                    lines.append(((kernel, *shape), found))
        return lines, kinds

    def text(self):
        """The table as lines."""
        rows, kinds = self._lines()
        heads = ("kernel", "transport", "board", "vectors")
        table = [[*heads, *kinds], *([*row, *found] for row, found in rows)]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
        return lines + [f"{NONE}: {'-'.join(cell)}: {reason}" for cell, reason in self.reasons.items()]

    def write(self):
        """The table as a page."""
        rows, kinds = self._lines()
        cells = ["<tr>" + "".join(f"<th>{html.escape(name)}</th>"
                                  for name in ("kernel", "transport", "board", "vectors", *kinds)) + "</tr>"]
        for row, found in rows:
            cells.append("<tr>" + "".join(f"<td>{html.escape(name)}</td>" for name in row) +
                         "".join(f'<td class="{name.split()[0].strip("-") or "none"}">{html.escape(name)}</td>'
                                 for name in found) + "</tr>")
        notes = "".join(f"<li>{html.escape('-'.join(cell))}: {html.escape(reason)}</li>"
                        for cell, reason in self.reasons.items())
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>virtio-modern: devices"
                        "</title><style>\nbody { font-family: sans-serif } table { border-collapse: collapse }\n"
                        "td, th { border: 1px solid #999; padding: .2em .6em; text-align: left }\n"
                        ".ok { background: #cec } .FAILED { background: #f99 } .skipped, .not { background: #eec }\n"
                        "</style></head><body>\n<h1>Devices by kernel, transport, board and vectors</h1>\n<table>\n" +
                        "\n".join(cells) + "\n</table>\n" +
                        (f"<h2>Not offered by QEMU</h2>\n<ul>{notes}</ul>\n" if notes else "") + "</body></html>\n",
                        encoding="utf-8")


MATRIX = Matrix()
