"""Invented patients, jobs and deliveries: rows as the node would have left them.

Nothing here was received or assessed. Names, identifiers and UIDs are evidently invented.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dicom_node.growth import Z_90, determine
from dicom_node.jobs import name_key
from dicom_node.states import GIVEN_UP, DeliveryState, JobState, job_state_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worklist.bulk import Row

_J, _D = JobState, DeliveryState

FAMILIES: Final = ("Phantom", "Invented", "Imaginary", "Nobody", "Specimen", "Fictional")
GIVEN: Final = (
    "Ada",
    "Ben",
    "Cleo",
    "Dara",
    "Emil",
    "Fay",
    "Gus",
    "Hana",
    "Ilse",
    "Jon",
    "Kai",
    "Lia",
)
CALLERS: Final = ("CR_ROOM_1", "CR_ROOM_2", "DX_CHILDREN", "DX_EMERGENCY", "FILM_SCANNER")
CALLER_WEIGHTS: Final = (40, 30, 20, 9, 1)
DESTINATIONS: Final = ("PACS", "ARCHIVE", "RESEARCH")

REJECTIONS: Final = (
    "body part CHEST, not a hand",
    "modality MR is not CR or DX",
    "the child is 24 years old, older than 20",
    "the picture does not look like a hand radiograph",
    "not used, because another radiograph of this hand was chosen",
)
FAILURES: Final = (
    "the received file is missing",
    "given up after 3 attempts: each time the worker died, or the disk or the database was away",
    "the assessment failed: RuntimeError",
)
REFUSALS: Final = ("SR: SOP class not supported", "SC: data set does not match SOP class")
ABSENCES: Final = ("cannot connect: Connection refused", "no answer within 30 s")

OUTCOMES: Final = (
    (_J.CONFIRMED, 28.0),
    (_J.SENT, 58.0),
    (_J.REPORTED, 2.0),
    (_J.FAILED, 4.0),
    (_J.REJECTED, 7.0),
    (_J.CANCELLED, 1.0),
)
"""How often a job stands where, in percent; what is under way stands at the end."""

UNDER_WAY: Final = (_J.RUNNING, _J.QUEUED, _J.RECEIVED)
ASSESSED: Final = frozenset({_J.REPORTED, _J.SENT, _J.CONFIRMED})

REPORT: Final = (
    "INVENTED FOR DEVELOPMENT - no radiograph was assessed\nBone age {age:.1f} months\n"
    + "This line stands where a report has its lines, so that rows are as long as real ones.\n" * 8
)


@dataclass(slots=True)
class Invention:
    """Rows that belong together, by table, in an order that keys allow."""

    instance: list[Row] = field(default_factory=list)
    job: list[Row] = field(default_factory=list)
    delivery: list[Row] = field(default_factory=list)
    event: list[Row] = field(default_factory=list)

    def tables(self) -> dict[str, list[Row]]:
        """Return the rows by table."""
        return {
            "instance": self.instance,
            "job": self.job,
            "delivery": self.delivery,
            "event": self.event,
        }


@dataclass(frozen=True, slots=True)
class Patient:
    """An invented child.

    Attributes
    ----------
    number : int
        Which of all.
    name, patient_id : str
        As a header has them.
    sex : "M", "F" or ""
        As a header has it.
    """

    number: int
    name: str
    patient_id: str
    sex: str


def patient(number: int) -> Patient:
    """Return an invented child, ever the same for a number."""
    family = FAMILIES[number % len(FAMILIES)]
    given = GIVEN[number * 7 % len(GIVEN)]
    sex = ("F", "M", "F", "M", "M", "F", "F", "M", "")[number % 9]
    return Patient(number, f"{family}-{_letters(number)}^{given}", f"PHANTOM-{number:07d}", sex)


def _letters(number: int) -> str:
    """Return a number in letters, so that names differ where they begin."""
    letters = ""
    while True:
        number, digit = divmod(number, 26)
        letters = chr(ord("a") + digit) + letters
        if not number:
            return letters.capitalize()


class Inventor:
    """Invents jobs, oldest first.

    Parameters
    ----------
    count : int
        How many in all.
    until : datetime
        When the newest was received.
    first_id : int
        The first number of jobs and instances.
    quiet_days : float
        Within so many last days no send has failed, and nothing is under way.
    is_brief : bool
        Of each job only its first and its last event.
    """

    def __init__(
        self, count: int, until: datetime, *, first_id: int, quiet_days: float, is_brief: bool
    ) -> None:
        self._count, self._until, self._first = count, until, first_id
        self._quiet = until - timedelta(days=quiet_days)
        self._span = timedelta(days=365 if is_brief else 60)
        self._has_under_way = quiet_days == 0
        self._is_brief = is_brief
        self._random = random.Random(20_260)  # noqa: S311 - invented, and the same each time
        self._event = self._delivery = 0

    def batches(self, size: int) -> Iterator[Invention]:
        """Yield all jobs, so many at a time."""
        for start in range(0, self._count, size):
            made = Invention()
            for number in range(start, min(start + size, self._count)):
                self._invent(made, number)
            yield made

    def _invent(self, made: Invention, number: int) -> None:
        moment = self._until - self._span * (1 - number / self._count)
        job_id = self._first + number
        child = patient(self._random.randrange(max(1, self._count // 2)))
        age_months = 12 * (1 + number % 18) + self._random.random() * 12
        header = self._header(child, number, moment, age_months)
        again = self._random.random() < 0.02 and number > 0  # noqa: PLR2004 - one in fifty
        instance = self._instance(job_id, header, moment)
        if again:  # a re-run: the same instance as the job before
            instance_id, header = made_before(made, job_id)
            again = instance_id != job_id
        if not again:
            made.instance.append(instance)
            instance_id = job_id
        state = self._state(number, moment)
        self._job(made, job_id, instance_id, header, state, moment, age_months, again=again)

    def _state(self, number: int, moment: datetime) -> JobState:
        left = self._count - number
        if self._has_under_way and left <= len(UNDER_WAY) * 2:
            return UNDER_WAY[(left - 1) // 2]
        states, weights = zip(*OUTCOMES, strict=True)
        [state] = self._random.choices(states, weights)
        if state in {_J.FAILED, _J.REPORTED} and moment > self._quiet:
            return _J.SENT
        return JobState(state)

    def _header(
        self, child: Patient, number: int, moment: datetime, age_months: float
    ) -> dict[str, str]:
        taken = moment - timedelta(days=self._random.choice((0, 0, 0, 1, 30)))
        born = taken - timedelta(days=age_months * 365.2425 / 12)
        values = {
            "Modality": "DX",
            "StudyDate": f"{taken:%Y%m%d}",
            "AcquisitionDate": f"{taken:%Y%m%d}",
            "AccessionNumber": f"PH{number:08d}",
            "PatientName": child.name,
            "PatientID": child.patient_id,
            "PatientBirthDate": f"{born:%Y%m%d}" if number % 23 else "",
            "PatientSex": child.sex,
            "BodyPartExamined": "HAND",
            "StudyDescription": "INVENTED, bone age",
        }
        return {keyword: value for keyword, value in values.items() if value}

    def _instance(self, number: int, header: dict[str, str], moment: datetime) -> Row:
        uid = f"2.25.{10**30 + number}"
        [caller] = self._random.choices(CALLERS, CALLER_WEIGHTS)
        return {
            "id": number,
            "sop_instance_uid": uid,
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
            "study_instance_uid": f"2.25.{2 * 10**30 + number}",
            "series_instance_uid": f"2.25.{3 * 10**30 + number}",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "revision": 1,
            "sha256": f"{number:064x}",
            "size_bytes": 0,
            "path": f"received/none/{uid}.dcm",
            "calling_ae_title": caller,
            "peer_address": "127.0.0.1",
            "received_at": moment,
            "header": header,
            "patient_id": header["PatientID"],
            "issuer_of_patient_id": "",
            "patient_name_key": name_key(header["PatientName"]),
            "accession_number": header["AccessionNumber"],
        }

    def _job(  # noqa: PLR0913, PLR0917 - a row has this many parts
        self,
        made: Invention,
        job_id: int,
        instance_id: int,
        header: dict[str, str],
        state: JobState,
        moment: datetime,
        age_months: float,
        *,
        again: bool,
    ) -> None:
        sends = state in ASSESSED or (state == _J.FAILED and self._random.random() < 0.7)  # noqa: PLR2004
        sent = self._deliveries(state) if sends else []
        finding = self._finding(header, age_months) if sends else None
        reason = self._reason(state, sent)
        later = moment + timedelta(seconds=self._random.uniform(5, 600))
        instance = next(row for row in reversed(made.instance) if row["id"] == instance_id)
        made.job.append(
            {
                "id": job_id,
                "instance_id": instance_id,
                "state": str(state),
                "reason": reason,
                "outcome": "assessed" if finding else None,
                "rerun_of": job_id - 1 if again else None,
                "created_at": moment,
                "updated_at": moment if state == _J.RECEIVED else later,
                "attempts": 1,
                "bone_age_months": finding["bone_age_months"] if finding else None,
                "weights_version": "invented" if finding else None,
                "finding": finding,
                "calling_ae_title": instance["calling_ae_title"],
                "study_date": header["StudyDate"],
                "determination": finding["determination"] if finding else None,
                "undelivered": any(one in GIVEN_UP for _, one, _ in sent),
            }
        )
        self._events(made, job_id, state, sent, reason, (moment, later))

    def _deliveries(self, state: JobState) -> list[tuple[str, DeliveryState, str | None]]:
        names = self._random.sample(DESTINATIONS, self._random.choices((1, 2, 3), (60, 35, 5))[0])
        states = [self._delivery_state(state, place) for place in range(len(names))]
        if state != _J.CONFIRMED and job_state_for(states) != state:
            states = [self._delivery_state(state, 0)] * len(names)
        return [
            (name, one, self._delivery_reason(one)) for name, one in zip(names, states, strict=True)
        ]

    def _delivery_state(self, state: JobState, place: int) -> DeliveryState:
        if state == _J.CONFIRMED:
            return _D.CONFIRMED
        if state == _J.FAILED and place == 0:
            return self._random.choice((_D.REFUSED, _D.EXHAUSTED))
        if state == _J.REPORTED and place == 0:
            return self._random.choice((_D.WAITING, _D.SENDING, _D.HELD))
        return _D.SENT

    def _delivery_reason(self, state: DeliveryState) -> str | None:
        if state == _D.REFUSED:
            return self._random.choice(REFUSALS)
        if state == _D.EXHAUSTED:
            return f"given up after 11 attempts; the last: {self._random.choice(ABSENCES)}"
        return "no destination of this name is configured" if state == _D.HELD else None

    def _reason(
        self, state: JobState, sent: list[tuple[str, DeliveryState, str | None]]
    ) -> str | None:
        if state == _J.REJECTED:
            return self._random.choice(REJECTIONS)
        if state == _J.FAILED:
            lost = ", ".join(name for name, one, _ in sent if one in {_D.REFUSED, _D.EXHAUSTED})
            return f"not delivered to {lost}" if lost else self._random.choice(FAILURES)
        return None

    def _finding(self, header: dict[str, str], age_months: float) -> dict[str, Any]:
        sd = 7 + age_months / 40
        [ahead] = self._random.choices((0, 54, -54), (90, 6, 4))
        bone = min(228.0, max(6.0, self._random.gauss(age_months + ahead, 12)))
        low, high = bone - Z_90 * sd, bone + Z_90 * sd
        sex = header.get("PatientSex", "unknown")
        known = sex != "unknown" and "PatientBirthDate" in header
        bounds = ((bound - age_months) / 12 for bound in (low, high))
        z_score = (bone - age_months) / 12
        return {
            "bone_age_months": round(bone, 2),
            "sd_months": round(sd, 2),
            "interval_months": [round(low, 2), round(high, 2)],
            "by_sex": None,
            "sex": sex,
            "sex_seen": "F",
            "sex_probability": 0.5,
            "chronological_age_months": round(age_months, 2) if known else None,
            "laterality": "L",
            "z_score": round(z_score, 3) if known else None,
            "determination": determine(z_score, *bounds) if known else None,
            "started_at": None,
            "weights_version": "invented",
            "report": REPORT.format(age=bone),
        }

    def _events(  # noqa: PLR0913, PLR0917 - an event has this many parts
        self,
        made: Invention,
        job_id: int,
        state: JobState,
        sent: list[tuple[str, DeliveryState, str | None]],
        reason: str | None,
        span: tuple[datetime, datetime],
    ) -> None:
        first, last = span
        path = [_J.RECEIVED] if self._is_brief and state != _J.RECEIVED else _path(state, sent)
        if self._is_brief and state != _J.RECEIVED:
            path.append(state)
        for place, target in enumerate(path):
            at = first + (last - first) * place / max(1, len(path) - 1)
            why = reason if target == state else None
            before = path[place - 1] if place else None
            self._add_event(made, job_id, None, before, target, at, why)
        for name, one, why in sent:
            self._delivery += 1
            made.delivery.append(
                {
                    "id": self._delivery,
                    "job_id": job_id,
                    "destination": name,
                    "state": str(one),
                    "reason": why,
                    "attempts": 11 if one == _D.EXHAUSTED else 1,
                    "next_attempt_at": last,
                    "updated_at": last,
                }
            )
            if not self._is_brief:
                self._add_event(made, job_id, self._delivery, None, _D.WAITING, last, None)
                if one != _D.WAITING:
                    self._add_event(made, job_id, self._delivery, _D.WAITING, one, last, why)

    def _add_event(  # noqa: PLR0913, PLR0917 - an event has this many parts
        self,
        made: Invention,
        job_id: int,
        delivery_id: int | None,
        source: str | None,
        target: str,
        at: datetime,
        reason: str | None,
    ) -> None:
        self._event += 1
        made.event.append(
            {
                "id": self._event,
                "job_id": job_id,
                "delivery_id": delivery_id,
                "at": at,
                "from_state": None if source is None else str(source),
                "to_state": str(target),
                "actor": "node",
                "reason": reason,
            }
        )


def made_before(made: Invention, job_id: int) -> tuple[int, dict[str, str]]:
    """Return instance and header of the job before, or the job's own number where there is none."""
    if not made.job:
        return job_id, {}
    instance_id = made.job[-1]["instance_id"]
    header = next(row["header"] for row in reversed(made.instance) if row["id"] == instance_id)
    return instance_id, header


def _path(state: JobState, sent: list[tuple[str, DeliveryState, str | None]]) -> list[JobState]:
    """Return the states that a job came through."""
    if state in {_J.RECEIVED, _J.QUEUED}:
        return [_J.RECEIVED, _J.QUEUED][: 1 + (state == _J.QUEUED)]
    if state in {_J.REJECTED, _J.CANCELLED}:
        return [_J.RECEIVED, state]
    path = [_J.RECEIVED, _J.QUEUED, _J.RUNNING]
    if state == _J.RUNNING:
        return path
    if state == _J.FAILED:
        return [*path, *([_J.REPORTED] if sent else []), state]
    return [
        *path,
        *dict.fromkeys((_J.REPORTED, *([_J.SENT] if state != _J.REPORTED else []), state)),
    ]
