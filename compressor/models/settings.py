"""How a file names a network and its weights, torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    WrapSerializer,
    field_validator,
    model_validator,
)

from compressor.device.refused import Unfit
from compressor.models import names
from compressor.strict import FilePath, ForKey, Frozen, Read

FACTORY = r"^[\w.]+:[\w.]+$"
WEIGHTS = (
    "`none` (untrained), `default` (the library's own, from its cache or a download), or the path of a `.safetensors`, "
    "`.pt`, `.pth`, `.th`, `.ckpt`, `.bin` or `.pth.tar` file"
)


class Code(Read):
    """A function of the user's own code, `package.module:function`, whose package counts by its source."""

    pattern = FACTORY

    @property
    def package(self) -> str:
        """The package or module at the top."""
        return self.partition(":")[0].split(".")[0]


class Weights(FilePath):
    """A file of weights, or a word for where else they come from."""

    words = ("none", "default")
    todo = "give the path of a checkpoint"

    @classmethod
    def in_key(cls, value: str, key: ForKey) -> str | None:
        """The file's digest; untrained is untrained, said or not."""
        return None if value == "none" else super().in_key(value, key)


class CatalogueModel(Frozen):
    """A model by name, with widths where the catalogue's network has them."""

    name: str = Field(description="Name from the catalogue, or `torchvision:NAME`, `timm:NAME`.")
    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(
        None, min_length=1, description="Channels of each stage; the catalogue's own where left out."
    )


class FactoryModel(Frozen):
    """A model from the user's own code: `factory: package.module:function`."""

    factory: Code = Field(description="`package.module:function`, called with `args`; returns a torch module.")
    args: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments of the factory.")


def _in_long_form(value: Any, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
    made = dump(value)
    return {"name": made, "widths": None} if isinstance(made, str) and isinstance(info.context, ForKey) else made


ModelRef = Annotated[str | CatalogueModel | FactoryModel, WrapSerializer(_in_long_form)]
"""How a file names a network. A bare string stands for `{name: …}`, and is that in a step's key."""


def right_weights(weights: str | None, model: object) -> str | None:
    """The weights as given; ValueError where the model has none such."""
    if weights == "default" and model is not None and not names.reference(model).library:
        raise Unfit(f"{names.reference(model)} has no weights of its own", "write none, or the path of a file")
    return weights


def _with_factory(schema: dict[str, Any]) -> None:
    """Tell editors and error messages of the short form."""
    short = {"type": "string", "pattern": FACTORY, "description": "Short for `model: {factory: …}`."}
    fields = schema.pop("properties")
    after = list(fields).index("model") + 1
    schema["properties"] = dict([*list(fields.items())[:after], ("factory", short), *list(fields.items())[after:]])
    if "model" in schema.get("required", ()):
        schema["required"].remove("model")
        schema |= {"if": {"not": {"required": ["factory"]}}, "then": {"required": ["model"]}}


class NamesModel(Frozen):
    """Settings with a `model`, which may be written short: `factory: package.module:function`."""

    model_config = ConfigDict(json_schema_extra=_with_factory)

    model: ModelRef | None = None
    weights: Weights | None = None
    key: str | None = Field(None, description="Where in the weights' file the tensors lie, when not at a usual place.")

    def network(self) -> names.Named | None:
        """The network that is brought in by its name; None where an earlier step's is taken."""
        return None if self.model is None else names.Named(self.model, self.weights, self.key)

    @model_validator(mode="before")
    @classmethod
    def _long_factory(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("factory") is None:
            return data
        given = data["factory"]
        if data.get("model") is not None:
            raise Unfit("stands beside model, and a step begins with one of them", "leave one out", "factory")
        if not isinstance(given, str) or not re.match(FACTORY, given):
            raise Unfit(f"{given!r} has another form", "write `package.module:function`", "factory")
        return {**{name: value for name, value in data.items() if name != "factory"}, "model": {"factory": given}}

    @field_validator("model")
    @classmethod
    def _known(cls, model: object) -> Any:
        """ValueError where its name can be told to be wrong without torch."""
        if model is not None and (wrong := names.mistake(model)):
            raise Unfit(*wrong)
        return model


class StartFields(NamesModel):
    """The network that a training step begins with."""

    model: ModelRef | None = Field(
        None, description="Network to begin with: a name, `{name, widths}` or `{factory, args}`."
    )
    from_: str | None = Field(
        None, alias="from", description="Earlier step whose network to begin with, instead of `model`."
    )
    weights: Weights | None = Field(
        None,
        validate_default=True,
        description=f"Weights of `model`: {WEIGHTS}. A last layer of other classes is replaced. "
        "Needed with `torchvision:` and `timm:` models; otherwise `none` where left out.",
    )

    @field_validator("weights")
    @classmethod
    def _right(cls, weights: str | None, info: ValidationInfo) -> str | None:
        model = info.data.get("model")
        if weights is None and model is not None and names.reference(model).library:
            raise Unfit(f"is needed for {names.reference(model)}", "write none, default, or the path of a file")
        return right_weights(weights, model)
