"""The command line: each command parses, calls one function, and answers.

Exit codes: 0 done, 1 failed, 2 bad configuration or usage, 3 not eligible (`explain`) or a file
refused (`import`), 4 no such job, 5 not allowed in this state, 6 the peer refused or is away.
"""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import (
    __version__,
    deliveries,
    intake,
    jobs,
    log,
    migrations,
    records,
    storage,
)
from dicom_node.config import Config, config_path, describe, load_config
from dicom_node.errors import NodeError, NotAllowedError, PeerError
from dicom_node.node import Node
from dicom_node.states import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.finding import CorrectedKeyword

NOT_ELIGIBLE = REFUSED = 3

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that reads bone age from hand radiographs and reports to the PACS.",
)
database_app = typer.Typer(no_args_is_help=True, help="The database's tables.")
app.add_typer(database_app, name="db")

JobId = Annotated[int, typer.Argument(metavar="JOB", help="The job's number, as `jobs` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def _print_json(value: object) -> None:
    """Print JSON on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201 - the command's answer


def _version(value: bool) -> None:
    if value:
        print(__version__)  # noqa: T201
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The configuration file; else $DICOM_NODE_CONFIG, else config.yaml.",
            metavar="FILE",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the name of the configuration file for the command."""
    log.configure()
    context.obj = config_path(config)


def _config(context: typer.Context) -> Config:
    """Read the configuration."""
    return load_config(context.obj)


def _node(context: typer.Context) -> Node:
    """Put the node together; it is closed when the command ends."""
    node = Node.of(_config(context))
    context.call_on_close(node.close)
    return node


def _operator() -> str:
    """Return the actor that events of the command line name."""
    return f"{getpass.getuser()} (command line)"


@app.command()
def serve(context: typer.Context) -> None:
    """Run every part under one supervisor, until SIGTERM or Ctrl-C."""
    from dicom_node.supervisor import Supervisor, parts_of  # noqa: PLC0415

    config = _config(context)
    with storage.hold(config.data_directory):
        migrations.upgrade(config)
        supervisor = Supervisor(parts_of(config, context.obj.resolve()))
        supervisor.run()
    if supervisor.exit_code:
        raise typer.Exit(supervisor.exit_code)


@app.command()
def listen(context: typer.Context) -> None:
    """Run one listener: C-ECHO and C-STORE."""
    from dicom_node.scp import listen as run  # noqa: PLC0415 - pynetdicom, only where needed

    run(_node(context))


@app.command()
def work(
    context: typer.Context,
    queue: Annotated[
        str | None, typer.Option(help="assess or send; without it both, in two processes.")
    ] = None,
) -> None:
    """Run workers: assess radiographs, or send results and fetch earlier ones."""
    from dicom_node.supervisor import Part, Supervisor, own_command  # noqa: PLC0415
    from dicom_node.worker import work as run  # noqa: PLC0415

    if queue in {"assess", "send"}:
        run(_node(context), _queue(queue))
    elif queue is None:
        file = context.obj.resolve()
        _config(context)
        names = ("assess", "send")
        Supervisor([Part(n, own_command(file, "work", "--queue", n)) for n in names]).run()
    else:
        msg = "--queue is assess or send"
        raise typer.BadParameter(msg)


def _queue(name: str) -> Literal["assess", "send"]:
    return "assess" if name == "assess" else "send"


@app.command()
def sweep(context: typer.Context) -> None:
    """Run the sweeper: what the broker lost or a dead process held goes on."""
    from dicom_node.sweep import sweep as run  # noqa: PLC0415

    run(_node(context))


@app.command()
def worklist(context: typer.Context) -> None:
    """Serve the worklist page."""
    import os  # noqa: PLC0415

    file = str(context.obj.resolve())
    _config(context)
    # The page is a package of its own that the node starts and does not import.
    os.execv(sys.executable, [sys.executable, "-m", "worklist", "--config", file])  # noqa: S606


@app.command()
def explain(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A DICOM file.", exists=True, dir_okay=False)],
    calling: Annotated[str, typer.Option(help="As if this AE title had sent it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what the node would do with a file, and why; nothing is stored."""
    from dicom_node.explain import explain as run  # noqa: PLC0415

    found = run(_config(context), file, calling)
    if as_json:
        _print_json(found)
    else:
        verdict = "would be assessed" if found["eligible"] else "would be rejected"
        print(f"{file}: {verdict}" + (f": {found['reason']}" if found["reason"] else ""))  # noqa: T201
        if found["eligible"]:
            print("results go to: " + (", ".join(found["destinations"]) or "nobody"))  # noqa: T201
    if not found["eligible"]:
        raise typer.Exit(NOT_ELIGIBLE)


@app.command("import")
def import_files(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(help="DICOM files, zips, or folders of them.", exists=True)
    ],
    as_json: AsJson = False,
) -> None:
    """Take files into the store as if a modality had sent them."""
    from dataclasses import asdict  # noqa: PLC0415

    from dicom_node.importing import Importer, Outcome  # noqa: PLC0415
    from dicom_node.reception import person  # noqa: PLC0415

    node = _node(context)
    incoming = storage.Incoming(node.storage)
    context.call_on_close(incoming.close)
    importer = Importer(node, incoming, person("command", getpass.getuser()))
    answers = []
    for answer in (answer for file in files for answer in importer.take_tree(file)):
        answers.append(answer)
        if not as_json:
            print(f"{answer.name}: {answer.words}")  # noqa: T201
    if as_json:
        _print_json([asdict(answer) for answer in answers])
    if any(answer.outcome == Outcome.REFUSED for answer in answers):
        raise typer.Exit(REFUSED)


@app.command()
def query(  # noqa: PLR0913 - a question has this many parts
    context: typer.Context,
    archive: Annotated[str, typer.Argument(help="Name of an archive.")],
    *,
    patient_id: Annotated[str, typer.Option(help="PatientID; * and ? are wildcards.")] = "",
    patient_name: Annotated[str, typer.Option(help="PatientName, such as Doe^J*.")] = "",
    accession: Annotated[str, typer.Option(help="AccessionNumber.")] = "",
    date: Annotated[
        str, typer.Option(help="StudyDate: YYYYMMDD, or FROM-TO with either left out.")
    ] = "",
    modality: Annotated[str, typer.Option(help="CR, DX or another.")] = "",
    body_part: Annotated[str, typer.Option(help="BodyPartExamined, such as HAND.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many studies.", min=1, max=500)] = 100,
    as_json: AsJson = False,
) -> None:
    """Ask an archive for studies."""
    from dataclasses import asdict  # noqa: PLC0415

    from dicom_node import retrievals  # noqa: PLC0415
    from dicom_node.query import Question, find_studies  # noqa: PLC0415

    node = _node(context)
    asked = Question(patient_id, patient_name, accession, date, modality, body_part)
    peer = node.config.archive(archive)
    found = find_studies(node.config.node.ae_title, peer, asked, limit)
    with node.database.read() as session:
        here = retrievals.present(session, [one.study_instance_uid for one in found.studies])
    if as_json:
        studies = [
            {**asdict(one), "here": here.get(one.study_instance_uid, 0)} for one in found.studies
        ]
        _print_json({**asdict(found), "studies": studies})
        return
    table = Table("study", "date", "patient", "accession", "modalities", "description", "here")
    for one in found.studies:
        who = escape(f"{one.patient_name} ({one.patient_id})")
        words = (one.study_date, who, escape(one.accession_number), " ".join(one.modalities))
        number = str(here.get(one.study_instance_uid, ""))
        table.add_row(one.study_instance_uid, *words, escape(one.study_description), number)
    Console().print(table)
    more = () if found.is_whole else (f"There are more than {limit}: ask for less.",)
    for remark in (*found.remarks, *more):
        print(remark)  # noqa: T201


@app.command()
def retrieve(
    context: typer.Context,
    archive: Annotated[str, typer.Argument(help="Name of an archive.")],
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY_UID...", help="Study instance UIDs.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Whole studies, not only what could be assessed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have an archive send studies, and wait for them."""
    from dataclasses import asdict  # noqa: PLC0415

    from dicom_node import retrievals, retriever  # noqa: PLC0415
    from dicom_node.states import RetrievalState  # noqa: PLC0415

    node = _node(context)
    ids = retriever.order(node, archive, studies, actor=_operator(), everything=everything)
    ended = []
    for retrieval_id in ids:
        retriever.retrieve(node, retrieval_id, at_once=None)
        with node.database.read() as session:
            ended += [found] if (found := retrievals.get(session, retrieval_id)) else []
        if not as_json:
            print(f"{ended[-1].study_instance_uid}: {retrievals.words(ended[-1])}")  # noqa: T201
    if as_json:
        shown = [asdict(one) for one in ended]
        _print_json(json.loads(json.dumps(shown, default=str)))
    if any(one.state != RetrievalState.DONE for one in ended):
        raise typer.Exit(PeerError.exit_code)


@app.command("jobs")
def list_jobs(
    context: typer.Context,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 1000,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    node = _node(context)
    with node.database.read() as session:
        found = records.list_jobs(session, state, limit=limit)
    if as_json:
        _print_json(found)
        return
    table = Table("job", "state", "bone age", "destinations", "reason")
    for job in found:
        age = job["bone_age_months"]
        sent = ", ".join(f"{d['name']} {d['state']}" for d in job["destinations"])
        words = "" if age is None else f"{age:.0f} months"
        table.add_row(
            str(job["id"]), job["state"], words, escape(sent), escape(job["reason"] or "")
        )
    Console().print(table)


@app.command()
def show(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Show one job: its report as text, its results, every event."""
    node = _node(context)
    with node.database.read() as session:
        found = records.show_job(session, job)
    if as_json:
        _print_json(found)
        return
    reason = f": {found['reason']}" if found["reason"] else ""
    lines = [f"job {found['id']}: {found['state']}{reason}"]
    lines += [f"  {name['kind']}: {name['file']}" for name in found["outputs"]]
    lines += [_event_line(event) for event in found["events"]]
    if found["finding"]:
        lines += ["", found["finding"]["report"]]
    print("\n".join(lines))  # noqa: T201


def _event_line(event: dict[str, Any]) -> str:
    what = "job" if event["delivery"] is None else f"delivery {event['delivery']}"
    reason = f" ({event['reason']})" if event["reason"] else ""
    return f"  {event['at'][:19]}  {what}: {event['from'] or '-'} -> {event['to']}{reason}"


@app.command()
def rerun(
    context: typer.Context,
    job: JobId,
    sex: Annotated[
        str | None, typer.Option(help="M, F or unknown, instead of what the header says.")
    ] = None,
    birth_date: Annotated[
        str | None, typer.Option(help="YYYYMMDD, instead of what the header says.")
    ] = None,
    laterality: Annotated[
        str | None, typer.Option(help="L or R, instead of what the header says.")
    ] = None,
) -> None:
    """Assess a radiograph again: a new job that names this one; corrections are in its report."""
    said: dict[CorrectedKeyword, str | None] = {
        "PatientSex": sex,
        "PatientBirthDate": birth_date,
        "ImageLaterality": laterality,
    }
    corrected = {keyword: value for keyword, value in said.items() if value is not None}
    node = _node(context)
    with node.database.write() as session:
        new = jobs.rerun(session, job, _operator(), corrected)
    state = intake.admit(node, new)
    with node.database.read() as session:
        reason = jobs.get(session, new).reason
    print(f"job {new} is {state}" + (f": {reason}" if reason else ""))  # noqa: T201


@app.command()
def retry(
    context: typer.Context,
    job: JobId,
    to: Annotated[str | None, typer.Option(help="Only this destination.")] = None,
) -> None:
    """Go on with a job that stopped: send again, assess again, or accept a rejected one."""
    from dicom_node.pipeline import enqueue_delivery  # noqa: PLC0415

    node = _node(context)
    with node.database.write() as session:
        state = jobs.get(session, job).state
        again = deliveries.retry(session, job, _operator(), to)
        if not again:
            if to is not None or state not in {JobState.FAILED, JobState.REJECTED}:
                msg = f"job {job} is {state}: there is nothing to try again"
                raise NotAllowedError(msg)
            jobs.change(session, job, JobState.QUEUED, actor=_operator(), reason="retry")
    for delivery_id in again:
        enqueue_delivery(node, delivery_id)
    if not again:
        intake.enqueue(node, job)
    print(f"job {job}: " + (f"{len(again)} deliveries wait" if again else "queued"))  # noqa: T201


@app.command()
def cancel(context: typer.Context, job: JobId) -> None:
    """Cancel a job that has not begun."""
    node = _node(context)
    with node.database.write() as session:
        jobs.change(session, job, JobState.CANCELLED, actor=_operator())
    print(f"job {job} is cancelled")  # noqa: T201


@app.command()
def send(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="DICOM files.", exists=True, dir_okay=False)],
    to: Annotated[str, typer.Option(help="Name of a destination.")],
) -> None:
    """Send files to a destination by C-STORE."""
    from dicom_node import scu  # noqa: PLC0415

    config = _config(context)
    failed = False
    for transfer in scu.store(config.node.ae_title, config.destination(to), files):
        stored = deliveries.is_stored(transfer.status)
        failed = failed or not stored
        print(f"{transfer.path}: {'stored' if stored else transfer.reason}")  # noqa: T201
    if failed:
        raise typer.Exit(PeerError.exit_code)


@app.command()
def echo(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of a destination.")],
) -> None:
    """Send a C-ECHO to a destination."""
    from dicom_node import scu  # noqa: PLC0415

    config = _config(context)
    scu.echo(config.node.ae_title, config.destination(name))
    print(f"{name} answers")  # noqa: T201


@database_app.command("upgrade")
def upgrade_database(context: typer.Context) -> None:
    """Create or migrate the tables."""
    migrations.upgrade(_config(context))
    print("the tables are up to date")  # noqa: T201


@app.command("check-config")
def check_config(context: typer.Context, as_json: AsJson = False) -> None:
    """Check the configuration file and show what is in force, passwords hidden."""
    config = _config(context)
    if config.inference.calibration is not None:
        from dicom_node.infer import load_estimator  # noqa: PLC0415 - torch, only where needed

        # On the CPU: the machine that checks need not be the one that assesses.
        load_estimator(config.inference.model_copy(update={"device": "cpu"}))
    if as_json:
        _print_json(describe(config))
    else:
        print(f"{context.obj}: good")  # noqa: T201


@app.command()
def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check that what the database promises is on the disk, unaltered."""
    from dicom_node.verify import verify as run  # noqa: PLC0415

    found = run(_node(context))
    if as_json:
        _print_json(found)
    else:
        for problem in found["problems"]:
            print(problem)  # noqa: T201
        print(f"{found['files']} files checked, {len(found['problems'])} problems")  # noqa: T201
    if found["problems"]:
        raise typer.Exit(1)


@app.command()
def demo(
    context: typer.Context,
    image: Annotated[
        Path | None, typer.Option(help="Your own picture or DICOM file; else a phantom is drawn.")
    ] = None,
    sex: Annotated[
        str | None, typer.Option(help="M, F or unknown; for a DICOM file its header decides.")
    ] = None,
    age: Annotated[
        float | None, typer.Option(help="Age in years at the radiograph.", min=0, max=20)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for what comes out.")] = Path("var/demo"),
) -> None:
    """Run the whole node once on one radiograph and show what a radiologist would get."""
    del context
    from dicom_node.demo import run  # noqa: PLC0415

    run(image, sex, age, out)


def main() -> None:
    """Run a command; an error of ours ends it with one line and its exit code."""
    _guarded(app)


def _guarded(command: Callable[[], Any]) -> None:
    try:
        command()
    except NodeError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None
    except SQLAlchemyError as error:
        name = type(error).__name__
        print(f"error: the database cannot be used ({name}); try `db upgrade`", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
