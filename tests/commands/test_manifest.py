"""What all runs of a folder have in common."""

import pytest

from torchrl_drigm.commands._manifest import check_manifest


def settings(*fields, episodes=5, **others):
    return {"fields": list(fields), "episodes": episodes, **others}


def checked(out, noted, packages=(), write=True):
    check_manifest(out, noted, packages, write)


def test_fields_are_what_they_come_to_without_those_that_change_no_result(tmp_path):
    checked(tmp_path, settings("optim.lr=0.001", "env.kwargs={a: 1}"))
    noted = (tmp_path / "reproduce.yaml").read_bytes()
    checked(tmp_path, settings("compile=true", "env.kwargs={a: 1}", "+optim.lr=1e-3"))
    assert (tmp_path / "reproduce.yaml").read_bytes() == noted
    for other in (["optim.lr=0.002", "env.kwargs={a: 1}"], ["optim.lr=0.001"], []):
        with pytest.raises(ValueError, match=r"what is in .* has fields="):
            checked(tmp_path, settings(*other))


def test_what_a_folder_does_not_have_yet_is_added(tmp_path):
    checked(tmp_path, settings())  # of battles, which have one preset
    checked(tmp_path, settings(preset="fast"), ["torch"], write=False)
    checked(tmp_path, settings(preset="fast"), ["torch"])
    checked(tmp_path, settings(), ["no-such-package"])
    with pytest.raises(ValueError, match="has preset='fast', and this would be preset='paper'"):
        checked(tmp_path, settings(preset="paper"))


@pytest.mark.parametrize(
    "text", ["- a\n", "a: [1\n", "", "simulators: 3\n", "a: ${b\n", "\x00\n"], ids=range(6)
)
def test_a_damaged_one_is_refused_by_name(text, tmp_path):
    file = tmp_path / "reproduce.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"reproduce\.yaml is damaged"):
        checked(tmp_path, settings())
    assert file.read_text() == text
