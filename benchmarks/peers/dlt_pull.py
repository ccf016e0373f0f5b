"""dlt as its documentation shows it: a REST API source, paged by a link, into its SQLAlchemy destination.

It stores people, groups and memberships as they are said to be, in tables that it makes by itself, from what was said.
No phone is read, nothing is compared with what was there, nothing follows later changes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any

import dlt
import requests
from dlt.destinations import sqlalchemy as sqlalchemy_destination
from dlt.sources.rest_api import rest_api_source

ORIGIN = os.environ["ENTRA_SMS_GRAPH_URL"]
DATABASE_URL = os.environ["ENTRA_SMS_DATABASE_URL"]


def source(selects: dict[str, str]) -> Any:
    session = requests.Session()
    session.verify = os.environ["ENTRA_SMS_CA_BUNDLE"]
    return rest_api_source(
        {
            "client": {
                "base_url": f"{ORIGIN}/v1.0/",
                "auth": {"type": "bearer", "token": "benchmark"},
                "paginator": {"type": "json_link", "next_url_path": "'@odata.nextLink'"},
                "session": session,
            },
            "resources": [
                {
                    "name": stream,
                    "write_disposition": "append",
                    "endpoint": {
                        "path": f"{stream}/delta",
                        "params": {"$select": names},
                        "data_selector": "value",
                    },
                }
                for stream, names in selects.items()
            ],
        }
    )


def main() -> None:
    selects = dict(word.split("=") for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "benchmark", destination=sqlalchemy_destination(DATABASE_URL), dataset_name="pulled", pipelines_dir=folder
        )
        began = time.perf_counter()
        pipeline.run(source(selects)).raise_on_failed_jobs()
        seconds = time.perf_counter() - began
        with pipeline.sql_client() as client:
            rows = [
                client.execute_sql(f"SELECT count(*) FROM {client.make_qualified_table_name(name)}")[0][0]
                for name in ("users", "groups", "groups__membersadelta")
            ]
            ids = client.execute_sql(f"SELECT count(DISTINCT id) FROM {client.make_qualified_table_name('groups')}")
    print(json.dumps({"seconds": seconds, "rows": [rows[0], ids[0][0], rows[2]]}))


if __name__ == "__main__":
    main()
