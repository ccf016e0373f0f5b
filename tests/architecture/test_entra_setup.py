"""docs/entra-setup.md and its Polish twin explain whatever adding a tenant can end with, and say the same."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.graph.access import PROBES
from common.graph.tokens import REFUSALS

ROOT = Path(__file__).parents[2]
ENGLISH, POLISH = (ROOT / "docs" / name for name in ("entra-setup.md", "entra-setup.pl.md"))
DOCUMENTS = pytest.mark.parametrize("document", [ENGLISH, POLISH], ids=["english", "polish"])

TYPED = (
    "console.tenant_form",
    "console.tenants",
    "console.enrolment",
    "console.credential_options",
    "console.certificate_file",
    "console.credential",
    "console.rotation",
    "console.scope_options",
)
"""What is wrong with what somebody typed: found without asking anybody."""
ACCESS = ("common.graph.tokens", "common.graph.access", "common.graph.answers", "common.secrets", "console.access")
"""What Entra and Graph refuse, or why they cannot be asked."""
OTHERS = (
    "common.graph.client",
    "common.graph.credentials",
    "common.graph.http",
    "console.choice",
    "console.connection",
    "console.exits",
    "console.expiry",
    "console.output",
    "console.pausing",
    "console.removal",
    "console.scope",
    "console.scope_words",
    "console.state_word",
    "console.times",
)
"""What the others import as well: it says nothing about a tenant that is being added."""
TYPED_SECTION, ACCESS_SECTION = "10", "11"

_CLAUSE = re.compile(r"[.;:,(\[\n]")


def sentences(source: str) -> Iterator[str]:
    """Yield the beginning of each literal sentence that is raised, is a proof, or says where to look."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name.endswith("Error") or name in ("Proof", "_missing"):
                yield from _beginnings(node.args)
        elif isinstance(node, ast.FunctionDef) and node.name == "where_to_look":
            for one in ast.walk(node):
                if isinstance(one, ast.Return) and one.value is not None:
                    yield from _beginnings([one.value])


def _beginnings(nodes: list[ast.expr]) -> Iterator[str]:
    """Yield the first clause of two words or more of the first of `nodes` that has one."""
    for node in nodes:
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            clauses = [clause.strip(" '") for text in texts for clause in _CLAUSE.split(str(text))]
            found = [clause for clause in clauses if " " in clause]
            if found:
                yield found[0]
                return


def of_module(name: str) -> list[str]:
    path = ROOT / Path(*name.split(".")).with_suffix(".py")
    return list(dict.fromkeys(sentences(path.read_text())))


def plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())


def sections(document: Path) -> dict[str, str]:
    """Return what stands below each numbered heading, by its number."""
    parts = re.split(r"^## (\d+)\. ", document.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], map(plain, parts[2::2]), strict=True))


def imports(name: str) -> set[str]:
    """Return the modules of the console and of Graph's client that a module imports itself."""
    tree = ast.parse((ROOT / Path(*name.split(".")).with_suffix(".py")).read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("console", "common.graph"):
            found |= {f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {one for one in found if re.match(r"console\.(?!reads)|common\.graph\.", one)}


@DOCUMENTS
def test_every_refusal_of_entra_is_explained(document: Path) -> None:
    section = sections(document)[ACCESS_SECTION]

    missing = [f"AADSTS{number}" for number in REFUSALS if not re.search(rf"\bAADSTS{number}\b", section)]
    assert not missing, f"{document.name} does not explain {missing}"
    assert "Entra refused the application" in section  # what is said of all others


@DOCUMENTS
@pytest.mark.parametrize("module", TYPED)
def test_every_mistake_in_typing_is_explained(document: Path, module: str) -> None:
    section = sections(document)[TYPED_SECTION]

    missing = [sentence for sentence in of_module(module) if plain(sentence) not in section]
    assert not missing, f"{document.name}, section {TYPED_SECTION}, does not explain what {module} says: {missing}"


@DOCUMENTS
@pytest.mark.parametrize("module", ACCESS)
def test_every_trouble_with_access_is_explained(document: Path, module: str) -> None:
    section = sections(document)[ACCESS_SECTION]

    missing = [sentence for sentence in of_module(module) if plain(sentence) not in section]
    assert not missing, f"{document.name}, section {ACCESS_SECTION}, does not explain what {module} says: {missing}"


@DOCUMENTS
def test_every_permission_is_named(document: Path) -> None:
    for permission, _ in PROBES:
        assert permission in sections(document)["5"]


def test_no_module_that_refuses_is_forgotten() -> None:
    found = set().union(*(imports(name) for name in (*TYPED, "console.access", "common.graph.access")))

    assert found <= {*TYPED, *ACCESS, *OTHERS}, "Say in this test whose sentences these are."
    for name in (*TYPED, *ACCESS, *OTHERS):
        importlib.import_module(name)


def test_both_documents_have_the_same_sections_rows_and_commands() -> None:
    def skeleton(document: Path) -> list[str]:
        lines = document.read_text().splitlines()
        headings = [re.sub(r"[^#\d.]", "", line) for line in lines if line.startswith("#")]
        quoted = [re.findall(r"`[^`]+`", line)[:1] for line in lines if line.startswith("| `")]
        commands = re.findall(r"^ {4,}((?:entra-sms|openssl|install|cat|nano) .*)$", document.read_text(), re.MULTILINE)
        return [*headings, *(cell for row in quoted for cell in row), *commands]

    assert skeleton(ENGLISH) == skeleton(POLISH)
    assert len(skeleton(ENGLISH)) > 60


def test_a_sentence_that_is_raised_is_found_however_it_is_written() -> None:
    source = """
def one(text):
    if text:
        raise ValueError("must be something; else")
    raise click.UsageError("These are missing, and more:\\n" + text)

def two(name):
    return ConsoleError(f"{name!r} is taken: no", Exit.USAGE)

def three(code):
    return Proof(name, f"The permission {code} is missing.")
"""
    assert set(sentences(source)) == {"must be something", "These are missing", "is taken", "The permission"}
