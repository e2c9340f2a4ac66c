"""What can be known of a model's name without torch: the catalogue, the libraries, and likely misspellings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compressor.errors import closest

OPTION_A: Mapping[str, int] = {f"resnet{6 * blocks + 2}": blocks for blocks in (1, 2, 3, 5, 7, 9, 18)}
"""He's CIFAR family: name -> residual blocks in each of the three stages."""

MLPERF: Mapping[str, tuple[int, int, int]] = {"mlperf_resnet8": (16, 32, 64), "mlperf_resnet8_large": (26, 52, 104)}
"""MLPerf Tiny's image classification networks: name -> channels of the three stages."""

LIBRARIES = ("torchvision", "timm")


@dataclass(frozen=True)
class Reference:
    """A model as the file names it, in its long form: a name with widths, or a factory with arguments."""

    name: str = ""
    widths: tuple[int, ...] | None = None
    factory: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def library(self) -> str:
        """`torchvision`, `timm`, or nothing for the own catalogue and for factories."""
        return self.name.split(":", 1)[0] if ":" in self.name else ""

    @property
    def bare(self) -> str:
        """The name without its library."""
        return self.name.split(":", 1)[-1]

    def json(self) -> str | dict[str, Any]:
        """The shortest form that a pipeline file could hold; `reference` reads it back."""
        if self.factory:
            return {"factory": self.factory, **({"args": dict(self.args)} if self.args else {})}
        return {"name": self.name, "widths": list(self.widths)} if self.widths else self.name

    def __str__(self) -> str:
        return self.factory or (
            f"{self.name} of widths {'-'.join(map(str, self.widths))}" if self.widths else self.name
        )


def reference(ref: object) -> Reference:
    """The long form of a model as text, as JSON, or as the spec's own types."""
    if isinstance(ref, Reference):
        return ref
    if isinstance(ref, str):
        return Reference(name=ref)
    given = ref if isinstance(ref, Mapping) else ref.model_dump(exclude_none=True)  # type: ignore[attr-defined]
    if given.get("factory"):
        return Reference(factory=given["factory"], args=dict(given.get("args") or {}))
    widths = given.get("widths")
    return Reference(name=given["name"], widths=tuple(widths) if widths else None)


@dataclass(frozen=True)
class Named:
    """A network that a step names in the file, not yet built: `ref`, `weights` and the `key` in their file as they are
    written."""

    ref: Any
    weights: str | None
    key: str | None = None

    @property
    def reference(self) -> Reference:
        """The long form."""
        return reference(self.ref)

    @property
    def declares(self) -> bool:
        """Whether the weights say how pictures must be prepared: those of torchvision and timm do."""
        return declares(self.ref, self.weights)

    def declaration(self) -> dict[str, str]:
        """What stands in a key for preprocessing that is declared, beside the library's version: the name, and whether
        the weights are the library's own."""
        own = self.weights in ("none", "default")
        return {"declared_by": self.reference.name, "weights": str(self.weights) if own else "path"}

    @property
    def downloads(self) -> bool:
        """Whether the weights are the library's own, which may have to be downloaded first."""
        return self.weights == "default"


def catalogue_names() -> tuple[str, ...]:
    """The catalogue's own networks, as a file names them."""
    return (*OPTION_A, *MLPERF)


def mistake(ref: object) -> tuple[str, str] | None:
    """What is wrong with a reference, and what to do, as far as it can be told without torch; None if nothing."""
    one = reference(ref)
    if one.factory:
        return None
    if one.library:
        if one.library not in LIBRARIES or not one.bare:
            return (
                f"{one.name!r} names no library that is known",
                did_you_mean(one.library, LIBRARIES, "write `torchvision:NAME`, `timm:NAME` or `{factory: …}`"),
            )
        if one.widths:
            return f"widths are given for {one.name!r}", "leave them out: only the catalogue's own networks take widths"
        return None
    if one.name not in catalogue_names():
        otherwise = f"use one of {', '.join(catalogue_names())}, `torchvision:NAME`, `timm:NAME` or `factory`"
        return f"{one.name!r} is no network of the catalogue", did_you_mean(one.name, catalogue_names(), otherwise)
    return _wrong_widths(one)


def _wrong_widths(one: Reference) -> tuple[str, str] | None:
    if not one.widths:
        return None
    if len(one.widths) != 3:
        return (
            f"{len(one.widths)} widths are given for {one.name!r}",
            "give three, one for each stage, such as [16, 32, 64]",
        )
    if one.name in OPTION_A and list(one.widths) != sorted(one.widths):
        return (
            f"the widths {list(one.widths)} of {one.name!r} fall, and its shortcuts can only add channels",
            "give widths that do not fall, or use mlperf_resnet8",
        )
    return None


def did_you_mean(wrong: str, known: tuple[str, ...] | list[str], otherwise: str) -> str:
    """`did you mean X?` where something known is near, else what to do otherwise."""
    near = closest(wrong, known)
    return f"did you mean {near!r}?" if near else otherwise


def declares(ref: object, weights: str | None = "default") -> bool:
    """Whether the weights say how pictures must be prepared: those of torchvision and timm do."""
    return reference(ref).library in LIBRARIES and weights not in (None, "none")


def libraries(ref: object) -> tuple[str, ...]:
    """The libraries besides torch whose version the network depends on."""
    library = reference(ref).library
    return (library,) if library in LIBRARIES else ()
