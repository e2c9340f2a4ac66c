"""`compress`: parse, call, show. Each command imports what it needs, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from compressor import scarce

PROGRAM = "compress"

app = typer.Typer(
    name=PROGRAM,
    help="From one pipeline file to a verified edge bundle and a report that decides.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
store_app = typer.Typer(help="What the store holds, and making room in it.", no_args_is_help=True)
app.add_typer(store_app, name="store")

PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE", help="The pipeline file.", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change one value of the file: `steps.student.temperature=2`."),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="COMPRESS_STORE",
        help="Where artifacts are kept. Default: your cache folder.",
        show_default=False,
    ),
]
Fresh = Annotated[str | None, typer.Option(metavar="STEP", help="Build this step again.", show_default=False)]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N|mps", help="What trains.")]
MaxSeconds = Annotated[int, typer.Option(metavar="N", min=1, max=86_400, help="Seconds for one answer of a graph.")]
MaxMemory = Annotated[int, typer.Option(metavar="N", min=100, max=2**20, help="MB of memory for a graph.")]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder.", show_default=False)]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"compress {version('compressor')}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From one pipeline file to a verified edge bundle and a report that decides."""
    if debug:
        os.environ["COMPRESS_DEBUG"] = "1"


@app.command()
def run(
    pipeline: PipelineFile,
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/NAME.", show_default=False)] = None,
    store: StoreFolder = None,
    until: Annotated[str | None, typer.Option(metavar="STEP", help="End after this step.", show_default=False)] = None,
    fresh: Fresh = None,
    device: Device = "auto",
    sets: Sets = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Print events as JSON lines.")] = False,
) -> None:
    """Run a pipeline; end with a report, a bundle and an exit code that says the verdict."""
    from compressor.api.run import outcome
    from compressor.cli import progress, tables
    from compressor.cli.console import Console
    from compressor.cli.ending import typed

    console = Console(stderr=log_json)
    with progress.display(console, log_json=log_json, out=sys.stdout) as shown:
        result = outcome(
            pipeline, out=out, store=store, device=device, sets=sets or (), until=until, fresh=fresh,
            on_event=shown, command=typed(),
        )  # fmt: skip
    tables.show_outcome(console, result)
    raise typer.Exit(result.report.exit_code)


@app.command()
def plan(
    pipeline: PipelineFile,
    store: StoreFolder = None,
    until: Annotated[str | None, typer.Option(metavar="STEP", help="End after this step.", show_default=False)] = None,
    fresh: Fresh = None,
    device: Device = "auto",
    sets: Sets = None,
) -> None:
    """Show what would run, what is reused, and why. Runs nothing."""
    from compressor.api import plan as api
    from compressor.cli import tables
    from compressor.cli.console import Console

    found = api.plan(pipeline, store=store, device=device, sets=sets or (), until=until, fresh=fresh)
    tables.show_plan(Console(), found)


@app.command()
def smoke(
    pipeline: PipelineFile,
    device: Device = "auto",
    sets: Sets = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Print events as JSON lines.")] = False,
) -> None:
    """Send one batch through every stage, and estimate what the real run takes."""
    from compressor.api import smoke as api
    from compressor.cli import progress, tables
    from compressor.cli.console import Console
    from compressor.cli.ending import typed

    console = Console(stderr=log_json)
    with progress.display(console, log_json=log_json, out=sys.stdout) as shown:
        estimate = api.smoke(pipeline, device=device, sets=sets or (), on_event=shown, command=typed())
    tables.show_estimate(console, estimate)


@app.command()
def report(
    run_folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, such as runs/NAME.", show_default=False)
    ],
    add: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A device's rows, as `run.py --bench` prints them.", show_default=False),
    ] = None,
) -> None:
    """Render a run's pages again from its report.json."""
    from compressor.api import report as api
    from compressor.cli.console import say

    page = api.report(run_folder, add)
    say(f"{page} and report.md written{f', with the rows of {add}' if add is not None else ''}")


@app.command()
def stages(
    name: Annotated[str | None, typer.Argument(help="One stage; all where left out.", show_default=False)] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference page.")] = False,
) -> None:
    """Show every stage, or every field of one, with its type, default and meaning."""
    if markdown:
        from compressor.cli.reference import reference

        sys.stdout.write(reference())
    else:
        from compressor.cli.describe import show_stages

        show_stages(name)


@app.command()
def schema(
    which: Annotated[str, typer.Argument(metavar="pipeline|report", help="Which file's schema.")] = "pipeline",
) -> None:
    """Print the JSON Schema of the pipeline file or of report.json."""
    from compressor.cli import describe

    describe.show_schema(which)


@app.command()
def init(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("pipeline.yaml"),
    model: Annotated[
        str | None, typer.Option(help="The teacher's network: `timm:NAME`, `torchvision:NAME`, …", show_default=False)
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="The teacher's weights.", show_default=False)] = None,
    data: Annotated[
        str | None, typer.Option(help="A data set's name, or a folder of pictures.", show_default=False)
    ] = None,
    goal: Annotated[
        str | None, typer.Option(help="The budget: `accuracy>=0.9`, `latency_p50_ms<=5`, …", show_default=False)
    ] = None,
) -> None:
    """Write a commented pipeline file to start from."""
    from compressor.api import init as api
    from compressor.cli.console import say

    api.init(out, model=model, checkpoint=checkpoint, data=data, goal=goal)
    say(f"wrote {out}, and {api.SCHEMA_FILE} for your editor; next: compress plan {out}")


@app.command()
def verify(bundle: BundleFolder, max_seconds: MaxSeconds = 120, max_memory_mb: MaxMemory = 4096) -> None:
    """Check a bundle: digests, the model, and its golden samples in onnxruntime."""
    from compressor.api import verify as api
    from compressor.cli.bundle_commands import show_verified

    show_verified(str(bundle), api.verify(bundle, limits=(max_seconds, max_memory_mb)))


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="BUNDLE|MODEL.onnx", help="What to evaluate.", show_default=False)],
    task: Annotated[
        Path, typer.Option("--task", metavar="PIPELINE", help="The pipeline file whose task gives the data.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    max_seconds: MaxSeconds = 120,
    max_memory_mb: MaxMemory = 4096,
) -> None:
    """Measure quality and latency of a bundle or an ONNX file on a pipeline's data."""
    from compressor.pipeline.run.supervise import environment

    os.environ.update(environment(os.environ))
    if scarce.is_first():  # a library that crashes where addresses are limited shall not take the sentence along
        raise typer.Exit(scarce.again(sys.argv[1:]))
    from compressor.api import evaluate as api
    from compressor.cli.bundle_commands import described
    from compressor.cli.console import say
    from compressor.printable import in_json

    found = api.evaluate(model, task, limits=(max_seconds, max_memory_mb))
    if as_json:
        print(in_json(found, indent=1))
        return
    for line in described(found):
        say(line)


@app.command()
def export(
    bundle: BundleFolder,
    to: Annotated[
        tuple[str, Path], typer.Option("--to", metavar="python DIR", help="The runner's language, and where to.")
    ],
    max_seconds: MaxSeconds = 120,
    max_memory_mb: MaxMemory = 4096,
) -> None:
    """Copy a bundle with the runner that needs no torch beside it."""
    from compressor.api import export as api
    from compressor.cli.console import say

    language, place = to
    made = api.export(bundle, place, language=language, limits=(max_seconds, max_memory_mb)).manifest
    what = "--check" if made.samples else "PICTURE"
    say(f"{place}: {made.name or 'the bundle'} with run.py and runner/; try `python {place / 'run.py'} {what}`")


@store_app.command("list")
def store_list(store: StoreFolder = None) -> None:
    """List artifacts, newest use first."""
    from compressor.cli import store_commands

    store_commands.show(store)


@store_app.command("clean")
def store_clean(
    store: StoreFolder = None,
    older_than: Annotated[
        str | None, typer.Option(help="Remove what was not used for so long: `30d`, `12h`.", show_default=False)
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(help="Remove the least recently used until it fits: `5GB`.", show_default=False)
    ] = None,
) -> None:
    """Make room in the store."""
    from compressor.cli import store_commands

    store_commands.clean(store, older_than=older_than, max_size=max_size)


def main(arguments: list[str] | None = None) -> None:
    """The `compress` command. Exits with the code of the design's table, whatever happens."""
    from compressor.cli.streams import steady
    from compressor.cli.surroundings import plainly

    if arguments is None:
        plainly()
    steady()
    scarce.prepare()
    from compressor.cli.ending import code_of

    words = sys.argv[1:] if arguments is None else arguments
    raise SystemExit(code_of(lambda: app(words, prog_name=PROGRAM, standalone_mode=False), words))
