"""The app of the trial with queryspy's middleware, added as its documentation says.

A line of JSON for each request goes into the file that TRIAL_PEER_REPORTS names.
"""

import json
import os
from pathlib import Path

# It lives in an environment of its own, where mypy does not look.
from queryspy import to_dict  # type: ignore[import-not-found]  # see above
from queryspy.asgi import (  # type: ignore[import-not-found]  # see above
    QuerySpyMiddleware,
    RequestReport,
)

from .app import app

_REPORTS = Path(os.environ["TRIAL_PEER_REPORTS"])


def write(report: RequestReport) -> None:
    """Appends what queryspy says about one request."""
    line = {
        "path": report.path,
        "findings": [to_dict(finding, root=str(Path.cwd())) for finding in report.findings],
    }
    with _REPORTS.open("a") as reports:
        reports.write(json.dumps(line) + "\n")


app.add_middleware(QuerySpyMiddleware, on_report=write)
