"""What of a lake and its journal makes a whole at one moment, while both go on: the files that a copy has to take.

The law: a copy is what a crash would have left. The journal's segments are held first, so that none goes away unread;
then the lake's names are read, and then the segments, with all that the lake has of them and perhaps more. A shipper
that starts on the copies goes on from there, as after any crash: nothing is lost, and nothing is double.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.reader import SegmentReader
from analytics.journal.segment import SegmentName, segments
from analytics.lake.host import host_name
from analytics.lake.layout import CONTENT, FEEDBACK, HEARTBEATS, INCOMING, MERGED, Heartbeat
from analytics.lake.manifest import Manifest, read_manifest
from analytics.lake.needed import needed_here
from analytics.lake.store import Store

_TRIES = 20
_AGAIN_S = 0.25
_CHUNK_BYTES = 1024 * 1024
_INTERRUPTED = "-interrupted-"
Boot = tuple[str, str]


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a whole: `files` of the lake by name and size, and `small` ones with what is in them.

    The journal's segments were copied meanwhile, by their names.
    """

    files: Mapping[str, int]
    small: Mapping[str, bytes]


class _MovedError(Exception):
    """Something went away while it was looked at: look again."""


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake's names say: what is `chosen` of those where rows come in, all that lay there, and the manifest."""

    chosen: Mapping[str, int]
    there: frozenset[str]
    manifest: Manifest


def capture(store: Store, journal: Path, into: Path, *, sleep: Callable[[float], None] = time.sleep) -> Captured:
    """Look at a lake, and copy the journal of those who write to it `into` a folder that is there and empty.

    `sleep` waits some seconds before it looks again.

    Raises:
        OSError: the lake, the journal or the disk refuses; or all changes faster than it can be looked at.
    """
    for _ in range(_TRIES):
        try:
            return _captured(store, journal, into)
        except _MovedError:
            for path in into.iterdir():
                path.unlink()
            sleep(_AGAIN_S)
    message = (
        f"{store} and the journal {journal} change faster than they can be copied; try again when less is going on"
    )
    raise OSError(message)


def _captured(store: Store, journal: Path, into: Path) -> Captured:
    with ExitStack() as held:
        descriptors = _held(journal, segments(journal), held)
        first = set(descriptors)
        beats = _beats(store)
        seen = _seen(store)
        later = [name for name in segments(journal) if name not in descriptors]
        descriptors |= _held(journal, later, held)
        if len(descriptors) != len(first) + len(later):
            raise _MovedError
        for name, descriptor in descriptors.items():
            _copy_segment(journal / name.file_name, descriptor, into / name.file_name)
    _require_gapless(descriptors, first)
    _require_quiet(store, seen, {(name.worker, name.boot) for name in descriptors}, beats, host_name(journal))
    if (journal / "host").exists():
        (into / "host").write_bytes((journal / "host").read_bytes())
    replaced = seen.manifest.replaced
    kept = needed_here(into)({name: at for name, at in replaced.items() if name in seen.chosen})
    loose = {name: size for name, size in seen.chosen.items() if name not in replaced or name in kept}
    parts = {part.name: part.size_bytes for some in seen.manifest.parts.values() for part in some}
    number = seen.manifest.number
    manifest = {f"{MERGED}/manifest-{number:06d}.json": msgspec.json.encode(seen.manifest)} if number else {}
    return Captured(files={**parts, **loose}, small={**beats, **manifest})


def _held(journal: Path, names: Iterable[SegmentName], held: ExitStack) -> dict[SegmentName, int]:
    """Open segments, so that they stay readable when they are removed; one that is gone already is left out."""
    found: dict[SegmentName, int] = {}
    for name in names:
        try:
            found[name] = os.open(journal / name.file_name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        held.callback(os.close, found[name])
    return found


def _beats(store: Store) -> dict[str, bytes]:
    """Return the heartbeats. What they call settled is in the lake: so they are read before its names."""
    try:
        names = [f"{HEARTBEATS}/{name}" for name in sorted(store.names(HEARTBEATS)) if name.endswith(".json")]
    except FileNotFoundError:
        return {}
    bodies = {name: store.read(name) for name in names}
    return {name: body for name, body in bodies.items() if body is not None}


def _seen(store: Store) -> _Seen:
    """Read the lake's names so that of each segment everything up to a byte is chosen, and nothing behind it.

    A listing may miss what comes while it is made, and show what came later still; a second one has all that came
    before anything that the first one shows.
    """
    before = _loose(store)
    manifest = read_manifest(store)
    after = _loose(store)
    known = {*before, *manifest.replaced}
    if any(name not in after and name not in manifest.replaced and not name.startswith(CONTENT) for name in before):
        raise _MovedError
    ends: dict[str, int] = {}
    for name in known:
        if (settled := _range(name)) is not None:
            ends[settled[0]] = max(ends.get(settled[0], 0), settled[1])
    chosen = {name: size for name, size in after.items() if name in known or _is_within(name, ends)}
    return _Seen(chosen=chosen, there=frozenset(after), manifest=manifest)


def _loose(store: Store) -> dict[str, int]:
    folders = [INCOMING, FEEDBACK, *(f"{CONTENT}/{one}" for one in store.folders(CONTENT))]
    return {name: size for folder in folders for name, size in store.sizes(folder).items()}


def _range(name: str) -> tuple[str, int] | None:
    """Return the folder and segment of which a file has bytes, and the end of these; None of any other file."""
    start, _, end = name.removesuffix(".parquet").rpartition("-")
    segment, _, begun = start.rpartition("-")
    return (segment, int(end)) if end.isdecimal() and begun.isdecimal() and segment[-6:].isdecimal() else None


def _is_within(name: str, ends: Mapping[str, int]) -> bool:
    settled = _range(name)
    return settled is not None and settled[1] <= ends.get(settled[0], 0)


def _copy_segment(path: Path, descriptor: int, target: Path) -> None:
    """Copy a segment's sound frames: of the file that has the name, or of the one that was held if it is gone."""
    source = path if path.exists() else Path(f"/dev/fd/{descriptor}")
    try:
        end_at = _end_of(source, descriptor)
        with source.open("rb") as file, target.open("xb") as made:
            while end_at > 0 and (chunk := file.read(min(_CHUNK_BYTES, end_at))):
                made.write(chunk)
                end_at -= len(chunk)
    except FileNotFoundError:
        raise _MovedError from None
    target.chmod(0o600)


def _end_of(source: Path, descriptor: int) -> int:
    """Return where a segment's sound frames end; of one that nobody can read, where it ends itself."""
    try:
        with SegmentReader(source) as reader:
            for _ in reader.frames():
                pass
            return reader.offset
    except UnreadableSegmentError:
        return os.fstat(descriptor).st_size


def _require_gapless(found: Iterable[SegmentName], first: set[SegmentName]) -> None:
    """See to it that no segment came and went unseen: a boot's numbers have no holes, and a new boot's begin at 1."""
    numbers: dict[Boot, list[int]] = {}
    for name in sorted(found):
        numbers.setdefault((name.worker, name.boot), []).append(name.number)
    old = {(name.worker, name.boot) for name in first}
    for boot, own in numbers.items():
        if own[-1] - own[0] + 1 != len(own) or (boot not in old and own[0] != 1):
            raise _MovedError


def _require_quiet(
    store: Store, seen: _Seen, alive: set[Boot], beats: Mapping[str, bytes], own_host: str | None
) -> None:
    """See to it that no boot of this host came and went unseen, with all that it wrote. Of other hosts nobody knows."""
    hosts = {msgspec.json.decode(body, type=Heartbeat).host for body in beats.values()}
    if hosts - {own_host, None}:
        return
    starts: Sequence[str] = [f"{worker}-{boot}-" for worker, boot in alive]
    came = {name for folder in (INCOMING, FEEDBACK) for name in store.sizes(folder)} - seen.there
    if any(not Path(name).name.startswith(tuple(starts)) for name in came):
        raise _MovedError
