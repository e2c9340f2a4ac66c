"""How a step trains: the fields that every training step has, torch-free."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from compressor.device.refused import Unfit
from compressor.strict import Frozen, Idle


def _listed(value: Any) -> Any:
    """A bare word stands for a list of one."""
    return (value,) if isinstance(value, str) else value


class TrainingFields(Frozen):
    """How a step trains. Shared by finetune, distill, prune and quantize with qat."""

    epochs: int = Field(10, ge=1, le=10_000, description="Passes over the training samples.")
    batch_size: int = Field(128, ge=2, le=65_536, description="Samples a step of the optimizer sees.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with Nesterov momentum, or AdamW.")
    learning_rate: float = Field(
        0.1, gt=0, le=100, description="Peak learning rate; 0.001 where adamw is asked for without one."
    )
    weight_decay: float = Field(5e-4, ge=0, le=1, description="Decay of weights; biases and norms are spared.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD; without effect on AdamW and refused there.")
    schedule: Literal["cosine", "onecycle", "step", "constant"] = Field(
        "cosine", description="How the learning rate falls."
    )
    warmup_epochs: float = Field(0, ge=0, le=1000, description="Epochs over which the rate rises to its peak.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of each label spread over all classes.")
    mixup: float = Field(
        0.0, ge=0, le=10, description="Alpha of the Beta distribution that mixes pairs; 0 mixes nothing."
    )
    clip_norm: float | None = Field(None, gt=0, description="Largest gradient norm; larger ones are scaled down.")
    ema: float | None = Field(
        None, gt=0, lt=1, description="Decay a step of the weights' moving average, which is then what is kept."
    )
    early_stopping: int | None = Field(
        None,
        ge=1,
        description="Epochs without a better validation metric before training ends; the best epoch is kept.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="`auto` is bfloat16 autocast where the device has units for it and one batch passes in it, "
        "else float32.",
    )
    freeze: Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=tuple[str, ...] | str)] = Field(
        (), description="Prefixes of module names whose parameters stay as they are."
    )

    @model_validator(mode="before")
    @classmethod
    def _rate_of_adamw(cls, data: Any) -> Any:
        """A rate that suits SGD makes AdamW diverge, so AdamW has a default of its own."""
        if isinstance(data, dict) and data.get("optimizer") == "adamw":
            return {"learning_rate": 0.001, **data}
        return data

    def idle(self) -> list[Idle]:
        """Options, as a file names them, without effect in their combination, and why; written or not."""
        found: list[Idle] = []
        if self.optimizer == "adamw" and self.momentum:
            found.append(("momentum", "adamw has no momentum"))
        if self.schedule == "onecycle":
            if self.warmup_epochs:
                found.append(("warmup_epochs", "onecycle rises by itself"))
        elif self.warmup_epochs > self.epochs:
            found.append(("warmup_epochs", Unfit(f"the {self.epochs} epochs end before the peak", "ask for fewer")))
        elif self.warmup_epochs == self.epochs:
            found.append(("schedule", f"warmup_epochs {self.warmup_epochs:g} takes all of the {self.epochs} epochs"))
        if self.early_stopping is not None and self.epochs == 1:
            found.append(("early_stopping", "one epoch leaves nothing to stop, and no better one to keep"))
        return found
