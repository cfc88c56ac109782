import os

import numpy as np
import pytest

from runner.data.sources.csv_images import CsvImages
from runner.errors import UserError


@pytest.fixture
def images(write_image):
    """a.png, b.png, c.png of brightness 10, 20, 30, and pics/d.png of 40."""
    return [
        write_image(name, value=value)
        for name, value in {"a.png": 10, "b.png": 20, "c.png": 30, "pics/d.png": 40}.items()
    ]


def levels(samples):
    return samples.inputs[0][:, 0, 0, 0].tolist()


def test_rows_are_read_in_their_order(images, write_file):
    table = write_file("label.csv", "image,label\nb.png,1\na.png,0\npics/d.png,1\n")
    samples = CsvImages(table).read()
    assert levels(samples) == [20, 10, 40]
    assert samples.targets.tolist() == [1, 0, 1]
    assert samples.names == ["b.png", "a.png", "pics/d.png"]


def test_facts_come_from_the_table_and_the_first_image(images, write_image, write_file):
    write_image("colour.png", mode="RGB", size=(8, 9))
    table = write_file("label.csv", "image,label\ncolour.png,dog\na.png,cat\n")
    facts = CsvImages(table).facts()
    assert (facts.channels, facts.image_size, facts.num_classes, facts.class_names) == (3, (8, 9), 2, ("cat", "dog"))
    assert CsvImages(table, channels=1).facts().channels == 1


def test_columns_are_chosen_by_name_or_position(images, write_file):
    table = write_file("t.csv", "id,label,file\n7,1,a.png\n8,0,b.png\n")
    by_name = CsvImages(table, image_column="file", label_column="label").read()
    by_position = CsvImages(table, image_column=2, label_column=1).read()
    assert levels(by_name) == levels(by_position) == [10, 20]
    assert by_name.targets.tolist() == by_position.targets.tolist() == [1, 0]


def test_a_column_that_is_not_there_is_refused_with_the_nearest(images, write_file):
    table = write_file("t.csv", "file,label\na.png,1\n")
    with pytest.raises(UserError, match=r"data.source.label_column=lable") as refusal:
        CsvImages(table, label_column="lable").check()
    assert "nearest:  label" in str(refusal.value)
    with pytest.raises(UserError, match=r"has 2 columns"):
        CsvImages(table, label_column=2).check()


def test_a_delimiter_is_one_character(images, write_file):
    with pytest.raises(UserError, match=r"data.source.delimiter=';;'"):
        CsvImages(write_file("t.csv", "f;;l\na.png;;1\n"), delimiter=";;").check()


@pytest.mark.parametrize("delimiter", ["\t", r"\t"], ids=["a tab", "a tab as it is typed"])
def test_a_delimiter_may_be_a_tab(images, write_file, delimiter):
    source = CsvImages(write_file("t.csv", "file\tlabel\na.png\t1\nb.png\t0\n"), delimiter=delimiter)
    assert source.read().targets.tolist() == [1, 0]


@pytest.mark.parametrize(("delimiter", "typed"), [(";", ";"), ("\t", r"\t"), ("|", "|")])
def test_a_table_of_another_delimiter_is_refused_with_it(images, write_file, delimiter, typed):
    table = write_file("t.csv", f"file{delimiter}label\na.png{delimiter}1\n")
    for column in (1, "label"):
        with pytest.raises(UserError) as refusal:
            CsvImages(table, label_column=column).check()
        assert f"fix:      'data.source.delimiter=\"{typed}\"'" in str(refusal.value)
    assert CsvImages(table, delimiter=typed).read().targets.tolist() == [1]


def test_delimiter_header_extension_and_folder_can_be_set(images, write_file, tmp_path):
    table = write_file("lists/t.txt", "1;a\n0;b\n")
    source = CsvImages(
        table, root=tmp_path, image_column=1, label_column=0, delimiter=";", header=False, extension=".png"
    )
    assert levels(source.read()) == [10, 20]


def test_the_extension_is_added_only_where_it_is_missing(images, write_file):
    table = write_file("t.csv", "file,label\na,1\nb.PNG,0\nc.png,0\n")
    assert CsvImages(table, extension=".png")._names == ["a.png", "b.PNG", "c.png"]


def test_a_byte_order_mark_blank_rows_and_blanks_do_not_matter(images, write_file):
    table = write_file("t.csv", "\ufefffile, label\n\n a.png , cat\n,\nb.png,dog \n")
    samples = CsvImages(table, label_column="label", image_column="file").read()
    assert samples.targets.tolist() == [0, 1]


def test_a_class_may_be_called_na(images, write_file):
    assert CsvImages(write_file("t.csv", "f,l\na.png,NA\nb.png,null\n")).read().class_names == ("NA", "null")


def test_a_given_order_of_classes_holds(images, write_file):
    table = write_file("t.csv", "f,l\na.png,cat\nb.png,dog\n")
    samples = CsvImages(table, classes=["dog", "cat"]).read()
    assert samples.targets.tolist() == [1, 0]
    assert samples.class_names == ("dog", "cat")


def test_classes_that_match_no_label_are_refused_with_the_labels(images, write_file):
    source = CsvImages(write_file("t.csv", "f,l\na.png,1\nb.png,0\n"), classes=["cat", "dog"])
    for ask in (source.facts, source.read):
        with pytest.raises(UserError) as refusal:
            ask()
        assert str(refusal.value) == (
            "data.source.label_column=l: not one label is in data.source.classes=[cat, dog]\n"
            "  expected: the labels as they are written: 0, 1\n"
            "  fix:      data.source.classes=null, or the column of these labels"
        )


def test_labels_that_are_all_wrong_are_not_blamed_on_the_images(images, write_file):
    with pytest.raises(UserError, match=r"2 of 2 samples cannot be used") as refusal:
        CsvImages(write_file("t.csv", "f,l\na.png,\nb.png,\n")).read()
    assert "it has no label" in str(refusal.value)
    assert "data.source.root" not in str(refusal.value)


@pytest.mark.parametrize("part", ["csv", "test_csv"])
def test_a_table_without_a_header_does_not_lose_its_first_image(images, write_file, part):
    with_header, without = write_file("t.csv", "f,l\nb.png,1\n"), write_file("n.csv", "a.png,0\nb.png,1\n")
    with pytest.raises(UserError, match=r"n\.csv: the first row is to name .* but a\.png in it is an image") as refusal:
        CsvImages(**({"csv": with_header} | {part: without})).check()
    assert "fix:      data.source.header=false" in str(refusal.value)
    assert levels(CsvImages(without, header=False).read()) == [10, 20]


def test_everything_that_is_wrong_with_rows_is_told_with_file_and_row(images, write_file):
    table = write_file("label.csv", "f,l\na.png,1\nmissing.png,0\nb.png,dog\n,1\n../../x.png,1\nc.png,\n")
    with pytest.raises(UserError, match=r"5 of 6 samples cannot be used") as refusal:
        CsvImages(table).read()
    lines = str(refusal.value).splitlines()
    assert f"{table}, row 2 (line 3): missing.png: is not there" in lines[1]
    assert f"{table}, row 3 (line 4): b.png: the label 'dog' is no number" in lines[2]
    assert f"{table}, row 4 (line 5): (no file name): it names no file" in lines[3]
    assert f"{table}, row 5 (line 6): ../../x.png: leads out of the folder" in lines[4]
    assert f"{table}, row 6 (line 7): c.png: it has no label" in lines[5]


def test_an_image_that_cannot_be_read_is_told_with_file_and_row(images, write_file):
    write_file("broken.png", "no image")
    table = write_file("label.csv", "f,l\na.png,1\nbroken.png,0\n")
    with pytest.raises(UserError, match=r"label.csv, row 2 \(line 3\): broken.png: is not an image"):
        CsvImages(table).read()


def test_a_link_out_of_the_folder_is_refused(images, write_file, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    outside.write_bytes(images[0].read_bytes())
    (tmp_path / "link.png").symlink_to(outside)
    table = write_file("label.csv", "f,l\na.png,1\nlink.png,0\n")
    with pytest.raises(UserError, match=r"row 2 .*link.png: leads out of the folder"):
        CsvImages(table).read()


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data.source.csv: the file .*nowhere.csv is not there"):
        CsvImages(tmp_path / "nowhere.csv").check()


@pytest.mark.parametrize("text", ["", "file,label\n", "file,label\n\n,\n"])
def test_a_table_without_rows_is_refused(write_file, text):
    with pytest.raises(UserError, match=r"is empty|has no rows"):
        CsvImages(write_file("t.csv", text)).read()


def test_the_fingerprint_follows_table_and_images(images, write_file):
    table = write_file("t.csv", "f,l\na.png,1\nb.png,0\n")
    digests = [CsvImages(table).fingerprint()]
    os.utime(images[0], (1, 1))
    digests.append(CsvImages(table).fingerprint())
    table.write_text("f,l\na.png,1\nb.png,1\n")
    digests.append(CsvImages(table).fingerprint())
    assert len(set(digests)) == 3
    assert CsvImages(table).fingerprint() == digests[-1]


def test_images_can_be_brought_to_one_size_and_number_of_channels(images, write_image, write_file):
    write_image("e.png", mode="RGBA", value=(255, 255, 255, 0), size=(9, 9))
    table = write_file("t.csv", "f,l\na.png,1\ne.png,0\n")
    samples = CsvImages(table, channels=3).read((5, 5))
    assert samples.inputs[0].shape == (2, 3, 5, 5)
    assert levels(samples) == [10, 255]


def refusal_of(source):
    with pytest.raises(UserError) as refusal:
        source.facts()
    return str(refusal.value).splitlines()


def test_a_table_whose_every_image_is_missing_is_refused_with_names_and_folder(write_file, tmp_path):
    table = write_file("label.csv", "f,l\n" + "".join(f"{number}.png,1\n" for number in range(7)))
    first, *rows, rest, fix = refusal_of(CsvImages(table))
    assert first == f"{table} names no image that can be used"
    assert rows == [f"  {table}, row {n + 1} (line {n + 2}): {n}.png: is not there" for n in range(5)]
    assert rest == "  ... and 2 more"
    assert fix == f"  fix:      data.source.root=FOLDER, from which the names start; it is {tmp_path}"


def test_links_that_all_lead_out_are_refused_with_the_folder_that_they_lead_to(
    images, write_file, tmp_path, tmp_path_factory
):
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "links").mkdir()
    for name in ("a.png", "b.png"):
        (outside / name).write_bytes(images[0].read_bytes())
        (tmp_path / "links" / name).symlink_to(outside / name)
    table = write_file("links/label.csv", "f,l\na.png,1\nb.png,0\n")
    _, row, _, fix = refusal_of(CsvImages(table))
    assert row.endswith(f"a.png: leads out of the folder {tmp_path / 'links'}, to {outside / 'a.png'}")
    assert fix == f"  fix:      data.source.root={outside}/, where the links lead to"
    assert CsvImages(table, root=outside).facts().num_classes == 2


def test_links_to_files_of_other_names_are_refused_with_what_to_do(images, write_file, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "other.png"
    outside.write_bytes(images[0].read_bytes())
    (tmp_path / "link.png").symlink_to(outside)
    assert "copies of the images" in refusal_of(CsvImages(write_file("t.csv", "f,l\nlink.png,1\n")))[-1]


def test_names_without_the_extension_of_the_files_are_refused_with_it(images, write_file):
    assert refusal_of(CsvImages(write_file("t.csv", "f,l\na,1\nb,0\n")))[-1] == "  fix:      data.source.extension=.png"


def test_absolute_names_out_of_the_folder_are_refused_with_the_folder_that_they_are_in(images, write_file, tmp_path):
    table = write_file("lists/t.csv", f"f,l\n{tmp_path}/a.png,1\n{tmp_path}/b.png,0\n")
    fix = refusal_of(CsvImages(table))[-1]
    assert fix == f"  fix:      data.source.root={tmp_path}, or another folder that holds all of them"
    assert levels(CsvImages(table, root=tmp_path).read()) == [10, 20]


def test_labels_that_are_decimals_are_refused_as_no_classes(images, write_file):
    table = write_file("t.csv", "f,score\na.png,0.25\nb.png,1.5\nc.png,2\n")
    with pytest.raises(
        UserError, match=r"label_column=score: the labels are decimal numbers \(0\.25, 1\.5\)\n.*whole numbers"
    ):
        CsvImages(table).facts()


def test_several_label_columns_are_a_row_of_yes_and_no(images, write_file):
    table = write_file("t.csv", "f,wet,dark\na.png,1,0\nb.png,0,0\nc.png,1,1\n")
    source = CsvImages(table, label_column=["wet", "dark"], task="multilabel")
    assert source.read().targets.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert source.facts().num_classes == 2
    assert source.facts().class_names == ("wet", "dark")


def test_a_label_of_several_that_is_neither_yes_nor_no_is_told_with_its_row(images, write_file):
    table = write_file("t.csv", "f,wet,dark\na.png,1,0\nb.png,2,0\n")
    with pytest.raises(UserError, match=r"row 2 \(line 3\): b.png: 2, 0 are not 0 or 1 for each label"):
        CsvImages(table, label_column=["wet", "dark"], task="multilabel").read()


@pytest.mark.parametrize(("columns", "targets"), [("age", [3.0, 4.5]), (["age", "kg"], [[3.0, 7.0], [4.5, 0.25]])])
def test_numbers_are_values_for_regression_whether_whole_or_not(images, write_file, columns, targets):
    table = write_file("t.csv", "f,age,kg\na.png,3,7\nb.png,4.5,0.25\n")
    source = CsvImages(table, label_column=columns, task="regression")
    samples, facts = source.read(), source.facts()
    assert samples.targets.tolist() == targets
    assert samples.targets.dtype == "float32"
    assert (facts.num_classes, facts.num_values) == (None, len(columns) if isinstance(columns, list) else 1)


def test_several_label_columns_are_no_class(images, write_file):
    table = write_file("t.csv", "f,wet,dark\na.png,1,0\nb.png,0,0\n")
    with pytest.raises(UserError, match=r"label_column names 2 columns, and task=classification takes one"):
        CsvImages(table, label_column=["wet", "dark"]).facts()


def test_feature_columns_are_a_second_input(images, write_file):
    table = write_file("t.csv", "f,age,label,kg\na.png,3,1,7\nb.png,4.5,0,-1e-3\n")
    source = CsvImages(table, label_column="label", feature_columns=["kg", "age"])
    image, features = source.read().inputs
    assert image.shape == (2, 1, 4, 6)
    assert features.tolist() == [[7.0, 3.0], [pytest.approx(-1e-3), 4.5]]
    assert source.facts().num_features == 2


def test_a_feature_that_is_no_number_is_told_with_its_row(images, write_file):
    table = write_file("t.csv", "f,label,age\na.png,1,2\nb.png,0,old\nc.png,1,nan\nc.png,1,\n")
    with pytest.raises(UserError) as refusal:
        CsvImages(table, feature_columns=["age"]).read()
    told = str(refusal.value)
    assert "row 2 (line 3): b.png: 'old' is no number" in told
    assert "row 3 (line 4): c.png: a number is not finite" in told
    assert "row 4 (line 5): c.png: a number is missing" in told


def test_a_column_can_say_which_part_a_row_belongs_to(images, write_file):
    table = write_file("t.csv", "f,label,use\na.png,1,train\nb.png,0,Test\nc.png,1,validation\n")
    samples = CsvImages(table, split_column="use").read()
    assert samples.official.tolist() == ["train", "test", "val"]


def test_a_part_of_another_name_is_told_with_its_row(images, write_file):
    table = write_file("t.csv", "f,label,use\na.png,1,train\nb.png,0,later\n")
    with pytest.raises(UserError, match=r"row 2 \(line 3\): b.png: the part 'later' is none of train, val, test"):
        CsvImages(table, split_column="use").read()


def test_files_of_their_own_are_the_parts(images, write_file):
    train, val = write_file("train.csv", "f,l\na.png,0\nb.png,1\n"), write_file("val.csv", "x\n")
    with pytest.raises(UserError, match=r"data.source.label_column=1: .*val.csv has 1 column"):
        CsvImages(train, val_csv=val).check()
    val.write_text("f,l\n\nc.png,1\nmissing.png,0\n")
    with pytest.raises(UserError, match=r"val.csv, row 3 \(line 4\): missing.png: is not there"):
        CsvImages(train, val_csv=val).read()
    val.write_text("f,l\nc.png,1\n")
    source = CsvImages(train, val_csv=val)
    assert source.read().official.tolist() == ["train", "train", "val"]
    assert levels(source.read()) == [10, 20, 30]


def test_images_are_cut_to_the_wanted_proportions(images, write_image, write_file):
    # 4 x 8 pixels; the middle 4 x 4 of them hold 60 and 90 in halves.
    write_image("wide.png", np.array([[0, 0, 60, 60, 90, 90, 0, 0]] * 4, np.uint8))
    table = write_file("t.csv", "f,l\nwide.png,0\n")
    cropped = CsvImages(table, fit="crop").read((4, 4)).inputs[0][0, 0]
    assert cropped.tolist() == [[60, 60, 90, 90]] * 4


@pytest.mark.parametrize(
    ("encoding", "told"), [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16LE"), ("latin-1", "WINDOWS-1252")]
)
def test_a_table_that_is_not_utf_8_is_refused_with_what_converts_it(images, tmp_path, encoding, told):
    table = tmp_path / "t.csv"
    table.write_bytes("file,label\na.png,caf\u00e9\nb.png,th\u00e9\n".encode(encoding))
    for ask in (CsvImages(table).facts, CsvImages(table).read):
        with pytest.raises(UserError, match="cannot be read as a table: it is not UTF-8") as refusal:
            ask()
        assert f"iconv -f {told} -t UTF-8 {table} > NEW.csv" in str(refusal.value)


def test_a_quote_that_is_never_closed_is_told(images, write_file):
    table = write_file("t.csv", 'file,"label\n' + "a.png,0\n" * 20_000)
    with pytest.raises(UserError, match=r"t\.csv cannot be read as a table: field larger than") as refusal:
        CsvImages(table).check()
    assert "expected: each quote closed" in str(refusal.value)


def test_rows_that_a_quote_without_an_end_swallows_are_not_lost_in_silence(images, write_file):
    table = write_file("t.csv", 'file,label,note\na.png,0,fine\nb.png,1,"blurred\na.png,1,\nb.png,0,\n')
    with pytest.raises(UserError, match=r"opened in the row from line 3 on is never closed\n"):
        CsvImages(table).read()


def test_a_quote_may_span_lines_and_the_last_line_need_not_end(images, write_file):
    table = write_file("t.csv", 'file,label,note\na.png,0,"two\nlines"\nb.png,1,"none"')
    assert CsvImages(table).read().targets.tolist() == [0, 1]


def test_of_a_cell_of_many_lines_the_first_is_shown(images, write_file):
    table = write_file("t.csv", 'file,label\na.png,"dog\nb.png,1\na.png,0"\nb.png,2\nc.png,1\n')
    with pytest.raises(UserError, match=r"a\.png: the label 'dog\.\.\.' is no number"):
        CsvImages(table).read()


def test_a_name_with_a_null_character_is_told_with_its_row(images, write_file):
    source = CsvImages(write_file("t.csv", "file,label\na.png,0\nb\0.png,1\n"))
    assert len(source.fingerprint()) == 64
    with pytest.raises(UserError, match=r"row 2 \(line 3\): b\?\.png: is no name of a file: it holds a null character"):
        source.read()
    with pytest.raises(UserError, match="names no image that can be used"):
        CsvImages(write_file("t.csv", "file,label\nb\0.png,1\n")).facts()
