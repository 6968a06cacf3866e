"""What a run can be told beside its plugins' options: ``train.lr`` is the field ``lr`` of the section ``train``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Direction = Annotated[
    Literal["A2B", "B2A"], BeforeValidator(lambda word: {"AtoB": "A2B", "BtoA": "B2A"}.get(str(word), word))
]


class Section(BaseModel):
    """A group of settings. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainSettings(Section):
    """The step and how often."""

    steps: int = Field(3000, ge=1, description="length of the run, in batches; the papers have 200 epochs")
    epochs: int | None = Field(None, ge=1, description="its length in passes over the larger domain, instead of steps")
    batch: int = Field(1, ge=1, description="images of each domain per step")
    seed: int = Field(0, ge=0, description="of everything random in training")
    lr: float = Field(2e-4, gt=0, description="Adam's learning rate")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first beta")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's second beta")
    constant: float = Field(0.5, ge=0, le=1, description="share of the run before the learning rate falls to 0")
    device: str = Field("cpu", description="cpu, cuda, cuda:1, mps")
    devices: int = Field(
        1, ge=1, description="of that kind, that share each batch; torchrun's, where it starts the run"
    )
    conditional: bool | None = Field(
        None, description="whether the discriminator is shown the source beside the image; as the recipe says"
    )
    precision: Literal["float32", "tf32", "float64", "bf16"] = Field(
        "float32", description="of the networks; losses stay float32 unless they opt in; tf32, on CUDA, is of all"
    )
    strategy: Literal["auto", "component", "fused"] = Field(
        "auto", description="least memory, or fewest kernels; auto takes fused on CUDA"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="train networks by torch.compile; auto: on the CPU, where the run is long enough"
    )
    every: int = Field(0, ge=0, description="steps between sample grids and saved weights; 0: four times a run")
    keep: int = Field(2, ge=0, description="snapshots to resume from; 0: none")


class DataSettings(Section):
    """The images."""

    dir: str = Field("shapes", description="a folder of images, or a built-in set")
    test: str = Field("test", description="its side to test on: val for valA valB, or val")
    direction: Direction | None = Field(None, description="A2B or B2A, in recipes with one")
    size: int = Field(256, ge=4, le=8192, description="side of what networks see, px")
    load_size: int = Field(286, ge=4, le=8192, description="side of what crops are cut from, px")
    flip: bool = Field(True, description="flip half of the training images")
    paired_test: bool = Field(False, description="test images of one name are pairs")
    skip_bad: bool = Field(False, description="go on without images that cannot be used")
    seed: int = Field(0, ge=0, description="of the built-in set")


class PoolSettings(Section):
    """The discriminators' memory."""

    size: int = Field(50, ge=0, description="earlier translations that are kept, images")


SECTIONS: dict[str, type[Section]] = {"train": TrainSettings, "data": DataSettings, "pool": PoolSettings}
NAMING = ("plugins", "observe", "metrics", "recipe", "preset")  # what is chosen, by name
RESERVED = (*SECTIONS, "model", "bench", *NAMING)  # what keys begin with that are no plugin's
