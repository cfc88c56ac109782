import warnings
import zipfile

import numpy as np
import pytest
import torch

from runner.data.sources.tensors import Tensors
from runner.errors import UserError


@pytest.fixture
def images():
    return np.arange(6 * 2 * 3, dtype=np.uint8).reshape(6, 2, 3)


@pytest.fixture
def rows():
    return np.linspace(-1, 1, 18).reshape(6, 3)


LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def npz(tmp_path, images, rows):
    np.savez(tmp_path / "all.npz", image=images, row=rows, label=LABELS)
    return tmp_path / "all.npz"


def test_every_array_but_the_last_is_an_input(npz, images, rows):
    samples = Tensors(npz).read()
    assert np.array_equal(samples.inputs[0], images[:, None])
    assert np.array_equal(samples.inputs[1], rows.astype(np.float32))
    assert samples.targets.tolist() == LABELS.tolist()


@pytest.mark.parametrize("wrong", [np.nan, -np.inf, 1e39])
def test_numbers_that_are_not_finite_as_float32_are_refused_as_those_of_a_table_are(tmp_path, rows, wrong):
    rows[[1, 4], 2] = wrong
    np.savez(tmp_path / "x.npz", row=rows, label=LABELS)
    with pytest.raises(UserError, match=r"row of .*x\.npz: sample 1, and 1 more: a number is not finite"):
        Tensors(tmp_path / "x.npz").read()


def test_facts_are_those_of_the_inputs_and_the_label(npz):
    facts = Tensors(npz).facts()
    assert (facts.channels, facts.image_size, facts.num_classes, facts.num_features) == (1, (2, 3), 3, 3)


def test_inputs_and_label_are_chosen_by_name_in_the_order_of_the_model(npz, images, rows):
    samples = Tensors(npz, inputs=["row", "image"], label="label").read()
    assert [values.shape for values in samples.inputs] == [(6, 3), (6, 1, 2, 3)]
    assert Tensors(npz, inputs=["row"], label="label").facts().channels == 3


@pytest.mark.parametrize("order", ["C", "F"])
def test_facts_read_the_first_row_whatever_the_order_of_the_axes(tmp_path, rows, order):
    np.savez(tmp_path / "x.npz", row=np.asarray(rows, order=order), label=LABELS)
    assert Tensors(tmp_path / "x.npz").facts().channels == 3


def test_a_dictionary_of_tensors(tmp_path):
    signal, values = torch.randn(5, 2, 7), torch.randn(5, 2)
    torch.save({"signal": signal, "value": values}, tmp_path / "d.pt")
    source = Tensors(tmp_path / "d.pt", task="regression")
    samples, facts = source.read(), source.facts()
    assert torch.equal(torch.from_numpy(samples.inputs[0]), signal)
    assert torch.equal(torch.from_numpy(samples.targets), values)
    assert (facts.channels, facts.image_size, facts.num_classes, facts.num_values) == (2, None, None, 2)


def test_a_tuple_of_tensors_is_taken_by_position(tmp_path):
    torch.save((torch.zeros(4, 3), torch.ones(4, 2), torch.tensor([0, 1, 1, 0])), tmp_path / "t.pt")
    assert [values.shape for values in Tensors(tmp_path / "t.pt").read().inputs] == [(4, 3), (4, 2)]
    assert [values.shape for values in Tensors(tmp_path / "t.pt", inputs=[1]).read().inputs] == [(4, 2)]


def test_what_would_run_code_when_it_is_read_is_refused(tmp_path):
    torch.save(torch.utils.data.TensorDataset(torch.zeros(2, 2)), tmp_path / "code.pt")
    with pytest.raises(UserError, match=r"code.pt cannot be read") as refusal:
        Tensors(tmp_path / "code.pt").check()
    assert "a dictionary, tuple or list of tensors" in str(refusal.value)


def test_columns_of_a_table(write_file):
    table = write_file("t.csv", "age,kg,kind\n1,2.5,cat\n3,4.5,dog\n5,6,cat\n")
    source = Tensors(table)
    samples = source.read()
    assert samples.inputs[0].tolist() == [[1, 2.5], [3, 4.5], [5, 6]]
    assert samples.targets.tolist() == [0, 1, 0]
    assert samples.class_names == ("cat", "dog")
    assert [values.tolist() for values in Tensors(table, inputs=[["kg"], "age"]).read().inputs] == [
        [[2.5], [4.5], [6]],
        [[1], [3], [5]],
    ]
    numbers = Tensors(table, inputs=[["age"]], label="kg", task="regression").read().targets
    assert numbers.tolist() == [2.5, 4.5, 6]


def test_a_table_of_another_delimiter_is_refused_with_it(write_file):
    table = write_file("t.csv", "age;kind\n1;0\n2;1\n")
    with pytest.raises(UserError, match="has nothing besides the target") as refusal:
        Tensors(table).check()
    assert "fix:      'data.source.delimiter=\";\"'" in str(refusal.value)
    assert Tensors(table, delimiter=";").read().targets.tolist() == [0, 1]


def test_columns_of_yes_and_no_are_labels_of_their_own(write_file):
    table = write_file("t.csv", "age,wet,dark\n1,0,1\n2,1,1\n")
    source = Tensors(table, label=["wet", "dark"], task="multilabel")
    assert source.read().targets.tolist() == [[0, 1], [1, 1]]
    assert (source.facts().channels, source.facts().num_classes) == (1, 2)


def test_inputs_from_several_files(npz, write_file):
    table = write_file("t.csv", "age\n1\n2\n3\n4\n5\n6\n")
    samples = Tensors(npz, inputs=["image", {"file": str(table), "name": ["age"]}]).read()
    assert samples.inputs[1].tolist() == [[1], [2], [3], [4], [5], [6]]


@pytest.mark.parametrize(
    "first", ["5.1,3.5,setosa", "5.1,3.5,0", "0,0,setosa"], ids=["decimals", "a class number", "the same twice"]
)
def test_a_table_without_a_header_does_not_lose_its_first_sample(write_file, first):
    table = write_file("t.csv", f"{first}\n4.9,3.0,{first.rpartition(',')[2]}\n6.2,2.9,1\n")
    with pytest.raises(UserError, match="the first row is to name the columns, but it is a sample: ") as raised:
        Tensors(table).read()
    assert first.replace(",", ", ") in str(raised.value)


@pytest.mark.parametrize(
    "header",
    ["0,1,2", "400.5,401.0,kind", "age,kg,0", "5.1,3.5,iris"],
    ids=["numbered", "wavelengths", "a numbered label", "a label of another name"],
)
def test_a_header_may_have_numbers_for_names(write_file, header):
    samples = Tensors(write_file("t.csv", f"{header}\n4.9,3.0,setosa\n6.2,2.9,setosa\n")).read()
    assert samples.inputs[0].tolist() == [[np.float32(4.9), 3.0], [np.float32(6.2), np.float32(2.9)]]


def test_numbers_of_samples_that_do_not_agree_are_told_by_name(npz, write_file):
    table = write_file("t.csv", "age\n1\n2\n")
    with pytest.raises(UserError, match=r"do not agree: image of .* has 6, age of .* has 2, label of .* has 6"):
        Tensors(npz, inputs=["image", {"file": str(table), "name": ["age"]}]).check()


def test_a_name_that_is_not_there_is_refused_with_the_nearest(npz):
    with pytest.raises(UserError, match=r"has nothing of the name imag\n.*\n.*nearest:  image"):
        Tensors(npz, inputs=["imag"]).check()


def test_masks_are_learnt_by_segmentation(tmp_path, images):
    np.savez(tmp_path / "m.npz", image=images, mask=images % 2)
    source = Tensors(tmp_path / "m.npz", task="segmentation")
    assert np.array_equal(source.read().targets, images % 2)
    assert source.facts().num_classes == 2
    assert source.read((4, 6)).targets.shape == (6, 4, 6)


def test_masks_of_another_size_than_their_images_are_refused(tmp_path, images):
    np.savez(tmp_path / "m.npz", image=images, mask=images[:, 1:] % 2)
    height, width = images.shape[1:]
    with pytest.raises(UserError, match=rf"images of {height} x {width} .*, but mask of .* of {height - 1} x {width}"):
        Tensors(tmp_path / "m.npz", task="segmentation").read((4, 6))


def test_files_of_their_own_and_a_column_are_the_parts(npz, tmp_path, write_file):
    samples = Tensors(npz, test_file=npz).read()
    assert samples.official.tolist() == ["train"] * 6 + ["test"] * 6
    table = write_file("t.csv", "age,use,kind\n1,train,0\n2,val,1\n")
    source = Tensors(table, split="use")
    assert source.read().official.tolist() == ["train", "val"]
    assert source.facts().channels == 1


def test_images_with_the_channels_at_the_end_are_refused_with_what_turns_them(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.zeros((2, 8, 8, 3), np.uint8), label=np.array([0, 1]))
    with pytest.raises(UserError, match=r"channels at the end[\s\S]*transpose\(0, 3, 1, 2\)"):
        Tensors(tmp_path / "x.npz").facts()


def test_the_fingerprint_follows_the_contents_alone(npz):
    before = Tensors(npz).fingerprint()
    content = npz.read_bytes()
    npz.write_bytes(content)
    assert Tensors(npz).fingerprint() == before
    np.savez(npz, row=np.zeros((2, 2)), label=np.array([0, 1]))
    assert Tensors(npz).fingerprint() != before


# --- files that cannot be read ----------------------------------------------------------------------------------------


def refusal_of(file, **settings):
    with pytest.raises(UserError) as refusal:
        Tensors(file, **settings).facts()
    return str(refusal.value)


def test_an_array_file_that_cannot_be_read_is_told_with_the_reason(tmp_path, npz, rows):
    whole = tmp_path / "whole.npy"
    np.save(whole, rows)
    zipped = npz.read_bytes()
    for content, reason in {
        b"": "it is empty",
        whole.read_bytes()[:20]: "EOF: reading array header",
        whole.read_bytes()[:150]: "mmap length is greater than file size",
        zipped: "it is an .npz file by what stands in it",
    }.items():
        (tmp_path / "x.npy").write_bytes(content)
        told = refusal_of(tmp_path / "x.npy", label={"file": str(npz), "name": "label"})
        assert told.startswith(f"{tmp_path}/x.npy: x cannot be read: {reason}")
    npz.write_bytes(zipped[: len(zipped) // 2])
    assert refusal_of(npz) == f"{npz} cannot be read: File is not a zip file"


def test_only_arrays_of_a_zipped_file_count_and_those_that_are_none_are_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("x.npy", "junk")
        archive.writestr("y.npy", "junk")
    assert refusal_of(tmp_path / "x.npz").startswith(f"{tmp_path}/x.npz: x cannot be read: ")


def test_arrays_without_samples_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((0, 3)), y=np.zeros(0, np.int64))
    assert "there is not a single sample" in refusal_of(tmp_path / "x.npz")


def test_an_empty_file_and_sparse_tensors_of_torch_are_refused(tmp_path):
    (tmp_path / "x.pt").touch()
    assert refusal_of(tmp_path / "x.pt").startswith(f"{tmp_path}/x.pt cannot be read: EOFError\n")
    torch.save({"x": torch.eye(3), "y": torch.arange(3), "z": torch.eye(3).to_sparse()}, tmp_path / "x.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, that it checks them
        assert refusal_of(tmp_path / "x.pt").startswith(f"{tmp_path}/x.pt: z is sparse\n")


def test_labels_that_are_bytes_are_texts_in_utf_8(tmp_path, rows):
    np.savez(tmp_path / "x.npz", x=rows[:2], y=np.array(["thé", "café"]))
    texts = Tensors(tmp_path / "x.npz").read()
    np.savez(tmp_path / "x.npz", x=rows[:2], y=np.array(["thé".encode(), "café".encode()]))
    assert Tensors(tmp_path / "x.npz").read().class_names == texts.class_names == ("café", "thé")
    np.savez(tmp_path / "x.npz", x=rows[:2], y=np.array([b"th\xe9", b"caf\xe9"]))
    assert "y of " in refusal_of(tmp_path / "x.npz")


@pytest.mark.parametrize("largest", [10**12, 2**63 + 5])
def test_labels_far_above_the_number_of_samples_are_no_classes_unless_they_are_listed(tmp_path, rows, largest):
    np.savez(tmp_path / "x.npz", x=rows[:2], y=np.array([0, largest], np.uint64))
    assert f"data.source.label=y: the largest label of 2 samples is {largest}" in refusal_of(tmp_path / "x.npz")
    if largest < 2**63:
        assert Tensors(tmp_path / "x.npz", classes=[0, largest]).facts().num_classes == 2


def test_class_numbers_that_are_wrong_are_told_as_labels_of_any_other_kind_are(tmp_path, rows):
    np.savez(tmp_path / "x.npz", x=rows[:3], y=np.array([0, 7, 9]))
    with pytest.raises(UserError, match=r"y of .*x\.npz: sample 1: the label '7' is none of 0, 1, and 1 more samples"):
        Tensors(tmp_path / "x.npz", classes=[0, 1]).read()
    with pytest.raises(UserError, match=r"data\.source\.label=y: not one label is in data\.source\.classes=\[cat\]"):
        Tensors(tmp_path / "x.npz", classes=["cat"]).read()
