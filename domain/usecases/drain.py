"""The drain: claim what is due, ask, decide, save by waves, until nothing is due or the time is spent.

Every kind of due work goes this one way. What differs is a `Step`: how a row is read, begun and decided.
No transaction of the store is open while an answer is waited for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol

from domain.model.decision import Survey
from domain.model.due_work import Claim, Claimed, Lane, LaneLimits, Work
from domain.ports.persistence import Conflict, StoreUnavailable, UnitOfWork, UnitOfWorkFactory
from domain.rules.lanes import EFFECTS, after, is_probing, refill, spend

# A row claimed this often in vain is claimed alone, after the healthy ones (the store's index says the same) ...
SUSPECT_AFTER: Final = 3
# ... and this often, it is parked with a STUCK case.
PARK_AFTER: Final = 8
_LONGEST_SUMMARY: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Something that a step learnt for one claimed row. `good` is what it says of the lane, None for nothing."""

    row: Claimed
    subject: Any
    answer: Any
    good: bool | None
    retry_after: timedelta | None = None


def summary_of(error: BaseException) -> str:
    """Return what is kept of an error: its kind and its first line, for the lines below quote whole rows."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:_LONGEST_SUMMARY]}"


class Step(Protocol):
    """What is particular to the kinds of work of one queue."""

    @property
    def works(self) -> Sequence[Work]: ...

    @property
    def beside(self) -> Sequence[Work]:
        """Work of another queue in the same lanes: calls are kept for what of it is due."""

    def limits(self, lane: Lane) -> LaneLimits: ...

    def read(self, uow: UnitOfWork, claim: Claim) -> Mapping[int, Any]:
        """Return {subject: what is needed to ask about it}, in the claim's own transaction."""

    def begin(self, lane: Lane, rows: Sequence[tuple[Claimed, Any]]) -> None:
        """Begin to ask; the answers come out of `collect`."""

    def collect(self, timeout: float) -> Sequence[Answered]:
        """Wait up to `timeout` seconds for at least one answer; return all that have come."""

    def under_way(self, lane: Lane) -> int:
        """How many calls of this lane are under way."""

    def save(self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered]) -> Mapping[int, str]:
        """Decide and write a wave; return {subject: error} of those whose rule raised."""

    def committed(self) -> None:
        """What was saved is committed: say so to whom it concerns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a drain divides its time; durations in seconds."""

    budget: float = 15.0
    wave_seconds: float = 0.25
    look_seconds: float = 0.25  # how often what has become due is looked for while calls are under way
    wave_size: int = 100
    lease_margin: timedelta = timedelta(seconds=30)
    retry_after_error: timedelta = timedelta(seconds=30)
    claim_size: int = 500
    # Whether a claim that is not full is the last: what comes after it is left to gather for the next drain.
    gathers: bool = False
    # How long at most lanes that are well are served while the slow calls of others, begun within the budget, end.
    overtime: float = 0.0


@dataclass(slots=True, kw_only=True)
class Drain:
    """One run over one queue's due work."""

    unit_of_work: UnitOfWorkFactory
    step: Step
    pace: Pace
    clock: Callable[[], float]  # monotonic seconds; it paces the drain and decides nothing
    report: Callable[[str, Mapping[str, object]], None]

    _token: int | None = None
    _open: dict[int, Claimed] = field(default_factory=dict)
    _wave: list[Answered] = field(default_factory=list)
    _lanes: dict[int, Lane] = field(default_factory=dict)
    _late: set[int] | None = None  # under way when the budget was spent

    def __call__(self, budget: float | None = None) -> int:
        """Do what is due; return how many rows were worked on."""
        stop_at = self.clock() + (self.pace.budget if budget is None else budget)
        wave_began = self.clock()
        claim_at = 0.0
        worked = 0
        while True:
            now = self.clock()
            end = self._end(now, stop_at)
            idle = not self._open and not self._wave
            taken = 0
            if idle and now >= end:
                return worked
            if now < end and (idle or now >= claim_at):
                taken = self._try_to_claim()
                worked += taken
                if self.pace.gathers and 0 < taken < self.pace.claim_size:
                    stop_at = now
                # Nothing to claim is not asked about again with every answer.
                claim_at = now if taken else now + self.pace.look_seconds
            if idle and not taken:
                return worked
            if self._open and len(self._wave) < self.pace.wave_size:
                until = wave_began + self.pace.wave_seconds
                until = min(until, claim_at) if now < claim_at < end else until
                self._take(self.step.collect(max(until - self.clock(), 0.0)))
            if self._wave and (len(self._wave) >= self.pace.wave_size or self._wave_is_over(wave_began)):
                self._save()
                claim_at = 0.0  # what was saved may be due again at once
            if not self._wave:
                wave_began = self.clock()

    def _end(self, now: float, stop_at: float) -> float:
        """When claiming ends: with the budget, or later while what was begun within it holds the drain up anyway."""
        if now < stop_at:
            return stop_at
        self._late = set(self._open) if self._late is None else self._late & self._open.keys()
        return stop_at + self.pace.overtime if self._late else stop_at

    def _wave_is_over(self, began: float) -> bool:
        return not self._open or self.clock() - began >= self.pace.wave_seconds

    def _try_to_claim(self) -> int:
        """Claim, or nothing where others stand in the way: what is under way is not given up for that."""
        try:
            return self._claim(lone=not self._open)
        except Conflict:
            return 0

    def _claim(self, *, lone: bool) -> int:
        """Claim and begin what is due now in every ready lane; return how many rows that were."""
        with self.unit_of_work() as uow:
            due = [lane for lane in uow.lanes.lock_due(self.step.works) if self._is_served(lane)]
            lanes = [refill(lane, self.step.limits(lane), uow.now) for lane in due]
            chosen = self._choose(uow, lanes) or (self._choose_lone(uow, lanes) if lone else [])
            if not chosen:
                uow.commit()  # of nothing: what is given up costs a connection the plans that it has prepared
                return 0
            slowest = max(self.step.limits(lane).call_timeout for lane, _ in chosen)
            claim = uow.due_work.lease(
                [row for _, rows in chosen for row in rows],
                until=uow.now + slowest + self.pace.lease_margin,
                token=self._token,
            )
            uow.lanes.save(lane for lane, _ in chosen)
            hopeless = [row.subject for row in claim.rows if row.claims > PARK_AFTER]
            if hopeless:
                uow.due_work.park(claim, hopeless)
            subjects = self.step.read(uow, claim)
            uow.commit()
        self._token = claim.token
        for subject in hopeless:
            self.report("due_work.parked", {"subject": subject})
        self._begin({lane.id: lane for lane, _ in chosen}, claim, subjects)
        return len(claim.rows)

    def _choose(self, uow: UnitOfWork, lanes: Sequence[Lane]) -> list[tuple[Lane, list[Claimed]]]:
        """Take a bounded share of every lane that has room."""
        rooms = {lane.id: self._room(lane) for lane in lanes}
        works = (*self.step.works, *self.step.beside)
        wanted = {
            lane.id: dict.fromkeys(works, min(rooms[lane.id] * self.step.limits(lane).bulk, self.pace.claim_size))
            for lane in lanes
            if rooms[lane.id] > 0
        }
        found = uow.due_work.candidates(wanted)
        spent = [
            spend(lane, self.step.limits(lane), found[lane.id], room=rooms[lane.id], beside=self.step.beside)
            for lane in lanes
            if lane.id in found
        ]
        return [(lane, rows) for lane, rows in spent if rows]

    def _choose_lone(self, uow: UnitOfWork, lanes: Sequence[Lane]) -> list[tuple[Lane, list[Claimed]]]:
        """Nothing healthy is due and nothing under way: the time for one row that was claimed in vain before."""
        for restrained in (False, True):
            alike = [lane for lane in lanes if (lane.no_effects or lane.shadow) is restrained]
            ready = {lane.id: lane for lane in alike if self._room(lane) > 0}
            works = [work for work in self.step.works if not restrained or work not in EFFECTS]
            for row in uow.due_work.suspects([key for key, lane in ready.items() if lane.tokens >= 1], works):
                lane = ready[row.lane]
                return [spend(lane, self.step.limits(lane), {row.work: [row]}, room=1)]
        return []

    def _is_served(self, lane: Lane) -> bool:
        """Whether it may be claimed of now; in overtime only if it is well, for no slow call is to follow another."""
        return self._late is None or (not lane.failures and not self.step.under_way(lane))

    def _room(self, lane: Lane) -> int:
        """Calls that may be begun; a window is refilled when half of it is free, so that claims stay batches."""
        limits = self.step.limits(lane)
        if is_probing(lane, limits):
            return int(self.step.under_way(lane) == 0)
        free = limits.concurrency - self.step.under_way(lane)
        return free if 2 * free >= limits.concurrency else 0

    def _begin(self, lanes: Mapping[int, Lane], claim: Claim, subjects: Mapping[int, Any]) -> None:
        self._lanes.update(lanes)
        begun: dict[int, list[tuple[Claimed, Any]]] = {}
        for row in claim.rows:
            if row.subject in subjects and row.claims <= PARK_AFTER:
                begun.setdefault(row.lane, []).append((row, subjects[row.subject]))
                self._open[row.subject] = row
        for lane, rows in begun.items():
            self.step.begin(lanes[lane], rows)

    def _take(self, answers: Iterable[Answered]) -> None:
        for answered in answers:
            # The very row: an answer that an earlier drain did not wait for is none to this one's question.
            if self._open.get(answered.row.subject) is answered.row:
                del self._open[answered.row.subject]
                self._wave.append(answered)

    def _save(self) -> None:
        wave, self._wave = self._wave, []
        self._save_part(wave)

    def _save_part(self, wave: Sequence[Answered], *, conflicts: int = 0) -> None:
        """Save a wave; one that the store refuses is halved until the one row is alone, which is then given back."""
        try:
            self._save_whole(wave)
        except StoreUnavailable:
            raise
        except Conflict as error:
            if conflicts < SUSPECT_AFTER:
                self._save_part(wave, conflicts=conflicts + 1)
            else:
                self._divide(wave, error)
        except Exception as error:  # noqa: BLE001 - the last one of a wave: it isolates the row, keeps the error, never decides
            self._divide(wave, error)

    def _divide(self, wave: Sequence[Answered], error: Exception) -> None:
        if len(wave) > 1:
            middle = len(wave) // 2
            self._save_part(wave[:middle])
            self._save_part(wave[middle:])
            return
        self.report("due_work.refused", {"subject": wave[0].row.subject, "error": summary_of(error)})
        with self.unit_of_work() as uow:
            self._release(uow, self._claim_of(wave), {wave[0].row.subject: summary_of(error)})
            uow.commit()

    def _save_whole(self, wave: Sequence[Answered]) -> None:
        with self.unit_of_work() as uow:
            claim = self._claim_of(wave)
            errors = self.step.save(uow, claim, wave)
            if errors:
                self._release(uow, claim, errors)
            self._survey(uow, wave)
            uow.commit()
        self.step.committed()
        for subject, error in errors.items():
            self.report("due_work.raised", {"subject": subject, "error": error})

    def _release(self, uow: UnitOfWork, claim: Claim, errors: Mapping[int, str]) -> None:
        uow.due_work.release(claim, errors, until=uow.now + self.pace.retry_after_error)

    def _claim_of(self, wave: Sequence[Answered]) -> Claim:
        assert self._token is not None
        rows = [answered.row for answered in wave]
        return Claim(token=self._token, leased_until=rows[0].due_at, rows=rows)

    def _survey(self, uow: UnitOfWork, wave: Sequence[Answered]) -> None:
        """Tell the lanes what the wave says of them; a healthy lane that stays so is not written."""
        surveys = {lane: _survey_of(lane, wave, uow) for lane in {answered.row.lane for answered in wave}}
        telling = {
            lane: survey
            for lane, survey in surveys.items()
            if survey.failed or survey.pause_until or (survey.intelligible and self._lanes[lane].failures)
        }
        if telling:
            lanes = [after(lane, self.step.limits(lane), telling[lane.id], uow.now) for lane in uow.lanes.lock(telling)]
            uow.lanes.save(lanes)
            self._lanes.update({lane.id: lane for lane in lanes})


def _survey_of(lane: int, wave: Sequence[Answered], uow: UnitOfWork) -> Survey:
    mine = [answered for answered in wave if answered.row.lane == lane]
    waits = [answered.retry_after for answered in mine if answered.retry_after is not None]
    return Survey(
        lane=lane,
        intelligible=sum(answered.good is True for answered in mine),
        failed=sum(answered.good is False for answered in mine),
        pause_until=uow.now + max(waits) if waits else None,
    )
