import subprocess
import sys

import numpy as np

from runner.data.sources.digits import Digits


def test_the_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    expected = load_digits()
    samples = Digits().read()
    (images,) = samples.inputs
    assert images.dtype == np.uint8
    assert (images[:, 0] == np.round(expected.images * 255 / 16)).all()
    assert (samples.targets == expected.target).all()


def test_reading_the_digits_imports_neither_scikit_learn_nor_torch():
    script = (
        "import sys; from runner.data.sources.digits import Digits; Digits().read(); "
        "sys.exit(bool({'sklearn', 'torch'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_facts_are_those_of_what_is_read():
    facts, samples = Digits().facts(), Digits().read()
    assert samples.inputs[0].shape == (1797, facts.channels, *facts.image_size)
    assert facts.num_classes == len(facts.class_names) == len(np.unique(samples.targets))


def test_the_digits_can_be_enlarged():
    images = Digits().read((32, 32)).inputs[0]
    assert images.shape == (1797, 1, 32, 32)
    assert abs(images.mean() - Digits().read().inputs[0].mean()) < 1


def test_the_fingerprint_is_always_the_same():
    assert Digits().fingerprint() == Digits().fingerprint()
