"""Pieces of HTML; every text is escaped here and nowhere else."""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from kasmina.report.tables import Cell, Link, Table


@dataclass(frozen=True)
class Plate:
    """A figure as it stands on the page: PNG bytes for wide and for narrow screens.

    Args:
        alt: what is to be seen, for those who cannot.
    """

    name: str
    title: str
    caption: str
    alt: str
    wide: bytes
    narrow: bytes


@dataclass(frozen=True)
class Card:
    """A number that is worth a glance, with a word above and a note below."""

    label: str
    value: str
    note: str = ""


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def plate(it: Plate) -> str:
    """A section with the figure and how to read it."""
    return f"""
<section aria-labelledby="{it.name}">
<h2 id="{it.name}">{escape(it.title)}</h2>
<figure>
<picture>
<source media="(max-width: 640px)" srcset="{_data(it.narrow)}">
<img src="{_data(it.wide)}" alt="{escape(it.alt)}">
</picture>
<figcaption>{escape(it.caption)}</figcaption>
</figure>
</section>"""


def paragraphs(texts: Sequence[str]) -> str:
    """The first large, the others as notes."""
    classes = ["lead", *["note"] * (len(texts) - 1)]
    pairs = zip(classes, texts, strict=True)
    return "\n".join(f'<p class="{kind}">{_prose(text)}</p>' for kind, text in pairs)


def _prose(text: str) -> str:
    """Keep a number and its unit on one line."""
    return re.sub(r"(?<=\d) (?=%|[MGTPE]?FLOP\b|± )|(?<=±) |(?<=&lt;) ", "&nbsp;", escape(text))


def cards(items: Iterable[Card]) -> str:
    """A row of numbers that wraps."""
    return "\n".join(['<dl class="cards">', *map(_card, items), "</dl>"])


def _card(it: Card) -> str:
    note = f'<dd class="under">{escape(it.note)}</dd>' if it.note else ""
    return f"<div><dt>{escape(it.label)}</dt><dd>{escape(it.value)}</dd>{note}</div>"


def table(it: Table) -> str:
    """A section with the table in a box of its own that scrolls."""
    name = it.caption.lower().replace(" ", "-")
    note = f'<p class="note">{escape(it.note)}</p>' if it.note else ""
    return f"""
<section aria-labelledby="{name}">
<h2 id="{name}">{escape(it.caption)}</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}">
<table>
<thead><tr>{_row(it, it.head, "th")}</tr></thead>
<tbody>
{_body(it)}
</tbody>
</table>
</div>
{note}
</section>"""


def _body(it: Table) -> str:
    return "\n".join(f"<tr>{_row(it, row, 'td')}</tr>" for row in it.rows)


def _row(it: Table, cells: Sequence[Cell], kind: str) -> str:
    pairs = zip(it.head, cells, strict=True)
    return "".join(_cell(cell, kind, look=_look(it, head)) for head, cell in pairs)


def _look(it: Table, head: str) -> str:
    if head in it.numeric:
        return ' class="number"'
    return ' class="prose"' if head in it.prose else ""


def _cell(cell: Cell, kind: str, *, look: str) -> str:
    inner = escape(cell) if isinstance(cell, str) else _anchor(cell)
    scope = ' scope="col"' if kind == "th" else ""
    return f"<{kind}{scope}{look}>{inner}</{kind}>"


def _anchor(link: Link) -> str:
    return f'<a href="{escape(link.href)}">{escape(link.text)}</a>'


def folded(title: str, text: str) -> str:
    """Preformatted text behind a line that opens it."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
