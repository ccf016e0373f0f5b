"""What a check of the installation finds: one line each, and for what is wrong also what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from common.errors import EntraSmsError
from console.exits import Exit, code_of


class Verdict(StrEnum):
    """Whether something is right, wants attention, keeps the installation from working, or was not looked at."""

    FINE = "fine"
    WARNING = "warning"
    TROUBLE = "trouble"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `name` is for programs, which know the finding by it: ``<part>.<thing>``, it never changes. `code` is what a trouble
    ends the command with.
    """

    name: str
    verdict: Verdict
    text: str
    advice: str = ""
    code: Exit = Exit.OK
    tenant_id: str | None = None

    @property
    def sentence(self) -> str:
        return f"{self.text} {self.advice}".rstrip()


def fine(name: str, text: str) -> Finding:
    return Finding(name, Verdict.FINE, text)


def warning(name: str, text: str, advice: str = "") -> Finding:
    return Finding(name, Verdict.WARNING, text, advice)


def trouble(name: str, text: str, advice: str = "", code: Exit = Exit.FAILED) -> Finding:
    return Finding(name, Verdict.TROUBLE, text, advice, code)


def skipped(name: str, text: str) -> Finding:
    return Finding(name, Verdict.SKIPPED, text)


def of_error(name: str, error: EntraSmsError, advice: str = "") -> Finding:
    """Return the trouble that `error` tells, with its exit code."""
    return trouble(name, str(error), advice, code_of(error))


def exit_code(findings: Iterable[Finding]) -> Exit:
    """Return the code of the troubles, or `Exit.FAILED` when they are of several kinds."""
    codes = {finding.code for finding in findings if finding.verdict is Verdict.TROUBLE}
    if len(codes) > 1:
        return Exit.FAILED
    return codes.pop() if codes else Exit.OK
