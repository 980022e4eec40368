"""The command line: each command parses, calls one function, and answers.

Exit codes: 0 done, 1 failed, 2 bad configuration or usage, 3 not eligible (`explain`) or a file
refused (`import`), 4 no such job, 5 not allowed in this state, 6 the peer refused or is away.
"""

from __future__ import annotations

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
    job_commands,
    log,
    migrations,
    records,
    storage,
    study_commands,
)
from dicom_node.command_line import AsJson, JobId, config_of, keep_log, node_of, print_json
from dicom_node.config import config_path, describe
from dicom_node.errors import NodeError, PeerError
from dicom_node.states import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_ELIGIBLE = 3

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that reads bone age from hand radiographs and reports to the PACS.",
)
database_app = typer.Typer(no_args_is_help=True, help="The database's tables.")
app.add_typer(database_app, name="db")
app.add_typer(job_commands.app)
app.add_typer(study_commands.app)


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


@app.command()
def serve(context: typer.Context) -> None:
    """Run every part under one supervisor, until SIGTERM or Ctrl-C."""
    from dicom_node.supervisor import Supervisor, parts_of  # noqa: PLC0415

    config = config_of(context)
    with storage.hold(config.data_directory):
        keep_log(context, config)
        migrations.upgrade(config)
        supervisor = Supervisor(parts_of(config, context.obj.resolve()))
        supervisor.run()
    if supervisor.exit_code:
        raise typer.Exit(supervisor.exit_code)


@app.command()
def listen(context: typer.Context) -> None:
    """Run one listener: C-ECHO and C-STORE."""
    from dicom_node.scp import listen as run  # noqa: PLC0415 - pynetdicom, only where needed

    run(node_of(context))


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
        run(node_of(context), _queue(queue))
    elif queue is None:
        file = context.obj.resolve()
        config_of(context)
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

    run(node_of(context))


@app.command()
def worklist(context: typer.Context) -> None:
    """Serve the worklist page."""
    import os  # noqa: PLC0415

    file = str(context.obj.resolve())
    config_of(context)
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

    found = run(config_of(context), file, calling)
    if as_json:
        print_json(found)
    else:
        verdict = "would be assessed" if found["eligible"] else "would be rejected"
        print(f"{file}: {verdict}" + (f": {found['reason']}" if found["reason"] else ""))  # noqa: T201
        if found["eligible"]:
            print("results go to: " + (", ".join(found["destinations"]) or "nobody"))  # noqa: T201
    if not found["eligible"]:
        raise typer.Exit(NOT_ELIGIBLE)


@app.command("jobs")
def list_jobs(
    context: typer.Context,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 1000,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    node = node_of(context)
    with node.database.read() as session:
        found = records.list_jobs(session, state, limit=limit)
    if as_json:
        print_json(found)
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
    node = node_of(context)
    with node.database.read() as session:
        found = records.show_job(session, job)
    if as_json:
        print_json(found)
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
def send(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="DICOM files.", exists=True, dir_okay=False)],
    to: Annotated[str, typer.Option(help="Name of a destination.")],
) -> None:
    """Send files to a destination by C-STORE."""
    from dicom_node import scu  # noqa: PLC0415

    config = config_of(context)
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
    as_json: AsJson = False,
) -> None:
    """Send a C-ECHO to a destination and say how far it gets."""
    from dicom_node.probe import probe  # noqa: PLC0415

    config = config_of(context)
    found = probe(config.node.ae_title, config.destination(name))
    if as_json:
        answers = found.failed is None
        print_json({"name": name, "answers": answers, "steps": found.as_values()})
    else:
        for step in found.steps:
            word = "good" if step.good else "failed"
            print(f"{step.name:<12} {word:<7} {step.seconds:6.3f} s  {step.detail}")  # noqa: T201
    if found.failed is None:
        if not as_json:
            print(f"{name} answers")  # noqa: T201
        return
    if not as_json:
        print(f"error: {name}: {found.failed.name}: {found.failed.detail}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(PeerError.exit_code)


@database_app.command("upgrade")
def upgrade_database(context: typer.Context) -> None:
    """Create or migrate the tables."""
    migrations.upgrade(config_of(context))
    print("the tables are up to date")  # noqa: T201


@app.command("check-config")
def check_config(context: typer.Context, as_json: AsJson = False) -> None:
    """Check the configuration file and show what is in force, passwords hidden."""
    config = config_of(context)
    if config.inference.calibration is not None:
        from dicom_node.infer import load_estimator  # noqa: PLC0415 - torch, only where needed

        # On the CPU: the machine that checks need not be the one that assesses.
        load_estimator(config.inference.model_copy(update={"device": "cpu"}))
    if as_json:
        print_json(describe(config))
    else:
        print(f"{context.obj}: good")  # noqa: T201


@app.command()
def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check that what the database promises is on the disk, unaltered."""
    from dicom_node.verify import verify as run  # noqa: PLC0415

    found = run(node_of(context))
    if as_json:
        print_json(found)
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
