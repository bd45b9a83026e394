"""A lake's files as objects of an S3-compatible store. Owns the only S3 client, and the spool of what is on its way.

The law: a call that failed may still take effect, even much later. So a file is first made whole and durable in the
spool, under its name, and is put again as it is until the store has said yes; nothing else ever has that name. An
object is put by one request, hence it is there whole or not at all.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

import s3fs  # pyright: ignore[reportMissingTypeStubs] - it has none
from fsspec.asyn import sync_wrapper  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - likewise

from analytics.lake.directory import UNFINISHED_SUFFIX, place
from analytics.lake.questions import Questions
from analytics.lake.store import OBJECTS, Access, StoreAwayError

if TYPE_CHECKING:
    import duckdb

_TRIES = 3
_OVER = "this process ends, and asks nothing more"
_CONNECT_S, _READ_S = 4, 15
_PARTS = {"chunksize": 8 * 1024 * 1024, "max_concurrency": 1}
"""How large files pass: part after part, so that memory stays small."""
_CLIENT = {
    "connect_timeout": _CONNECT_S,
    # Checksums that only some of the servers that speak S3 understand.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


_FileSystem: Any = s3fs.S3FileSystem
_in_its_loop: Any = cast("Any", sync_wrapper)


class _Client(_FileSystem):
    """The client, every call of which can be broken off, those of DuckDB's as well."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType] - s3fs has no types
        self._calling: set[asyncio.Future[Any]] = set()
        self._is_over = False

    async def _call_s3(self, *given: Any, **asked: Any) -> Any:
        if self._is_over:
            raise ConnectionAbortedError(_OVER)
        call = super()._call_s3  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - as above
        calling = asyncio.ensure_future(cast("Coroutine[Any, Any, Any]", call(*given, **asked)))
        self._calling.add(calling)
        try:
            return await calling
        except asyncio.CancelledError:
            if self._is_over:
                raise ConnectionAbortedError(_OVER) from None
            raise
        finally:
            self._calling.discard(calling)

    call_s3 = _in_its_loop(_call_s3)

    def break_off(self) -> None:
        """Call no more, and wait for no answer; any thread but the client's own may say so."""
        self._is_over = True
        self.loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for calling in self._calling:
            calling.cancel()


class ObjectStore:
    """The objects under `s3://bucket/prefix`; without a `spool` they can only be read.

    A call is tried `tries` times, `read_s` each, before it has failed.
    """

    is_far = True
    page_names = 1000
    """How many names are asked for at a time; no store gives more."""

    def __init__(
        self, url: str, access: Access, spool: Path | None = None, *, tries: int = _TRIES, read_s: float = _READ_S
    ) -> None:
        self._url = url.rstrip("/")
        self._bucket, _, prefix = self._url.removeprefix(OBJECTS).partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._spool = spool
        self._files = _Client(
            key=access.key,
            secret=access.secret,
            endpoint_url=access.endpoint_url,
            client_kwargs={"region_name": access.region} if access.region else {},
            config_kwargs={
                **_CLIENT,
                "read_timeout": read_s,
                "retries": {"mode": "standard", "total_max_attempts": tries},
            },
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self._files.retries = 1  # the client below tries again already
        self._asked_s: dict[int, float] = {}
        self.questions = Questions()

    def __str__(self) -> str:
        return self._url

    @property
    def waits_s(self) -> float:
        """For how long the oldest call has been waiting for an answer; 0 where none is."""
        asked_s = self._asked_s.copy().values()
        return time.monotonic() - min(asked_s) if asked_s else 0.0

    def exists(self, folder: str) -> bool:
        """Tell whether anything lies in a folder."""
        return any(self._listed(f"{folder}/", most=1))

    def prepare(self, folder: str, *, private: bool = False) -> None:  # noqa: ARG002 - the port has them
        """Make the spool; folders of objects need not be made."""
        if self._spool is not None:
            self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)

    def place(self, name: str, fill: Callable[[Path], None]) -> None:
        """Let `fill` write a file into the spool, and put it.

        Raises:
            StoreAwayError: it stays in the spool, and `resume` puts it.
            OSError: the spool's disk refuses.
        """
        path = self._spooled(name)
        try:
            place(path, fill)
        except BaseException:
            path.with_name(path.name + UNFINISHED_SUFFIX).unlink(missing_ok=True)
            raise
        self._send(path)

    def resume(self, is_over: Callable[[str], bool]) -> None:
        """Put what lies in the spool, but for what `is_over`."""
        for path in self._waiting():
            if path.suffix == UNFINISHED_SUFFIX or is_over(unquote(path.name)):
                path.unlink(missing_ok=True)
            else:
                self._send(path)

    def replace(self, name: str, body: bytes) -> None:
        """Put a small object."""
        self._call("put_object", Key=self._prefix + name, Body=body)

    def read(self, name: str) -> bytes | None:
        """Return an object's content; None if there is none."""
        with self._told():
            try:
                return self._files.cat_file(f"{self._bucket}/{self._prefix}{name}")
            except FileNotFoundError:
                return None

    def is_empty(self) -> bool:
        """Tell whether nothing lies below the prefix."""
        return not any(self._listed("", most=1))

    def send(self, path: Path, name: str) -> None:
        """Put a file of any size, a large one in parts; the object is there when all of it is."""
        with self._told():
            self._files.put_file(str(path), f"{self._bucket}/{self._prefix}{name}", **_PARTS)

    def bring(self, name: str, path: Path) -> bool:
        """Bring an object of any size into a file; tell whether there is one."""
        with self._told():
            try:
                self._files.get_file(f"{self._bucket}/{self._prefix}{name}", str(path), **_PARTS)
            except FileNotFoundError:
                return False
        return True

    def names(self, folder: str, start: str = "") -> list[str]:
        """Return the names of a folder's objects that begin with `start`, and of those on their way there."""
        inside = f"{folder}/{start}"
        far = {name for page in self._listed(inside) for name, _ in _objects(page)}
        near = {self._prefix + unquote(path.name) for path in self._waiting() if path.suffix != UNFINISHED_SUFFIX}
        cut = len(f"{self._prefix}{folder}/")
        return [name[cut:] for name in far | {name for name in near if name.startswith(self._prefix + inside)}]

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of each Parquet object of a folder by its whole name."""
        cut = len(self._prefix)
        found = [one for page in self._listed(f"{folder}/") for one in _objects(page)]
        return {name[cut:]: size for name, size in sorted(found) if name.endswith(".parquet")}

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""
        cut = len(f"{self._prefix}{folder}/")
        return [
            one["Prefix"][cut:].rstrip("/")
            for page in self._listed(f"{folder}/")
            for one in page.get("CommonPrefixes") or ()
        ]

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        self._call("delete_object", Key=self._prefix + name)

    def remove_folder(self, folder: str) -> int:
        """Remove the objects of a folder, and return how many these were."""
        names = self.names(folder)
        for name in names:
            self.remove(f"{folder}/{name}")
        return len(names)

    def address(self, name: str) -> str:
        """Return an object's address."""
        return f"{self._url}/{name}"

    def pattern(self, folder: str) -> str | None:
        """Return the glob of a folder's Parquet objects; None if there are none."""
        return f"{self._url}/{folder}/*.parquet" if self.sizes(folder) else None

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a connection read objects."""
        connection.register_filesystem(self._files)

    def break_off(self) -> None:
        """Refuse every call from now on, and wait for no answer; the body of one is waited for as ever."""
        self._files.break_off()
        self.questions.break_off()

    def _spooled(self, name: str) -> Path:
        if self._spool is None:
            message = f"{self._url} was opened for reading alone"
            raise OSError(message)
        return self._spool / quote(name, safe="=")

    def _waiting(self) -> list[Path]:
        return sorted(self._spool.iterdir()) if self._spool is not None and self._spool.is_dir() else []

    def _send(self, path: Path) -> None:
        self._call("put_object", Key=self._prefix + unquote(path.name), Body=path.read_bytes())
        path.unlink()

    def _listed(self, start: str, *, most: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the pages of what begins with `start`, as far as the next slash."""
        asked: dict[str, Any] = {"Prefix": self._prefix + start, "Delimiter": "/", "MaxKeys": most or self.page_names}
        while True:
            page = self._call("list_objects_v2", **asked)
            if page.get("Contents") or page.get("CommonPrefixes"):
                yield page
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _call(self, name: str, **asked: Any) -> dict[str, Any]:
        with self._told():
            return self._files.call_s3(name, Bucket=self._bucket, **asked)

    @contextmanager
    def _told(self) -> Generator[None]:
        asker = threading.get_ident()
        self._asked_s[asker] = time.monotonic()
        try:
            yield
        except Exception as error:
            message = f"the object store does not give or take {self._url}: {type(error).__name__}: {error}"
            raise StoreAwayError(message) from error
        finally:
            self._asked_s.pop(asker, None)


def _objects(page: dict[str, Any]) -> Sequence[tuple[str, int]]:
    return [(one["Key"], one["Size"]) for one in page.get("Contents") or ()]
