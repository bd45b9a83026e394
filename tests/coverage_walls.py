"""Judge the measured branch coverage: the pure core wholly, everything else to nine tenths. Run by `make test`."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import coverage

PURE = re.compile(
    r"(analytics|rollout|evaluation)/[a-z_]+\.py|gateway/proxy/(wire|sse|exchange|leased|leasehold|limits|purse)\.py"
)
PURE_WALL = 100.0
REST_WALL = 90.0


def measured() -> dict[str, dict[str, Any]]:
    """Return coverage.py's findings per source file, from the `.coverage` file in the working directory."""
    findings = coverage.Coverage()
    findings.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        findings.json_report(outfile=str(report))
        return json.loads(report.read_text())["files"]


def share(files: list[dict[str, Any]]) -> float:
    """Return the covered lines and branches of some files, in percent."""
    summaries = [file["summary"] for file in files]
    all_parts = sum(part["num_statements"] + part.get("num_branches", 0) for part in summaries)
    covered = sum(part["covered_lines"] + part.get("covered_branches", 0) for part in summaries)
    return 100.0 * covered / all_parts if all_parts else 100.0


def holes(file: dict[str, Any]) -> str:
    """Name the lines that were never run and the branches that were never taken."""
    runs: list[list[int]] = []
    for line in file["missing_lines"]:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    lines = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    branches = [f"{start}->{'exit' if end < 0 else end}" for start, end in file.get("missing_branches", [])]
    return ", ".join(lines + branches)


def main() -> int:
    """Print what falls short and return the exit code."""
    files = measured()
    pure = {path: file for path, file in files.items() if PURE.fullmatch(path)}
    rest = {path: file for path, file in files.items() if path not in pure}
    short = {path: file for path, file in pure.items() if share([file]) < PURE_WALL}
    pure_share, rest_share = share(list(pure.values())), share(list(rest.values()))
    print(
        f"Coverage of the pure core: {pure_share:.1f} % (wall {PURE_WALL:.0f} %); of the rest: {rest_share:.1f} %"
        f" (wall {REST_WALL:.0f} %)."
    )
    for path, file in sorted(short.items()):
        print(f"  {path}: not covered: {holes(file)}")
    if rest_share < REST_WALL:
        print("The rest falls short. Its least covered files:")
        for path, file in sorted(rest.items(), key=lambda item: share([item[1]]))[:15]:
            print(f"  {path}: {share([file]):.0f} %: not covered: {holes(file)}")
    return 1 if short or rest_share < REST_WALL or not pure else 0


if __name__ == "__main__":
    sys.exit(main())
