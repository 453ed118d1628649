"""The report of a run: one HTML page that holds its pictures and its style."""

import base64
import struct
from collections.abc import Sequence
from html import escape
from itertools import count
from typing import NamedTuple

_PNG, _GIF = b"\x89PNG\r\n\x1a\n", b"GIF8"


class Picture(NamedTuple):
    """A picture in a report.

    Attributes:
      data: the bytes of a PNG or a GIF.
      alt: what the picture shows, for readers who cannot see it.
      caption: the text below it.
    """

    data: bytes
    alt: str
    caption: str


class Table(NamedTuple):
    """A table in a report; the first cell of a row names the row.

    Attributes:
      header: the names of the columns.
      rows: the cells of each row, as text.
      caption: the text above it; may be "".
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


class Section(NamedTuple):
    """A part of a report.

    Attributes:
      title: its heading.
      text: paragraphs, separated by empty lines; may be "".
      blocks: pictures and tables, in order.
    """

    title: str
    text: str = ""
    blocks: Sequence[Picture | Table] = ()


def render_report(
    title: str, summary: Sequence[tuple[str, str]], sections: Sequence[Section]
) -> str:
    """Render an HTML page with its style and pictures inside it; it loads nothing else.

    All text is escaped. Pictures and tables are numbered through the page, each from 1.

    Args:
      title: of the page.
      summary: (name, value) pairs, the main figures, at the top.
      sections: the rest of the page, in order.

    Returns:
      The page.

    Raises:
      ValueError: for a picture that is neither PNG nor GIF or lacks its alt text, for a row
        whose cells do not fit the header, and for a block of another kind.

    Example:
      >>> page = render_report("A run", [("error", "1.2 %")], [Section("Data", "60 images.")])
      >>> "<h2>Data</h2>" in page
      True
    """
    numbers = {Picture: count(1), Table: count(1)}
    body = "\n".join(_section(section, numbers) for section in sections)
    figures = "".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for what, value in summary
    )
    facts = f'<dl class="summary">{figures}</dl>\n' if figures else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{facts}{body}\n</main>\n</body>\n</html>\n"
    )


def _section(section: Section, numbers: dict) -> str:
    texts = [text.strip() for text in section.text.split("\n\n")]
    paragraphs = [f"<p>{escape(text)}</p>" for text in texts if text]
    blocks = [_block(block, numbers) for block in section.blocks]
    lines = "\n".join([f"<h2>{escape(section.title)}</h2>", *paragraphs, *blocks])
    return f"<section>\n{lines}\n</section>"


def _block(block: Picture | Table, numbers: dict) -> str:
    if type(block) not in numbers:
        raise ValueError(f"blocks must be Picture or Table; got {type(block).__name__}")
    number = next(numbers[type(block)])
    return _picture(block, number) if isinstance(block, Picture) else _table(block, number)


def _picture(picture: Picture, number: int) -> str:
    if not picture.alt.strip():
        raise ValueError("alt must say what the picture shows; got nothing")
    kind, width, height = _measure(picture.data)
    source = f"data:image/{kind};base64,{base64.b64encode(picture.data).decode()}"
    # Width and height keep the page from jumping while pictures are decoded.
    return (
        f'<figure><img src="{source}" alt="{escape(picture.alt)}" width="{width}" '
        f'height="{height}"><figcaption><b>Figure {number}.</b> {escape(picture.caption)}'
        "</figcaption></figure>"
    )


def _measure(data: bytes) -> tuple[str, int, int]:
    """Read kind, width and height from the first bytes of a file."""
    if data.startswith(_PNG) and len(data) >= 24:
        return "png", *struct.unpack(">II", data[16:24])
    if data.startswith(_GIF) and len(data) >= 10:
        return "gif", *struct.unpack("<HH", data[6:10])
    raise ValueError(f"data must be the bytes of a PNG or a GIF; got {data[:8]!r}")


def _table(table: Table, number: int) -> str:
    for row in table.rows:
        if len(row) != len(table.header):
            raise ValueError(f"rows must have {len(table.header)} cells; got {len(row)}: {row!r}")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    lines = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for first, *cells in table.rows
    )
    name = f"Table {number}. {table.caption}".strip()
    # A box that scrolls sideways must be reachable by keyboard, and say what it is.
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}"><table>'
        f"<caption><b>Table {number}.</b> {escape(table.caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"
    )


_STYLE = """
:root { --ink: #1f2328; --faint: #5b636e; --line: #d9dde2; --page: #fbfbfa; --card: #fff;
  --focus: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e5e8; --faint: #a2aab4;
  --line: #3a4048; --page: #16181c; --card: #1f2227; --focus: #56b4e9; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0 0 1.75rem;
  letter-spacing: -0.01em; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3.25rem 0 0.75rem; }
p { margin: 0 0 1rem; max-width: 40rem; overflow-wrap: anywhere; white-space: pre-line; }
.summary { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: 1.1rem 1.5rem; margin: 0; padding: 1.25rem 0; border-block: 1px solid var(--line); }
dt, figcaption, caption { color: var(--faint); font-size: 0.875rem; line-height: 1.45; }
dd { margin: 0; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
figure { margin: 1.75rem 0; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; padding: 0.75rem;
  background: #fff; border: 1px solid var(--line); border-radius: 0.75rem; }
figcaption { margin-top: 0.6rem; max-width: 40rem; }
.scroll { overflow-x: auto; margin: 1.75rem 0; }
.scroll:focus-visible { outline: 2px solid var(--focus); outline-offset: 4px; }
table { border-collapse: collapse; min-width: 100%; font-size: 0.9375rem; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.6rem; }
th, td { padding: 0.45rem 0.9rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; padding-left: 0; }
tr > :last-child { padding-right: 0; }
thead th { font-weight: 600; border-bottom: 2px solid var(--line); }
tbody th { font-weight: 400; }
@media print { body { background: #fff; } figure, .scroll { break-inside: avoid; } }
"""
