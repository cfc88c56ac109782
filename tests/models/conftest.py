"""What every test of a model starts from."""

import pytest
import torch


@pytest.fixture(autouse=True)
def same_numbers_every_time():
    torch.manual_seed(0)
