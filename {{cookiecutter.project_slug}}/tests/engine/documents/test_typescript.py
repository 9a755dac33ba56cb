"""`python -m … types`: the messages as TypeScript sees them."""

import subprocess
from pathlib import Path

import pytest

from service.engine.documents.typescript import declarations
from tests.engine.kit.commands import Commands
from tests.engine.kit.javascript import NODE, npm_package

TYPESCRIPT = "typescript@5.9.3"
INTEGRITY = "sha512-jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw=="
RIGHT = """
import type { ClientMessages, EntryOfStream, ServerMessages, StreamEvents, Subscribe } from "./messages";

const subscribe: Subscribe = { type: "subscribe", stream: "rooms/1", after: 0 };
const said: ClientMessages["/ws/rooms/{room_id}"] = { type: "new_entry", body: "Hello" };
export function read(message: ServerMessages["/ws/streams"]): string | number {
  if (message.type === "error") return message.code;
  return message.type === "entry" ? message.seq : "";
}
export const stream = (event: StreamEvents["rooms/{room_id}"]): EntryOfStream => event;
export const all = [subscribe, said];
"""
WRONG = """
import type { ClientMessages } from "./messages";

export const misspelt: ClientMessages["/ws/rooms/{room_id}"] = { type: "new_entry", text: "Hello" };
export const unknown: ClientMessages["/ws/streams"] = { type: "subscirbe", stream: "rooms/1" };
"""


@pytest.mark.needs("npm")
def test_the_compiler_takes_the_types_and_finds_what_they_forbid(commands: Commands, tmp_path: Path) -> None:
    printed = commands.run_here("types")
    assert (printed.returncode, printed.stderr) == (0, "")
    (tmp_path / "messages.d.ts").write_text(printed.stdout)
    compiler = npm_package(TYPESCRIPT, INTEGRITY, tmp_path) / "lib" / "tsc.js"

    def compiled(text: str) -> list[str]:
        (tmp_path / "page.ts").write_text(text)
        command = [str(NODE), str(compiler), "--noEmit", "--strict", "--target", "es2022", "--module", "esnext"]
        command += ["--moduleResolution", "bundler", str(tmp_path / "page.ts"), str(tmp_path / "messages.d.ts")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        return [line for line in result.stdout.splitlines() if "error" in line]

    assert compiled(RIGHT) == []
    assert len(compiled(WRONG)) == 2


def test_every_kind_of_schema_has_a_type() -> None:
    schema = {
        "description": "Everything */ there is.",
        "properties": {
            "type": {"const": "all"},
            "not-a-name": {"enum": ["a", 1, None]},
            "list": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
            "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}]},
            "map": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Other"}},
            "inner": {"type": "object", "properties": {"x": {"type": "number", "description": "Far."}}},
            "either": {"type": ["string", "null"]},
            "anything": {},
        },
        "required": ["type"],
    }
    document = {
        "channels": {},
        "operations": {},
        "components": {"messages": {}, "schemas": {"All": schema, "Other": {"type": "string"}}},
    }
    text = declarations(document)
    for line in (
        "/** Everything *\\/ there is. */",
        'type: "all";',
        '"not-a-name"?: "a" | 1 | null;',
        "list?: Array<number | null>;",
        "pair?: [string, boolean];",
        "map?: Record<string, Other>;",
        "inner?: { x?: number; };",
        "either?: string | null;",
        "anything?: unknown;",
        "export type Other = string;",
    ):
        assert line in text, text
