"""What the documents say exists: links, files, commands with their options. Failures name document and line."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.documented_commands import commands_in, trouble_with

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SHELL = ("", "sh", "bash", "shell", "console")

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`]+)`")
_OURS = "common|webhook|worker|console|simulator|deploy|docs|tests|benchmarks"
_PATH = re.compile(rf"((?:{_OURS})/[\w./-]+|(?:{_OURS}|README|CONTRIBUTING|CHANGELOG)\.md)")
_ADDRESS = re.compile(r"(?:https?|amqps?|postgresql(?:\+psycopg)?)://(?:[^/\s@`\"')<>]*@)?([^/\s`\"')<>:|]+)")
_HOST = re.compile(
    r"(.*\.)?example(\.(com|net|org))?|localhost|127\.0\.0\.1|\[::1\]|host|rabbitmq|postgres|webhook|worker|simulator"
    r"|(graph|login|learn|dod-graph)\.microsoft(online)?\.(com|us)|(microsoftgraph|login)\.chinacloudapi\.cn"
)
_ELSEWHERE = re.compile(
    r"(?<![\w.])/(work|root|home|Users)/|\bpypi\b|docker\.io|ghcr\.io|quay\.io|npmjs", re.IGNORECASE
)
_MAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[a-z]{2,})")


@dataclass(frozen=True)
class Line:
    """A line of a document; `language` is that of the fenced block it stands in, None in prose."""

    document: Path
    number: int
    text: str
    language: str | None = None

    def says(self, trouble: str) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.number}: {trouble}"


def _lines(document: Path) -> Iterator[Line]:
    language: str | None = None
    for number, text in enumerate(document.read_text().splitlines(), start=1):
        if text.lstrip().startswith("```"):
            language = text.strip("` \t") if language is None else None
        else:
            yield Line(document, number, text, language)


def _prose(document: Path) -> Iterator[Line]:
    return (line for line in _lines(document) if line.language is None)


def _shell(document: Path) -> Iterator[Line]:
    """The commands of the fenced blocks, those that go on over several lines as one."""
    begun: Line | None = None
    for line in _lines(document):
        if line.language not in SHELL:
            continue
        text = f"{begun.text} {line.text.strip()}" if begun else line.text.strip()
        begun = None
        whole = Line(document, line.number, text.removesuffix("\\"), line.language)
        if text.endswith("\\"):
            begun = whole
        else:
            yield whole


def _spans(document: Path) -> Iterator[Line]:
    return (Line(document, line.number, span) for line in _prose(document) for span in _SPAN.findall(line.text))


def _anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as they are made where it is shown."""
    anchors: set[str] = set()
    seen: Counter[str] = Counter()
    for line in _prose(document):
        heading = re.match(r"#{1,6} (.*)", line.text)
        if heading:
            slug = re.sub(r"[^\w\- ]", "", heading[1].strip().lower()).replace(" ", "-")
            anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return anchors


def _is_ignored_by_git(path: str) -> bool:
    """Whether git would ignore it, were it there: as a file or as a folder."""
    command = ["git", "check-ignore", path, f"{path}/"]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0


def _troubles_of_links(document: Path) -> Iterator[str]:
    for line in _prose(document):
        for target in _LINK.findall(_SPAN.sub("", line.text)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (document.parent / path).resolve() if path else document
            if not file.exists():
                yield line.says(f"links to {path}, which does not exist")
            elif anchor and anchor not in _anchors(file):
                yield line.says(f"links to {target}, but there is no such heading")


def _troubles_of_files(document: Path) -> Iterator[str]:
    for line in _spans(document):
        match = _PATH.fullmatch(line.text)
        if match and not (ROOT / match[1]).exists() and not _is_ignored_by_git(match[1]):
            yield line.says(f"names the file {match[1]}, which does not exist")


def _troubles_of_commands(document: Path) -> Iterator[str]:
    named = (line for line in _spans(document) if line.text.startswith(("make ", "entra-sms ", "python -m ")))
    for line in (*_shell(document), *named):
        try:
            commands = [] if "…" in line.text or "..." in line.text else list(commands_in(line.text))
        except ValueError:  # no shell, but something that looks like it
            continue
        for command in commands:
            trouble = trouble_with(command)
            if trouble:
                yield line.says(f"{' '.join(command)}: {trouble}")


def _troubles_of_names(document: Path) -> Iterator[str]:
    for line in _lines(document):
        for host in _ADDRESS.findall(line.text):
            if not _HOST.fullmatch(host) and not re.search(r"[{$…]|^\.\.\.$", host):
                yield line.says(f"names the host {host}")
        for place in _ELSEWHERE.findall(line.text):
            yield line.says(f"names {place}, which is of one machine or one registry")
        for domain in _MAIL.findall(line.text):
            if not _HOST.fullmatch(domain):
                yield line.says(f"names an address at {domain}")


@pytest.mark.parametrize(
    "troubles_of",
    [_troubles_of_links, _troubles_of_files, _troubles_of_commands, _troubles_of_names],
    ids=["links", "files", "commands", "names"],
)
def test_everything_that_the_documents_name_exists_and_belongs_there(
    troubles_of: Callable[[Path], Iterator[str]],
) -> None:
    troubles = [trouble for document in DOCUMENTS for trouble in troubles_of(document)]
    assert not troubles, "\n" + "\n".join(troubles)


def test_every_document_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document in seen or not document.is_file():
            continue
        seen.add(document)
        targets = (target for line in _prose(document) for target in _LINK.findall(line.text))
        waiting += [(document.parent / target.partition("#")[0]).resolve() for target in targets if ".md" in target]
    pages = set((ROOT / "docs").rglob("*.md"))
    assert {str(path.relative_to(ROOT)) for path in pages - seen} == set()


def test_contributing_fits_on_two_pages() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 100


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("entra-sms tenant list", "No such command"),
        ("entra-sms sync --ful --wait", "No such option"),
        ("entra-sms sync --stream everybody", "everybody"),
        ("entra-sms status extra", "too many"),
        ("A=1 entra-sms contacts export --format csv > people.csv && entra-sms contacts exprot", "exprot"),
        ("var/venv/bin/python -m workers", "no module"),
        ("python -m worker --threads 3", "--threads"),
        ("python -m simulator --users many", "many"),
        ("python -m simulator certificate --nam webhook", "--nam"),
        ("python deploy/nothing.py", "no file"),
        ("make demo SECOND=3", "SECOND"),
        ("make deom", "deom"),
        ("gunicorn -c deploy/gunicorn.py webhook.wsgi:app", "no file"),
        ("sh deploy/secrets.sh", "no file"),
        ("docker compose -f docker-compose.yaml up", "no file"),
        ("docker compose --profile test up", "no profile"),
        ("docker compose exec console entra-sms status", "no service"),
        ("docker compose exec -T worker entra-sms statsu", "statsu"),
    ],
)
def test_a_command_that_does_not_exist_is_found_out(line: str, fragment: str) -> None:
    assert fragment in " ".join(trouble_with(command) or "" for command in commands_in(line))


@pytest.mark.parametrize(
    "line",
    [
        "entra-sms tenants add --name 'A B' --client-secret-file - < secret.txt",
        "entra-sms contacts list --search anna | head -3  # a comment",
        "ENTRA_SMS_LOG_FORMAT=text python -m worker",
        "make smoke FAULTS=all WORKERS=2",
        "docker compose exec worker entra-sms sync --full --wait",
        "curl --silent https://localhost/",
    ],
)
def test_a_command_that_exists_passes(line: str) -> None:
    assert [trouble_with(command) for command in commands_in(line) if trouble_with(command)] == []


def test_links_and_files_that_do_not_exist_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One heading: here\n\n[a](#one-heading-here) [b](#nowhere)\n[c](missing.md)\n`deploy/missing.yml`\n"
        "```sh\nmake \\\n  nothing\n```\nask https://registry.fellow.dev/ or bob@fellow.dev\n"
    )
    assert [trouble.partition(": ")[0] for trouble in _troubles_of_links(page)] == ["page.md:3", "page.md:4"]
    assert [trouble.partition(": ")[0] for trouble in _troubles_of_files(page)] == ["page.md:5"]
    assert [trouble.partition(": ")[0] for trouble in _troubles_of_commands(page)] == ["page.md:8"]
    assert [trouble.partition(": ")[0] for trouble in _troubles_of_names(page)] == ["page.md:10", "page.md:10"]
