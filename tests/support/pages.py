"""Delta pages as Graph writes them, with every property that is read and some that are not."""

from typing import Any

from tests.support.graph import GRAPH

ANNA = "3f0a0000-0000-4000-8000-000000000001"
BERT = "3f0a0000-0000-4000-8000-000000000002"
CARLA = "3f0a0000-0000-4000-8000-000000000003"
STAFF = "ab120000-0000-4000-8000-000000000001"
BOARD = "ab120000-0000-4000-8000-000000000002"

USERS_LINK = f"{GRAPH}/v1.0/users/delta?$deltatoken=users-2"
GROUPS_LINK = f"{GRAPH}/v1.0/groups/delta?$deltatoken=groups-2"

USERS_PAGE: dict[str, Any] = {
    "@odata.context": f"{GRAPH}/v1.0/$metadata#users(displayName,givenName)",
    "@odata.deltaLink": USERS_LINK,
    "value": [
        {
            "id": ANNA,
            "displayName": "Anna Nowak",
            "givenName": "Anna",
            "surname": "Nowak",
            "mail": "anna@contoso.example",
            "userPrincipalName": "anna@contoso.example",
            "mobilePhone": "+48 601 234 567",
            "businessPhones": ["+48 22 123 45 67"],
            "usageLocation": "PL",
            "accountEnabled": True,
            "userType": "Member",
        },
        {"id": BERT, "mobilePhone": None, "businessPhones": []},
        {"id": CARLA, "@removed": {"reason": "changed"}},
    ],
}
GROUPS_PAGE: dict[str, Any] = {
    "@odata.context": f"{GRAPH}/v1.0/$metadata#groups",
    "@odata.deltaLink": GROUPS_LINK,
    "value": [
        {
            "id": STAFF,
            "displayName": "Staff",
            "mail": "staff@contoso.example",
            "groupTypes": ["Unified"],
            "mailEnabled": True,
            "securityEnabled": False,
            "members@delta": [
                {"@odata.type": "#microsoft.graph.user", "id": ANNA},
                {"@odata.type": "#microsoft.graph.user", "id": BERT, "@removed": {"reason": "deleted"}},
                {"@odata.type": "#microsoft.graph.group", "id": BOARD},
            ],
        },
        {"id": BOARD, "@removed": {"reason": "deleted"}},
    ],
}
