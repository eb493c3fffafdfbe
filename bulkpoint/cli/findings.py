"""Findings on stderr: what a list has, and what was accepted that it does not have."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from bulkpoint.cli.session import say

if TYPE_CHECKING:
    from bulkpoint.rules.findings import Finding, FindingName


def say_findings(findings: Iterable["Finding"], accepted: Collection["FindingName"] = ()) -> None:
    """A line for each finding, and for each name that was accepted for nothing."""
    from bulkpoint.campaigns.findings import not_found
    from bulkpoint.views.preview import finding_line

    found = tuple(findings)
    for finding in found:
        say(finding_line(finding))
    for name in not_found(found, accepted):
        say(f"--accept {name}: the list has no such finding; nothing was accepted by it.")
