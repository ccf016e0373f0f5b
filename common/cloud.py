"""The clouds of Microsoft: each has a Graph and a login service of its own, and directories of its own.

A token of one cloud is worth nothing in another, and has no business there: who speaks to Graph takes one `Cloud`.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "default"
"""The name of the cloud that the settings describe."""


@dataclass(frozen=True)
class Cloud:
    """A pair of https origins: of Graph, the only one that gets a token, and of the login service."""

    name: str
    graph_url: str
    login_url: str


NATIONAL_CLOUDS = (
    Cloud("global", "https://graph.microsoft.com", "https://login.microsoftonline.com"),
    Cloud("usgov", "https://graph.microsoft.us", "https://login.microsoftonline.us"),
    Cloud("usgov-dod", "https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
    Cloud("china", "https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
)
"""Named as by Microsoft Graph PowerShell. Source: Microsoft Graph, national cloud deployments."""

LOGIN_NAMES = (
    frozenset({"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net"}),
    frozenset({"login.microsoftonline.us", "login.usgovcloudapi.net"}),
    frozenset({"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}),
)
"""A login service has several names, and under one of them may tell the address of another; cloud by cloud."""
