"""What each loss costs: lossbench profile on the built-in images, one thread.

python benchmarks/costs.py                       # into benchmarks/results/costs.json; some minutes
python benchmarks/costs.py --rounds 2 --out try.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from lossbench.files import write_json
from lossbench.prepare import prepare
from lossbench.profiling import profile

SETS = (
    ("cyclegan", "cycle,idt,tv,circularity,edges,colour"),
    ("cyclegan", "cycle,idt,content"),
    ("cyclegan", "cycle,idt,style"),
    ("cyclegan", "cycle,r1"),
    ("pix2pix", "l1,ssim,lpips"),
    ("cut", "patchnce"),
)


def main() -> None:
    """Profile every set of losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "costs.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for recipe, plugins in SETS:
        settings = {"train.device": asked.device, "train.compile": "off"}
        found = profile(prepare(plugins, recipe=recipe, settings=settings), asked.rounds)
        rows.append({"plugins": plugins, **found})
        print(recipe, plugins, {loss["name"]: f"{loss['share']['median']:.1%}" for loss in found["losses"]})
    write_json(asked.out, {"schema": 1, "what": "costs", "rows": rows})


if __name__ == "__main__":
    main()
