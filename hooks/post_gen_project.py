"""Leaves out the example, if that was asked for: whole files, and nothing else.

Two files say what is served. Both exist without the example in `.blank/`, which is gone from every generated project.
"""

import json
import shutil
from pathlib import Path

# Read as data: tojson escapes every quote that could end this literal.
ANSWERS: dict[str, str] = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip

# Cookiecutter leaves the rendered copy of this file, which is what runs, in the temporary directory for ever.
Path(__file__).unlink()

EXAMPLE = [
    "service/comments.py",
    "service/notifications.py",
    "service/messages.py",
    "service/models.py",
    "service/endpoints/comments.py",
    "service/endpoints/live_comments.py",
    "service/endpoints/notifications.py",
    "service/migrations/versions/0002_comments_and_notifications.py",
    "service/migrations/versions/0003_origin_of_events.py",
    "service/web",
    "tests/demo_page.py",
    "tests/test_comments.py",
    "tests/test_javascript.py",
    "tests/test_live_comments.py",
    "tests/test_loadtests.py",
    "tests/test_migrations.py",
    "tests/test_notifications.py",
    "tests/test_page.py",
    "tests/test_page_for_everybody.py",
    "loadtests/scenarios/deploy.py",
    "loadtests/scenarios/deploy.toml",
    "loadtests/scenarios/live_comments.py",
    "loadtests/scenarios/live_comments.toml",
    "loadtests/scenarios/notifications.py",
    "loadtests/scenarios/notifications.toml",
    "loadtests/scenarios/presence.py",
    "loadtests/scenarios/presence.toml",
    "loadtests/scenarios/reconnect_storm.py",
    "loadtests/scenarios/reconnect_storm.toml",
    "loadtests/scenarios/smoke.py",
    "loadtests/scenarios/smoke.toml",
    "loadtests/scenarios/soak.py",
    "loadtests/scenarios/soak.toml",
    "loadtests/scenarios/sse.py",
    "loadtests/scenarios/sse.toml",
    "loadtests/scenarios/streams.py",
    "loadtests/scenarios/streams.toml",
]
BLANK = Path(".blank")

if ANSWERS["example"] == "none":
    for path in map(Path, EXAMPLE):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for file in [path for path in BLANK.rglob("*") if path.is_file()]:
        file.replace(file.relative_to(BLANK))
shutil.rmtree(BLANK)
