"""`dermedge branches`: a table and a record of the image branches, their patterns and refusals."""

import json

import pytest

from dermedge.models.branches.families import FAMILIES, new_branch
from dermedge_runtime.errors import DermedgeError


def test_a_record_has_what_is_measured_and_where_the_weights_are(cli_here, tmp_path):
    done = cli_here("branches", "*net18", "--image-size", 64, "--json", cwd=tmp_path)
    record = json.loads(done.stdout)
    assert (done.returncode, record["image_size"], record["left_out"]) == (0, 64, [])
    (row,) = record["branches"]
    branch = new_branch("resnet18")
    assert (row["name"], row["library"], row["channels"], row["stride"]) == ("resnet18", "torchvision", 512, 32)
    assert row["parameters"] == sum(each.numel() for each in branch.parameters())
    assert row["source"] == "torchvision ResNet18_Weights.IMAGENET1K_V1" and row["licence"] == "BSD-3-Clause"
    assert 0.1e9 < row["operations"] < 0.2e9  # torchvision states 1.814e9 at 224 pixels, classifier included


def test_a_table_leaves_out_what_has_no_map_and_says_so(cli_here, tmp_path):
    done = cli_here("branches", "[mv][ag][xg]*[!n]", cwd=tmp_path)
    rows = done.stdout.splitlines()
    assert done.returncode == 0 and rows[0].split()[:3] == ["name", "library", "parameters"]
    assert [line.split()[0] for line in rows if "torchvision" in line] == ["vgg11", "vgg13", "vgg16", "vgg19"]
    assert "Left out, because they cannot be image branches: maxvit_t." in done.stdout


def test_a_size_that_the_stride_does_not_divide_has_no_operations(cli_here, tmp_path):
    record = json.loads(cli_here("branches", "squeezenet1_1", "--image-size", 100, "--json", cwd=tmp_path).stdout)
    assert record["branches"][0]["operations"] is None and record["branches"][0]["stride"] == 16


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet51", "There is no image branch 'resnet51'; did you mean resnet50?"),
        ("vit_b_16", "vit_b_16 ends in tokens, as vision transformers do"),
        ("zz*", "No image branch is called 'zz*'. Those with a prefix are found by timm:*."),
    ],
)
def test_an_impossible_name_is_one_sentence(cli_here, tmp_path, name, told):
    done = cli_here("branches", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith(f"dermedge: {told}")


def test_without_the_libraries_it_lists_the_papers_and_says_what_is_missing(cli_here, tmp_path, monkeypatch):
    def absent(self, *arguments):
        raise DermedgeError("This command needs timm and torchvision, which are not installed.")

    for family in FAMILIES[1:]:
        monkeypatch.setattr(type(family), "make", absent)
        if (not family.any_size and family.library != "timm") or family.prefix:
            monkeypatch.setattr(type(family), "names", absent)
    done = cli_here("branches", cwd=tmp_path)
    assert done.returncode == 0 and "\ndermiresnet" in done.stdout
    assert done.stdout.count("needs timm and torchvision, which are not installed.") == 1
