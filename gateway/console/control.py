"""What an operator can do with rollouts: the same for the API's handlers and for `turnout ... --direct`.

Every method may raise an `ApiError`: it is what the caller sees, over HTTP and at the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from analytics.record import Arm
from gateway.console.errors import answered
from gateway.console.foreign import ForeignPercents
from gateway.console.gate_views import controller_view
from gateway.console.hosts import Alone, OtherHosts
from gateway.console.keyring import Keyring, Randomness
from gateway.console.publication import Publication
from gateway.console.removals import Removals
from gateway.console.steering import Steering
from gateway.console.views import EntryView, HistoryView, RolloutView, StatusView, WhoisView, WorkerView
from gateway.console.warnings import warnings_for
from gateway.console.whois import whois_view
from gateway.console.words import plain_number, plain_words, user_hash_bytes, user_key_bytes
from gateway.errors import BadRequestError, NotFoundError
from gateway.settings.schema import Configuration
from gateway.settings.secrets import Derived
from gateway.settings.snapshot import Snapshot
from rollout.audit import Entry
from rollout.change import State, force, live, set_percent
from rollout.flag import Flag, parse_percent, user_hash
from rollout.stores.ledger import Ledger

ReadWorkers = Callable[[], Sequence[WorkerView]]
Reason = Callable[[], str | None]

OLD_COPY = (
    "the ledger is an older copy than what the workers saw last: later keys, revocations and lower percents are kept"
)
SEEN_LATER = "workers have seen later snapshots than the ledger's; the epoch is raised above them"


class Control:
    """The ledger, the definitions and the secrets of one installation; may be called from any thread.

    `workers` reads the workers' status pages, `killed` tells whether an operator forces everybody to base. `refused`
    is what was wrong with the configuration file at the last look, as long as an older one is in force; `hosts` knows
    the workers of a fleet's gateways; those `beside` have warnings of their own.
    """

    def __init__(
        self,
        ledger: Ledger,
        definitions: Configuration,
        secrets: Derived,
        *,
        randomness: Randomness,
        workers: ReadWorkers = lambda: (),
        killed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ledger = ledger
        self._secrets = secrets
        self._workers = workers
        self._killed = killed
        self.refused: Sequence[str] = ()
        self.hosts: OtherHosts = Alone()
        self._undistributed: Reason = lambda: None
        self._publication = Publication(ledger, definitions, secrets)
        self.foreign = ForeignPercents(self._publication, lambda held: held.progress.is_planned)
        self.beside: list[Callable[[], Sequence[str]]] = [self.foreign.warnings]
        self.keys = Keyring(self._publication, secrets.pepper, randomness)
        self.steering = Steering(self._publication, ledger, self._resolved, self.foreign.refuse)
        self.removals = Removals(self._publication, ledger, secrets.user_hash, randomness)

    def start(self, last_good: Snapshot | None = None, *, above: int | None = None) -> State:
        """Bring the ledger in line with the definitions, and make sure that there is a snapshot to decide by.

        With a `last_good` newer than the ledger (which is then an old copy) the epoch is raised above it; and so it is
        above the epoch `above`, if the ledger's is not.
        """
        reason = OLD_COPY if last_good is not None and self.is_older_than(last_good) else "start"
        if reason == "start" and above is not None:
            reason = SEEN_LATER
        return self._publication.reload(
            self._publication.definitions, actor="turnout", reason=reason, last_good=last_good, above=above
        )

    def follow(self, barred: Reason, undistributed: Reason) -> None:
        """Take no caller's change as long as `barred` returns a reason; say `undistributed` beside those taken."""
        self._publication.barred, self._undistributed = barred, undistributed

    @property
    def definitions(self) -> Configuration:
        """Return the definitions in force."""
        return self._publication.definitions

    def barred(self) -> str | None:
        """Return why no change is taken now; None if they are."""
        return self._publication.barred()

    def is_older_than(self, last_good: Snapshot) -> bool:
        """Tell whether workers have seen a later state than the ledger's: it is an old copy, put back."""
        state = self._state()
        return last_good.order > (state.epoch, state.version)

    def reload_definitions(
        self, definitions: Configuration, *, actor: str = "turnout", reason: str = "reload"
    ) -> State:
        """Take up a checked configuration; nothing happens when all that compiles is as before."""
        return self._publication.reload(definitions, actor=actor, reason=reason)

    def list_rollouts(self, *, with_salt: bool = False) -> list[RolloutView]:
        """Return the configured rollouts in the file's order, each with what an operator should be warned of."""
        state = self._state()
        warnings = self._warnings(self._everyone(), _order(state))
        views = [self._view(state, name, with_salt=with_salt) for name in _live_names(state, self._publication)]
        return [replace(view, warnings=warnings) for view in views]

    def show(self, name: str, *, with_salt: bool = False) -> RolloutView:
        """Return one rollout with the workers that decide by it, and what an operator should be warned of."""
        state = self._state()
        view = self._view(state, self._resolved(state, name), with_salt=with_salt)
        workers = self._everyone()
        return replace(view, workers=workers, warnings=self._warnings(workers, view.snapshot))

    def set_percent(
        self, name: str, percent: str | float, seen_version: int, *, actor: str, reason: str = ""
    ) -> RolloutView:
        """Give the candidate this percent of users, if the rollout still is at the version that was seen."""
        with answered():
            number = parse_percent(percent if isinstance(percent, str) else plain_number(percent))
        rollout = self._resolved(self._state(), name)
        self.foreign.refuse(rollout)
        state = self._publication.change(
            lambda state, _: set_percent(state, rollout, number, seen_version),
            actor=actor,
            reason=plain_words(reason, "reason"),
        )
        return self._view(state, rollout, with_salt=False)

    def force_user(
        self, name: str, user: str, arm: Arm | None, seen_version: int, *, actor: str, reason: str = ""
    ) -> RolloutView:
        """Pin a user to an arm; with None let the bucket decide again. The raw user key is not kept."""
        return self._force(name, self._hash(user), arm, seen_version, actor=actor, reason=reason)

    def unforce_hash(
        self, name: str, hash_digits: str, seen_version: int, *, actor: str, reason: str = ""
    ) -> RolloutView:
        """Let the bucket decide again for the user behind one of the hashes that `show` lists."""
        return self._force(name, user_hash_bytes(hash_digits).hex(), None, seen_version, actor=actor, reason=reason)

    def whois(self, user: str, name: str | None = None) -> list[WhoisView]:
        """Tell which arm serves a user and why, in one rollout or in every one."""
        state = self._state()
        names = _live_names(state, self._publication) if name is None else [self._resolved(state, name)]
        key, hashed, killed = user_key_bytes(user), bytes.fromhex(self._hash(user)), self._killed()
        return [whois_view(live(state, rollout), key, hashed, killed=killed) for rollout in names]

    def flag(self, name: str | None = None) -> Flag:
        """Return a rollout's flag; without a name that of the only rollout there is."""
        state = self._state()
        if name is None:
            names = _live_names(state, self._publication)
            if len(names) != 1:
                message = f"name a rollout; the configured ones: {', '.join(names) or 'none'}"
                raise BadRequestError(message, code="ambiguous_rollout", param="rollout")
            name = names[0]
        return state.rollouts[name if name in state.rollouts else self._resolved(state, name)].flag

    def history(self, name: str, *, verify: bool = False, limit: int | None = None) -> HistoryView:
        """Return a rollout's audit entries, newest first; a retired rollout keeps its history."""
        state = self._state()
        rollout = name if name in state.rollouts else self._resolved(state, name)
        return self._history(rollout, verify=verify, limit=limit)

    def audit(self, *, verify: bool = False, limit: int | None = None) -> HistoryView:
        """Return the whole installation's audit entries, newest first."""
        return self._history(None, verify=verify, limit=limit)

    def status(self) -> StatusView:
        """Return the versions in force and the workers that follow them."""
        state = self._state()
        with answered():
            compiled = self._publication.compiled()
        workers, order = self._everyone(), _order(state)
        return StatusView(
            snapshot=order,
            compiled_at=compiled.compiled_at if compiled is not None else None,
            read_only=self._ledger.read_only or self.barred() is not None,
            undistributed=self._undistributed(),
            workers=workers,
            warnings=self._warnings(workers, order),
        )

    def _everyone(self) -> tuple[WorkerView, ...]:
        return (*self._workers(), *self.hosts.workers())

    def _warnings(self, workers: Sequence[WorkerView], snapshot: str) -> tuple[str, ...]:
        compiled = self._publication.compiled() if any(one.told_at is not None for one in workers) else None
        said = warnings_for(
            workers,
            snapshot,
            killed=self._killed(),
            refused=self.refused,
            fleet=self._fleet(),
            silent=self.hosts.silent(),
            compiled_at=compiled.compiled_at if compiled is not None else None,
        )
        return (*said, *(warning for warnings in self.beside for warning in warnings()))

    def _fleet(self) -> list[str]:
        waits = f"changes do not reach the gateways, and wait until this is over: {self._undistributed()}"
        return [*filter(None, [self.barred()]), *([waits] if self._undistributed() else [])]

    def _state(self) -> State:
        with answered():
            return self._publication.state()

    def _force(
        self, name: str, hashed: str, arm: Arm | None, seen_version: int, *, actor: str, reason: str
    ) -> RolloutView:
        rollout = self._resolved(self._state(), name)
        state = self._publication.change(
            lambda state, _: force(state, rollout, hashed, arm, seen_version),
            actor=actor,
            reason=plain_words(reason, "reason"),
        )
        return self._view(state, rollout, with_salt=False)

    def _history(self, rollout: str | None, *, verify: bool, limit: int | None) -> HistoryView:
        with answered():
            entries = self._ledger.entries(rollout=rollout, limit=limit)
            fault = self._ledger.verify() if verify else None
        whole = (fault is None) if verify else None
        return HistoryView(entries=tuple(_entry(one) for one in entries), whole=whole, fault=fault)

    def _hash(self, user: str) -> str:
        return user_hash(self._secrets.user_hash, user_key_bytes(user)).hex()

    def _resolved(self, state: State, name: str) -> str:
        """Return the rollout of this name, or the only one whose flag has it."""
        names = _live_names(state, self._publication)
        if name in names:
            return name
        flagged = [rollout for rollout in names if state.rollouts[rollout].flag.flag == name]
        if len(flagged) == 1:
            return flagged[0]
        if flagged:
            message = f"flag {name} is used by several rollouts; name one of them: {', '.join(sorted(flagged))}"
            raise BadRequestError(message, code="ambiguous_rollout")
        message = f"there is no rollout or flag {name!r}; the configured rollouts: {', '.join(sorted(names)) or 'none'}"
        raise NotFoundError(message, code="rollout_not_found")

    def _view(self, state: State, name: str, *, with_salt: bool) -> RolloutView:
        held = state.rollouts[name]
        flag, definition = held.flag, self._publication.definitions.rollouts.get(name)
        return RolloutView(
            name=name,
            also_for=definition.also_for if definition is not None else (),
            flag=flag.flag,
            base=flag.base,
            candidate=flag.candidate,
            percent=flag.percent,
            version=flag.version,
            generation=flag.generation,
            step=flag.step,
            controller=controller_view(held.progress, self.steering.plan(name)),
            forced=dict(flag.forced),
            salt=flag.salt if with_salt else None,
            changed_at=held.changed_at,
            changed_by=held.changed_by,
            snapshot=_order(state),
            undistributed=self._undistributed(),
            percent_from=self.foreign.source(name),
        )


def _live_names(state: State, publication: Publication) -> list[str]:
    configured = list(publication.definitions.rollouts)
    names = [name for name, held in state.rollouts.items() if not held.retired]
    return sorted(names, key=lambda name: (configured.index(name) if name in configured else len(configured), name))


def _order(state: State) -> str:
    return f"{state.epoch}.{state.version}"


def _entry(entry: Entry) -> EntryView:
    return EntryView(**{name: getattr(entry, name) for name in EntryView.__struct_fields__})
