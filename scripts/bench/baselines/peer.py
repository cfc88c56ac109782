"""A peer on MNIST through torchvision's dataset and a DataLoader, as its examples do, with records on.

    python -m scripts.bench.baselines.peer PEER FOLDER STEPS SEED OUTPUT

Arguments as in ``course``; the test images are not evaluated.
"""

import importlib
import os
import sys
import time
from pathlib import Path


def main() -> None:
    peer, folder, steps, seed, output = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    module = importlib.import_module(f"scripts.bench.peers.{peer}")

    import torch
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    from scripts.bench.cases import CASES

    torch.manual_seed(seed)
    data = datasets.MNIST(folder, train=True, transform=transforms.ToTensor())
    order = torch.randperm(len(data)).tolist()[: 64 * (steps or 3)]

    def first_step() -> None:
        print(f"\n{time.time()}", file=sys.__stdout__, flush=True)
        os._exit(0)

    Path(output).mkdir(parents=True, exist_ok=True)
    batches = DataLoader(Subset(data, order), batch_size=64)
    module.fit(CASES["course"], batches, Path(output), True, None if steps else first_step)


if __name__ == "__main__":
    main()
