"""Whether a bundle is what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.errors import unspelled

if TYPE_CHECKING:
    from compressor.bundle.bundle import Bundle
    from compressor.bundle.verify import Check


@dataclass(frozen=True)
class Verified:
    """A bundle that is what was written, and what was checked: each check's name and what it found, in words."""

    bundle: Bundle
    checks: tuple[Check, ...]

    @property
    def reproduced(self) -> bool:
        """Whether it computes what it computed; nobody can tell where golden samples were left out."""
        return self.bundle.manifest.samples


def verify(bundle: str | Path, *, limits: tuple[int, int] | None = None) -> Verified:
    """Check a bundle: digests, the model, and its golden samples in onnxruntime.

    limits: seconds that its graph may take for one answer, and MB of memory; 120 and 4096 where left out.

    Raises:
        InputError: there is no bundle. IntegrityError: the first thing that is not what was written.
        ResourceError: the memory does not suffice.
    """
    from compressor.bundle.bundle import read
    from compressor.bundle.verify import verify_read

    if wrong := unspelled(str(bundle)):
        raise wrong
    found = read(Path(bundle))
    return Verified(found, tuple(verify_read(found, limits=limits)))
