"""From small image files to batches."""

import time
from pathlib import Path
from typing import Any

from scripts.bench.harness import Bench, Result, Table, Target, attempt, interleaved, ratio

ABOUT = """
10,000 colour PNGs of 32 x 32 pixels with their classes in a CSV file, in batches of 64, shuffled, with the files in the
disk cache and one thread for tensors. The peers are a `Dataset` that reads a file for each sample in a `DataLoader`:
with scikit-image and `ToTensor` (as the course does; also with two workers), with torchvision's decoder, with OpenCV.
runner is its own data path, `data=csv_images` without workers, which decodes with as many threads as there are cores:
the *first epoch* starts with nothing and includes reading the CSV file and decoding every file; *later epochs* are
those after it; the *second start* is a new run that finds the decoded images on the disk (`data.cache=disk`), from
nothing to the end of its first epoch. Every contender is timed to the converted batch, float32 of 0 to 1; *loader
alone* is runner's later epochs without that conversion, which takes place on the device.
"""

READERS = {
    "skimage": "scikit-image per item",
    "skimage 2": "scikit-image per item, 2 workers",
    "torchvision": "torchvision per item",
    "opencv": "OpenCV per item",
}


def measure(bench: Bench) -> Result:
    result = Result("data_path", "Reading images", ABOUT)
    count = bench.fewer(10_000, 2_000)
    folder = bench.folder / "data_path"
    table_csv = bench.call(bench.peers_python, f"{__name__}:make", folder=str(folder), count=count)
    given: dict[str, Any] = {"table": table_csv, "threads": 1}
    cache = {"cache_dir": str(folder / "cache")}

    def reader(module: str) -> Any:
        return lambda: bench.call(bench.peers_python, f"{__name__}:per_item", reader=module, **given)

    def own(mode: str) -> dict[str, float]:
        answer: dict[str, float] = bench.call(bench.runner_python, f"{__name__}:own", mode=mode, **cache, **given)
        return answer

    last: dict[str, float] = {}

    def first() -> float:
        last.update(own("memory"))
        return last["first"]

    contenders = {
        **{label: reader(module) for module, label in READERS.items()},
        "runner, first epoch": first,
        "runner, later epochs": lambda: last.get("later"),
        "runner, later epochs, loader alone": lambda: last.get("alone"),
    }
    rounds = bench.fewer(min(bench.rounds, 3), 1)
    table = Table("Images read", "images/s", higher_is_better=True, baseline=READERS["skimage"], decimals=0)
    for label, samples in interleaved(result, rounds, contenders).items():
        table.add(label, samples)
    with attempt(result, "runner, second start"):
        own("disk")  # fills the cache
        table.add("runner, second start", [own("disk")["first"] for _ in range(rounds)])
    result.tables.append(table)
    slowest = table.median(READERS["skimage"])
    times = {
        "runner's first epoch / scikit-image per item": ("runner, first epoch", 4.0),
        "runner's later epochs, loader alone / scikit-image per item": ("runner, later epochs, loader alone", 100.0),
    }
    for text, (label, limit) in times.items():
        result.targets.append(Target(text, ratio(table.median(label), slowest), limit, at_most=False))
    return result


def make(folder: str, count: int) -> str:
    from scripts.bench.material import png_table

    return str(png_table(Path(folder) / "images", count))


def per_item(reader: str, table: str) -> float:
    """Images per second of a Dataset that decodes each sample by itself."""
    import csv

    import torch
    from torch.utils.data import DataLoader, Dataset

    with open(table, newline="") as file:
        rows = list(csv.reader(file))[1:]
    folder = Path(table).parent
    name, _, workers = reader.partition(" ")
    read = _reader(name)

    class Images(Dataset[Any]):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, index: int) -> Any:
            name, label = rows[index]
            return read(str(folder / name)), int(label)

    torch.manual_seed(0)
    loader = DataLoader(Images(), batch_size=64, shuffle=True, num_workers=int(workers or 0))
    read(str(folder / rows[0][0]))
    began = time.perf_counter()
    count = sum(len(images) for images, _ in loader)
    return count / (time.perf_counter() - began)


def _reader(name: str) -> Any:
    if name == "skimage":
        from skimage.io import imread
        from torchvision.transforms import ToTensor

        to_tensor = ToTensor()
        return lambda path: to_tensor(imread(path))
    if name == "torchvision":
        from torchvision.io import ImageReadMode, decode_image

        return lambda path: decode_image(path, mode=ImageReadMode.RGB).float().div_(255)
    import cv2
    import torch

    cv2.setNumThreads(1)
    return lambda path: torch.from_numpy(cv2.imread(path)[..., ::-1].copy()).permute(2, 0, 1).float().div_(255)


def own(mode: str, table: str, cache_dir: str) -> dict[str, float]:
    """Images per second of runner's data path: from nothing to the end of an epoch, and in later epochs."""
    import torch

    from runner.config.compose import Composer
    from runner.config.paths import Places
    from runner.config.schema import RunConfig
    from runner.training.data import load_data

    typed = ["data=csv_images", f"data.source.csv={table}", "model=mlp", "data.split.val=0", "data.split.test=0"]
    typed += ["data.normalize=null", f"data.cache={mode}", f"data.cache_dir={cache_dir}"]
    data = RunConfig.model_validate(Composer(Places.find(None, Path.cwd())).compose(typed).config).data

    def epoch(number: int, prepare: bool) -> int:
        count = 0
        for batch in splits.train.epoch(number):
            if prepare:
                splits.prepare(batch, number, training=True)
            count += len(batch.indices)
        return count

    began = time.perf_counter()
    splits = load_data(data, 0, torch.device("cpu"), lambda done, total: None)
    count = epoch(0, prepare=True)
    first = count / (time.perf_counter() - began)

    def later(prepare: bool) -> float:
        began = time.perf_counter()
        for number in range(1, 6):
            epoch(number, prepare)
        return 5 * count / (time.perf_counter() - began)

    return {"first": first, "later": later(True), "alone": later(False)}
