"""Layouts of labelled collections, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from rtdenoise.errors import ConfigError
from rtdenoise.lab.classifier.labels import classes_of, find_clips
from tests.lab.sounds import class_folders, write

pytest.importorskip("soundfile")


def counts(clips):
    return Counter((clip.split, *clip.labels) for clip in clips)


def test_a_folder_per_class_keeps_every_fifth_clip(tmp_path):
    clips = find_clips(class_folders(tmp_path))
    assert classes_of(clips) == ("clicks", "hiss", "tone")
    assert counts(clips) == {
        (split, kind): n for kind in ("clicks", "hiss", "tone") for split, n in (("train", 8), ("dev", 2))
    }


def test_folders_that_name_the_parts(tmp_path):
    for part in ("train", "val"):
        for kind in ("hiss", "tone"):
            write(tmp_path / part / kind / "a.wav", kind, 0)
    assert counts(find_clips(tmp_path)) == {(s, k): 1 for s in ("train", "dev") for k in ("hiss", "tone")}


def test_esc_10_folders_divide_by_the_fold_in_the_name(tmp_path):
    for number, kind in (("001", "hiss"), ("002", "tone")):
        for fold in range(1, 6):
            write(tmp_path / f"{number} - {kind}" / f"{fold}-30226-A.ogg", kind, fold)
    found = counts(find_clips(tmp_path))
    assert found == {(s, k): n for k in ("hiss", "tone") for s, n in (("train", 4), ("dev", 1))}


def test_esc_50_table(tmp_path):
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for target, kind in enumerate(("hiss", "tone")):
        for fold in range(1, 6):
            rows.append(f"{fold}-1-A-{target}.wav,{fold},{target},{kind},False,1,A")
            write(tmp_path / "audio" / f"{fold}-1-A-{target}.wav", kind, fold)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join(rows))
    found = find_clips(tmp_path)
    assert counts(found) == {(s, k): n for k in ("hiss", "tone") for s, n in (("train", 4), ("dev", 1))}
    assert {c.path.name for c in found if c.split == "dev"} == {"5-1-A-0.wav", "5-1-A-1.wav"}


@pytest.mark.parametrize("head", ["", "filename\tscene_label\tidentifier\n"])
def test_dcase_scenes_with_and_without_a_head(tmp_path, head):
    rows = []
    for kind in ("hiss", "tone"):
        for seed in range(5):
            rows.append(f"audio/{kind}{seed}.wav\t{kind}\tx{seed}")
            write(tmp_path / "audio" / f"{kind}{seed}.wav", kind, seed)
    (tmp_path / ("meta.csv" if head else "meta.txt")).write_text(head + "\n".join(rows) + "\n")
    assert counts(find_clips(tmp_path)) == {(s, k): n for k in ("hiss", "tone") for s, n in (("train", 4), ("dev", 1))}


def test_dcase_tags_are_several(tmp_path):
    rows = ["fname,labels,split"]
    for number in range(6):
        write(tmp_path / f"{number}.wav", "hiss", number)
        rows.append(f'{number}.wav,"{("hiss,tone", "tone", "hiss")[number % 3]}",{"val" if number > 2 else "train"}')
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    found = find_clips(tmp_path)
    assert counts(found) == {(s, *k): 1 for s in ("train", "dev") for k in (("hiss", "tone"), ("tone",), ("hiss",))}


def test_a_manifest_is_narrowed_by_pattern_and_by_label(tmp_path):
    rows = ["path,kind,split,label"]
    for split in ("train", "dev"):
        for kind in ("hiss", "tone", "clicks"):
            rows.append(f"noise/{split}/{kind}.wav,noise,{split},{kind}")
            write(tmp_path / "noise" / split / f"{kind}.wav", kind, 1)
    write(tmp_path / "speech" / "a.wav", "tone", 1)
    rows += ["speech/a.wav,speech,train,", "noise/gone.wav,noise,train,hiss"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    assert classes_of(find_clips(tmp_path, only="noise/*", exclude=["clicks"])) == ("hiss", "tone")
    with pytest.raises(ConfigError, match="no labelled sounds"):
        find_clips(tmp_path, only="music/*")


def refuse(message, root, **arguments):
    with pytest.raises(ConfigError, match=message) as caught:
        find_clips(root, **arguments)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_learnt_is_refused(tmp_path):
    refuse("no such folder or table", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refuse("no labelled sounds; expected a folder per class", tmp_path / "empty")
    write(tmp_path / "flat" / "a.wav", "tone", 1)
    refuse("no labelled sounds", tmp_path / "flat")
    refuse("a single class, 'tone'", class_folders(tmp_path / "one", kinds=("tone",)))


def test_a_class_that_is_missing_in_one_part_is_named(tmp_path):
    for split, kinds in (("train", ("hiss", "tone", "clicks")), ("dev", ("hiss", "tone"))):
        for kind in kinds:
            write(tmp_path / split / kind / "a.wav", kind, 0)
    refuse(r"class 'clicks' has 1 clips in train and none in dev.*exclude: \[clicks\]", tmp_path)
    assert classes_of(find_clips(tmp_path, exclude=["clicks"])) == ("hiss", "tone")


def test_tables_that_say_too_little_are_refused(tmp_path):
    table = tmp_path / "meta.csv"
    for text, message in (
        ("", "an empty table"),
        ("filename,length\na.wav,3\n", "no column with labels; one of label, labels, category"),
        ("label,length\nhiss,3\n", "no column with a file; one of path, filename"),
        ("filename,label\na.wav,hiss\nb.wav,tone\n", "none of its 2 files is there"),
    ):
        table.write_text(text)
        refuse(message, tmp_path)
    table.write_bytes("filename,label\nGeräusch.wav,hiss\n".encode("latin-1"))
    refuse("not text in UTF-8 .*; save it in that encoding", tmp_path)
    table.write_text("filename,label\n" + "a" * 200_000 + ",hiss\n")
    refuse("not a table of separated values", tmp_path)
