import subprocess
import sys

LIGHT = [
    "runner.data.arrays",
    "runner.data.confine",
    "runner.data.decode",
    "runner.data.files",
    "runner.data.fingerprint",
    "runner.data.labels",
    "runner.data.lazy",
    "runner.data.source",
    "runner.data.sources.cifar",
    "runner.data.sources.csv_images",
    "runner.data.sources.digits",
    "runner.data.sources.idx",
    "runner.data.sources.image_folder",
    "runner.data.sources.mask_folder",
    "runner.data.sources.shapes",
    "runner.data.sources.tensors",
    "runner.data.split",
    "runner.data.stats",
    "runner.data.table",
    "runner.data.wrap",
]
HEAVY = "{'torch', 'torchvision', 'pandas', 'skimage', 'sklearn', 'hydra', 'omegaconf'}"


def test_what_checks_and_reads_data_imports_nothing_heavy():
    script = f"import sys, {', '.join(LIGHT)}; print(*({HEAVY} & {{*sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_what_makes_batches_needs_neither_hydra_nor_torchvision():
    script = (
        "import sys; sys.modules['hydra'] = sys.modules['omegaconf'] = sys.modules['torchvision'] = None; "
        "import runner.data.augment, runner.data.prepare, runner.data.sampler"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
