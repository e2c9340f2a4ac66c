"""The folder a run leaves: report, pages, bundle, log, and the pipeline as given and as understood."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.bundle.copies import deliver
from compressor.errors import CompressError, InputError
from compressor.store.disk import writing
from compressor.unfinished import sweep

if TYPE_CHECKING:
    from compressor.pipeline.file.spec import Pipeline
    from compressor.pipeline.plan.prepare import Prepared

HALF_BUNDLE = ".bundle.tmp"
RESULTS = ("report.json", "report.html", "report.md", "bundle")


class RunFolder:
    """`--out`, made when the checks are over and not before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = False
        self._begun = False

    @property
    def previous(self) -> Path:
        """Where the results of the run before lie."""
        return self.path / "previous"

    def begin(self, prepared: Prepared) -> Path:
        """Make the folder, move older results away, write the pipeline's two files; return the log's path.

        Raises:
            InputError: a file stands there.
            ResourceError: the folder cannot be written.
        """
        from compressor.pipeline.file.resolved import resolved_yaml

        if self.path.exists() and not self.path.is_dir():
            raise InputError(str(self.path), "a file stands where a folder is wanted", "name another with --out")
        with writing(self.path, "--out"):
            self._new = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self.retire()
            for place in (self.path, self.previous):
                sweep(place)
            shutil.rmtree(self.path / HALF_BUNDLE, ignore_errors=True)
            self._begun = True
            (self.path / "pipeline.yaml").write_text(prepared.pipeline.text, encoding="utf-8")
            (self.path / "pipeline.resolved.yaml").write_text(resolved_yaml(prepared.pipeline), encoding="utf-8")
        return self.path / "log.jsonl"

    def retire(self) -> None:
        """Move report and bundle of an older run to `previous/`, so that a failed run never shows an old `pass`."""
        old = [self.path / name for name in RESULTS if (self.path / name).exists()]
        if not old:
            return
        with writing(self.path, "--out"):
            self.previous.mkdir(exist_ok=True)
            for older in (self.previous / name for name in RESULTS):
                shutil.rmtree(older) if older.is_dir() else older.unlink(missing_ok=True)
            for one in old:
                os.replace(one, self.previous / one.name)

    def give_up(self, *, leave_nothing: bool = False) -> None:
        """After a run that failed: no older result is shown any more; on request a folder of this run goes as well.

        What this run wrote before it failed goes, so that `previous/` keeps the last whole results. Says nothing where
        the folder refuses: there is an error to tell already.
        """
        with suppress(CompressError, OSError):
            if self._begun:
                shutil.rmtree(self.path / "bundle", ignore_errors=True)
                for name in RESULTS:
                    (self.path / name).unlink(missing_ok=True)
            else:
                self.retire()
        if leave_nothing and self._new:
            shutil.rmtree(self.path, ignore_errors=True)

    def put_bundle(self, source: Path, pipeline: Pipeline) -> None:
        """Copy a bundle in with this run's names in it, whole or not at all."""
        beside = self.path / HALF_BUNDLE
        with writing(self.path, "--out"):
            shutil.rmtree(beside, ignore_errors=True)
            deliver(
                source, beside, name=pipeline.name, pipeline={"sha256": pipeline.sha256}, data=pipeline.task.data_name
            )
            os.replace(beside, self.path / "bundle")
