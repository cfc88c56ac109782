import pytest

from runner.data.confine import Root


@pytest.fixture
def root(tmp_path):
    """A folder with a file, beside a file outside it."""
    (tmp_path / "root" / "below").mkdir(parents=True)
    (tmp_path / "root" / "a.png").touch()
    (tmp_path / "root" / "below" / "b.png").touch()
    (tmp_path / "secret.png").touch()
    return tmp_path / "root"


@pytest.mark.parametrize("name", ["a.png", "./a.png", "below/b.png", "below/../a.png"])
def test_files_inside_are_found(root, name):
    assert Root(root).file(name) == (root / name).resolve()


def test_an_absolute_path_inside_is_found(root):
    assert Root(root).file(str(root / "a.png")) == root / "a.png"


@pytest.mark.parametrize("name", ["../secret.png", "below/../../secret.png", "/etc/passwd", "..", "/"])
def test_names_that_lead_out_are_refused(root, name):
    with pytest.raises(ValueError, match="leads out of the folder"):
        Root(root).file(name)


def test_a_sibling_whose_name_begins_alike_is_outside(root):
    (root.parent / "root2").mkdir()
    (root.parent / "root2" / "a.png").touch()
    with pytest.raises(ValueError, match="leads out"):
        Root(root).file("../root2/a.png")


def test_symbolic_links_are_followed_before_judging(root):
    (root / "file.png").symlink_to(root.parent / "secret.png")
    (root / "folder").symlink_to(root.parent)
    (root / "inside.png").symlink_to(root / "below" / "b.png")
    for name in ("file.png", "folder/secret.png"):
        with pytest.raises(ValueError, match="leads out"):
            Root(root).file(name)
    assert Root(root).file("inside.png") == root / "below" / "b.png"


def test_the_root_itself_may_be_a_link(root):
    (root.parent / "link").symlink_to(root)
    assert Root(root.parent / "link").file("a.png") == root / "a.png"


@pytest.mark.parametrize(("name", "problem"), [("c.png", "is not there"), ("below", "is not a file"), ("a\0", "null")])
def test_what_is_no_file_is_refused(root, name, problem):
    with pytest.raises(ValueError, match=problem):
        Root(root).file(name)
