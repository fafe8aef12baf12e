"""Every citation resolves: a section of a document, a finding, a rule or law of docs/safety.md, an ADR, a link's anchor.

    safety.md section 4, azure-facts.md section 2     a numbered heading of that document
    docs/preflight.md, The fence rehearsal            a heading by its words
    finding 8 · R4 · F2 · S1r · L3                    listed in docs/safety.md
    ADR 7                                             docs/adr/0007-*.md
    [text](page.md#anchor)                            a heading of that page

What is cited by another form (`design section 3`) names a document that is not in the repository.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TEXTS = (
    "*.py",
    "*.md",
    "*.bicep",
    "*.bicepparam",
    "*.pml",
    "*.yaml",
    "*.toml",
    "*.sh",
    "*.j2",
    "*.service",
    "Makefile",
)
NOT_SEARCHED = (
    "CHANGELOG.md",  # what was cited then
    "tests/architecture/test_citations.py",  # examples of what does not resolve
    "tests/fixtures/",  # recordings, and others' documents
    "tests/unit/goldens/",  # rendered for other vendors: their words
    "function_app/render/templates/",
)

SECTION = re.compile(r"\b([\w-]+)\.md,? sections? (\d+[a-z]?)((?:(?:, | and )\d+[a-z]?\b)*)")
HEADING = re.compile(r"docs/([\w-]+)\.md, ([A-Z`][\w' ?`-]*\w`?)")
FINDING = re.compile(r"\b[Ff]indings? (\d+)((?:(?:, | and | to |-)\d+)*)")
LISTED = re.compile(r"\b([RFSL]\d{1,2}r?)\b(?!\.\d)")  # longer numbers are ruff's
ADR = re.compile(r"\bADRs? (\d+)((?:(?:, | and |/)\d+)*)")
ELSEWHERE = re.compile(
    r"\b(?:the )?(design(?:\.md)? (?:sections?|decisions?) \d+|safety (?:rule|section|finding|law) \w*\d\w*"
    r"|azure-facts(?!\.md)|azure-facts\.md(?! sections? \d|[#)`\]])|(?:house|design|peers)\.md)"
)
PAGE = re.compile(r"(?<![\w/.])(?:docs/[\w./-]+\.(?:md|pml|svg)|adr/[\w-]+\.md)\b")
PLACE = re.compile(r"(?<![\w/.(])docs/([\w./-]+\.md)#([\w-]+)")
BREAK = re.compile(r"\n[ \t]*(?:(?:#|//|--|\*)[ \t]+)?")
"""Where a sentence goes on in the next line, also of a comment."""
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)")


def texts() -> dict[str, str]:
    """Every file of the repository that may cite, by its name."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *TEXTS],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    there = [name for name in listed if (ROOT / name).is_file() and not name.startswith(NOT_SEARCHED)]
    return {name: (ROOT / name).read_text() for name in there}


@cache
def headings(page: Path) -> tuple[str, ...]:
    """The headings of a page without marks; none of a page that is not there."""
    if not page.is_file():
        return ()
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#{1,6} (.+?)\s*$", text, re.MULTILINE)
    return tuple(re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading) for heading in found)


def anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> frozenset[str]:
    return frozenset(map(anchor, headings(page)))


@cache
def sections(document: str) -> frozenset[str]:
    """The numbers of a document's headings: `2`, `2a`."""
    return frozenset(m[1] for h in headings(DOCS / f"{document}.md") if (m := re.match(r"(\d+[a-z]?)\. ", h)))


@cache
def findings() -> frozenset[str]:
    section = (DOCS / "safety.md").read_text().partition("\n## 1. Findings\n")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"^(\d+)\. ", section, re.MULTILINE))


@cache
def listed() -> frozenset[str]:
    """Rules and laws: the first cell of a row; S1r and the proofs: in bold or italics where they are defined."""
    text = (DOCS / "safety.md").read_text()
    rows = re.findall(r"^\| ([RSL]\d+) \|", text, re.MULTILINE)
    return frozenset((*rows, *re.findall(r"\*\*(S\d+r)\*\*", text), *re.findall(r"\*(F\d)\*", text)))


@cache
def decisions() -> frozenset[int]:
    return frozenset(int(page.name[:4]) for page in (DOCS / "adr").glob("[0-9][0-9][0-9][0-9]-*.md"))


def numbers(first: str, more: str) -> list[str]:
    return [first, *re.findall(r"\d+[a-z]?", more)]


def _sections_of(text: str) -> Iterator[str]:
    for document, first, more in SECTION.findall(text):
        yield from (f"{document}.md section {n}" for n in numbers(first, more) if n not in sections(document))
    for document, heading in HEADING.findall(text):
        words = re.sub("`", "", heading).casefold()
        there = [h.casefold() for h in headings(DOCS / f"{document}.md")]
        if not any(words.startswith(h) or h == words for h in there):
            yield f"docs/{document}.md, {heading}"


def _listed_of(text: str) -> Iterator[str]:
    for first, more in FINDING.findall(text):
        yield from (f"finding {n}" for n in numbers(first, more) if n not in findings())
    for first, more in ADR.findall(text):
        yield from (f"ADR {n}" for n in numbers(first, more) if int(n) not in decisions())
    yield from (mark for mark in LISTED.findall(text) if mark not in listed())
    yield from ELSEWHERE.findall(text)


def _pages_of(name: str, text: str) -> Iterator[str]:
    yield from (page for page in PAGE.findall(text) if not any((base / page).exists() for base in (ROOT, DOCS)))
    yield from (f"{page}#{wanted}" for page, wanted in PLACE.findall(text) if wanted not in anchors(DOCS / page))
    if not name.endswith(".md"):
        return
    for target, wanted in LINK.findall(text):
        page = (ROOT / name).parent / target if target else ROOT / name
        if wanted not in anchors(page.resolve()):
            yield f"{target}#{wanted}"


def joined(text: str) -> str:
    """The text with its lines joined, so that a citation may go on in the next."""
    return BREAK.sub(" ", text)


def dangling(files: Mapping[str, str]) -> list[str]:
    """Every citation that does not resolve, with the file that it stands in."""
    return [
        f"{name}: {citation}"
        for name, text in files.items()
        for citation in (*_sections_of(joined(text)), *_listed_of(joined(text)), *_pages_of(name, text))
    ]


def test_every_citation_resolves() -> None:
    assert dangling(texts()) == []


def test_the_citations_are_found_at_all() -> None:
    text = "\n".join(texts().values())
    assert len(SECTION.findall(text)) > 40
    assert len(FINDING.findall(text)) > 20
    assert len(ADR.findall(text)) > 20
    assert {"R1", "R7", "F1", "F2", "S1", "S1r", "S16", "L1", "L6"} <= listed()


@pytest.mark.parametrize(
    "text",
    [
        "every effect passes (safety.md section 11)",
        "patience (safety.md section 2z, `learn`)",
        "safety.md sections 2 and 44",
        "azure-facts.md section 9",
        "as docs/preflight.md, The fence that is not there",
        "a proof is of its operation (finding 99)",
        "Finding 0",
        "R8: there is none",
        "F3",
        "S1x is no law, S99 neither",
        "L9",
        "ADR 99",
        "ADRs 1 and 98",
        "how a pass ends (design section 4)",
        "a settled thing (azure-facts: two labs)",
        "a write meanwhile answers 409 (azure-facts.md, a page without a section)",
        "safety rule 4",
        "docs/nothing.md",
        "[words](architecture.md#no-such-heading)",
        "[here](#no-such-heading)",
        "# as safety.md\n# section 99 says",
        "it holds (safety.md,\n    sections 2 and\n    44)",
        "# as finding\n# 99 says",
        "ADRs 1 and\n98",
        "docs/safety.md#no-such-heading",
        "as adr/0099-nothing.md decides",
        "docs/adr/0099-nothing.md",
    ],
)
def test_a_dangling_citation_is_named(text: str) -> None:
    assert len(dangling({"docs/a.md": text})) == 1
    assert len(dangling({"a.py": text})) == (0 if "](" in text else 1)


@pytest.mark.parametrize(
    "text",
    [
        "safety.md section 2b, rule R4, finding 9, laws S1r and L4, ADRs 1 and 7, azure-facts.md section 3",
        "[the section](safety.md#2-behind-a-load-balancer), docs/preflight.md, The fence rehearsal",
        "noqa: S311, S603; F401; R2.1",
        "docs/safety.md#2-behind-a-load-balancer, adr/0009-the-platform-enters-through-a-placeholder.md",
        "# as safety.md\n# section 2 says, and ADR\n# 9",
    ],
)
def test_a_citation_that_resolves_is_not_named(text: str) -> None:
    assert dangling({"docs/a.md": text}) == []
