"""A document as HTML, Markdown and LaTeX, whatever its texts hold."""

import re
from pathlib import Path

import jinja2

_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    **{special: f"\\{special}" for special in "&%$#_{}"},
}  # fmt: skip
_MARKDOWN = re.compile(r"([\\`*_\[\]|#!~$])")


def html(document):
    """Return the page: everything is escaped, nothing is loaded from elsewhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("_page.html.jinja").render(document=document)


def markdown(document):
    """Return the report without its pictures as Markdown."""
    lines = [f"# {markdown_text(document.title)}", ""]
    for banner in document.banners:
        lines += [f"**{markdown_text(banner)}**", ""]
    for question, sentences in document.answers:
        lines += [f"## {question}", "", *(f"- {markdown_text(one)}" for one in sentences), ""]
    for section in document.sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [markdown_text(paragraph), ""]
        for table in section.tables:
            lines += [*_markdown_table(table), ""]
        if section.points:
            lines += [*(f"- {markdown_text(point)}" for point in section.points), ""]
        if section.pictures:
            lines += ["Pictures are in report.html.", ""]
    return "\n".join(lines)


def _markdown_table(table):
    lines = [f"*{markdown_text(table.caption)}*", ""]
    rows = [table.columns, ["---"] * len(table.columns)]
    rows += [[markdown_text(cell) for cell in row] for row in table.rows]
    rows[0] = [markdown_text(cell) for cell in rows[0]]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def markdown_text(text):
    """Return a text that Markdown shows as it is."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", text)


def latex(table):
    """Return a table for a document with the package booktabs."""
    kinds = "l" * len(table.columns)
    lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", _latex_row(table.columns), r"\midrule"]
    lines += [_latex_row(row) for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_row(cells):
    # After the end of a row, "[" and "*" would belong to it.
    return "{}" + " & ".join(latex_text(cell) for cell in cells) + r" \\"


def latex_text(text):
    """Return a text that LaTeX sets as it is."""
    return "".join(_LATEX.get(character, character) for character in text)
