"""The options of `run.py`, and what each does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import program
from .check import check_apart
from .limits import HELP_MEMORY, HELP_SECONDS, Limits
from .manifest import MODEL, RUNNER, check_files, has_samples, read_manifest, understood
from .memory import first_line, short_of, short_of_memory
from .output import ended, printable, tell, tell_json, write
from .pictures import decode
from .predict import Model
from .refused import NOT_A_BUNDLE, RESOURCES, Refused
from .samples import reproduced
from .serve import end_with
from .steps import check_preprocess


def _number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        todo = "name pictures before the options"
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; {todo}") from None
    if not 1 <= value <= 65_536:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 65536")
    return value


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.format_usage()}{self.prog}: error: {printable(message)}\n")

    def print_help(self, file: Any = None) -> None:
        write(self.format_help(), file)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            write(message, sys.stderr)
        sys.exit(ended(status))


def parser() -> argparse.ArgumentParser:
    """The runner's options."""
    here = Path(program.launcher or __file__).resolve().parent
    options = _Options(prog=RUNNER, description="Run a bundle on this device, without torch.")
    add = options.add_argument
    add("pictures", nargs="*", metavar="PICTURE", help="picture files to answer")
    add("--bundle", type=Path, default=here, metavar="DIR", help="the bundle; default: this file's folder")
    add("--check", action="store_true", help="check digests, reproduce golden samples; exit 4 if not, 2 without any")
    add("--bench", action="store_true", help="measure latency here; prints rows for `compress report RUN --add`")
    add("--json", action="store_true", help="answers as JSON")
    add("--threads", type=_number, nargs="+", default=[1], metavar="N", help="threads; --bench takes several numbers")
    add("--batch", type=_number, metavar="N", help="pictures at once, for --bench; default: 1 or the model's own")
    add(
        "--rounds",
        type=_number,
        default=30,
        metavar="N",
        help="rounds of --bench, in ten processes; an interval needs 6",
    )
    usual = Limits()
    add("--max-seconds", type=_number, default=usual.seconds, metavar="N", help=f"for --check: {HELP_SECONDS}")
    add("--max-memory-mb", type=_number, default=usual.memory_mb, metavar="N", help=f"for --check: {HELP_MEMORY}")
    add("--probe", type=int, nargs="?", const=0, metavar="PARENT", help=argparse.SUPPRESS)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; the exit code: 0, 2 for a wrong request, 4 for an altered bundle."""
    asked = parser().parse_args(arguments)
    try:
        if not (asked.check or asked.bench or asked.probe is not None or asked.pictures):
            raise Refused(2, "the command line", "asks for nothing", "name a picture, or give --check or --bench")
        facts = read_manifest(asked.bundle)
        with understood(asked.bundle):
            check_files(asked.bundle, facts)
            check_preprocess(facts["preprocess"])
            if asked.probe is not None:
                from .bench import probe

                if asked.probe:
                    end_with(asked.probe)
                tell_json(probe(asked.bundle, facts, asked.threads[0], asked.batch or 1, asked.rounds))
                return ended(0)
            if asked.check:
                _tell_check(asked, facts)
            if asked.bench:
                from .bench import bench

                tell_json(bench(asked.bundle, facts, asked.threads, asked.batch, asked.rounds), indent=1)
                return ended(0)
            code = _tell_answers(asked, facts) if asked.pictures else 0
            return ended(code) if asked.pictures or asked.json else code
    except Refused as refused:
        tell(f"{RUNNER}: {refused}", sys.stderr)
        return refused.code
    except Exception as error:
        if short_of_memory(error):
            told = short_of(str(asked.bundle), first_line(error))
        elif isinstance(error, OSError):
            place = str(error.filename or asked.bundle)
            problem = f"the system refuses ({error.strerror or first_line(error)})"
            told = Refused(RESOURCES, place, problem, "see that it is there and may be read")
        else:
            raise
        tell(f"{RUNNER}: {told}", sys.stderr)
        return RESOURCES


def _tell_check(asked: argparse.Namespace, facts: Mapping[str, Any]) -> None:
    if not has_samples(facts):
        whole = f"its {len(facts['files'])} files are whole, but golden samples were left out when it was exported"
        todo = "export it with `samples: true`, or give a picture"
        raise Refused(NOT_A_BUNDLE, str(asked.bundle), f"{whole}, so there is nothing to reproduce", todo)
    found = check_apart(asked.bundle, asked.threads[0], Limits(asked.max_seconds, asked.max_memory_mb))
    if asked.json:
        tell_json({"bundle": facts["name"], "model_sha256": facts["files"][MODEL]["sha256"], **found})
    else:
        what = f"{len(facts['files'])} files are whole, {reproduced(facts, found)}"
        tell(f"{facts['name'] or 'the bundle'}: {what}")


def _tell_answers(asked: argparse.Namespace, facts: Mapping[str, Any]) -> int:
    """Print an answer a picture; 2 where one of them cannot be read, after all others were answered."""
    model = Model(asked.bundle, facts, asked.threads[0])
    told, code = [], 0
    for name in asked.pictures:
        try:
            (answer,) = model.answers([decode(Path(name).read_bytes())])
        except (OSError, ValueError) as error:
            reason: object = error
            if isinstance(error, OSError) and error.strerror:
                reason = f"cannot be read ({error.strerror.lower()}); see that it is there and may be read"
            tell(f"{RUNNER}: {name}: {reason}", sys.stderr)
            code = 2
            continue
        told.append({"picture": name, **answer})
        if not asked.json:
            tell(f"{name}: {answer['answer']} {answer['probability']:.1%}")
    if asked.json:
        tell_json(told, indent=1)
    return code
