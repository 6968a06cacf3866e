"""What the site does to pages that GitHub shows as they are: a hook of MkDocs, named in mkdocs.yml.

CHANGELOG.md and CONTRIBUTING.md become pages, and so do notebooks, with what they print. A link that leads out of docs/
leads to such a page, or, where there is none (sources, results), becomes what it says. So one text serves both, and the
strict build finds links that are wrong. A table of up to four columns, or with formulas, has its headings in each cell,
so that pages.css can stack it on a phone. Each committed report of a bench becomes the page that `lossbench report
--html` makes of it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from posixpath import normpath
from typing import Any

from mkdocs.structure.files import File, Files

from lossbench.report.answer import answered
from lossbench.report.page import page
from lossbench.report.schema import read_report

ROOT = Path(__file__).parent.parent
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "README.md": "index.md"}
STACKED = (3, 4)  # columns
REPORT = re.compile(r"`(reports/[a-z-]+\.html)`")  # which only the site has
LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand beside docs/, and the notebooks."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=_told(file.abs_src_path)))
    for path in sorted((ROOT / "benchmarks" / "results").glob("bench-*.json")):
        name = f"reports/{path.stem.removeprefix('bench-')}.html"
        files.append(File.generated(config, name, content=page(answered(read_report(path)))))
    for name, told in PAGES.items():
        if not (ROOT / "docs" / told).exists():
            files.append(File.generated(config, told, abs_src_path=str(ROOT / name)))
    return files


def _told(path: str) -> str:
    """Return a notebook as a page: its text, its code, what it printed and drew."""
    parts = []
    for cell in json.loads(Path(path).read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                parts.append(f'<img alt="What the code above draws" src="data:image/png;base64,{picture.strip()}">')
            elif "text" in output:
                parts.append(f"```text\n{''.join(output['text'])}```")
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Mend the links that leave docs/."""
    from_docs = "docs" if (ROOT / "docs" / page.file.src_uri).exists() else ""

    def mended(match: re.Match[str]) -> str:
        text, target, anchor = match[1], normpath(f"{from_docs}/{match[2]}".lstrip("/")), match[3] or ""
        if not (ROOT / target).exists():
            return match[0]  # the strict build says so
        if target in PAGES:
            return f"[{text}]({PAGES[target]}{anchor})"
        return f"[{text}]({target.removeprefix('docs/')}{anchor})" if target.startswith("docs/") else text

    return REPORT.sub(r"[\1](\1)", LINK.sub(mended, markdown))


def on_page_content(html: str, **_: Any) -> str:
    """Mark the tables that a phone shows as lists."""

    def marked(match: re.Match[str]) -> str:
        heads = [re.sub("<.*?>", "", head) for head in re.findall("<th>(.*?)</th>", match[0])]
        if len(heads) not in STACKED and "formula" not in heads:
            return match[0]
        rows = match[0].split("<tr>")
        for number, row in enumerate(rows):
            labels = iter(heads)
            rows[number] = re.sub("<td>", lambda _, labels=labels: f'<td data-label="{next(labels)}">', row)
        return f'<div class="stacked">{"<tr>".join(rows)}</div>'

    return re.sub(r"<table>.*?</table>", marked, html, flags=re.DOTALL)
