"""The data card: what is in each part, what is in two, and which facts give the class away."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from medpipe_core.data import DatasetCard, Development, LabelledVolumes
from medpipe_core.execution.data_card import DataCard, card_notes
from medpipe_core.report.data_section import _summary, data_parts

CARD = DatasetCard("own", "Own", ("well", "ill"), 1, (6, 6, 6), "here", "any")


def volumes(count, seed, *, spacing, patients=True):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return LabelledVolumes(
        rng.random((count, 1, 6, 6, 6), np.float32),
        labels,
        np.array([f"p{seed}-{n}" for n in range(count)]) if patients else None,
        facts={"spacing": spacing(labels, rng), "scanner": rng.choice(["A", "B"], count)},
    )


def told(spacing, **more):
    train, validation = (volumes(n, n, spacing=spacing, **more) for n in (80, 40))
    test = volumes(50, 50, spacing=spacing, **more)
    card = DataCard(CARD, Development(train, validation, notes=("read",)), seed=0)
    network = {"validation": {"auc": 0.7, "accuracy": 0.6}, "test": {"auc": {"value": 0.65}}}
    return card, test, network


def planted(labels, rng):
    return np.where(labels == 1, 5.0, 1.0) + 0.1 * rng.random(len(labels))


def nothing(labels, rng):
    return rng.random(len(labels))


def test_a_planted_shortcut_is_told_beside_the_networks_figure():
    card, test, network = told(planted)
    content = card.content(network, test)
    (found,) = [one for one in content["shortcuts"] if one["fact"] == "spacing"]
    assert found["shortcut"]
    assert found["test"]["auc"]["value"] == found["validation"]["auc"]["value"] == 1
    (note,) = [note for note in card_notes(content) if note.startswith("Shortcut")]
    assert "'spacing' alone predicts the class" in note
    assert "1.000 (1.000 to 1.000) on the test set; that of the network is 0.650" in note
    page = "".join(data_parts({"dataset": "own", "classes": list(CARD.classes)}, content))
    assert "<td>spacing</td><td>1.000 <span" in page
    assert "the network" in page


def test_without_one_none_is_told():
    card, test, network = told(nothing)
    content = card.content(network, test)
    assert not any(one["shortcut"] for one in content["shortcuts"])
    assert list(card_notes(content)) == []


def test_before_the_test_is_open_nothing_of_it_is_told():
    card, _, _ = told(planted)
    content = card.content()
    assert set(content["parts"]) == {"train", "validation"}
    assert all("test" not in one for one in content["shortcuts"])
    assert content["network"] == {}
    assert any(one["shortcut"] for one in content["shortcuts"])


def test_parts_are_counted_and_described_by_class():
    card, test, network = told(planted)
    part = card.content(network, test)["parts"]["train"]
    assert (part["count"], part["patients"], part["blank"], part["near_doubles"]) == (80, 80, 0, 0)
    assert part["per_class"] == {"well": 40, "ill": 40}
    assert part["shape"] == [1, 6, 6, 6]
    assert part["facts_by_class"]["ill"]["spacing"]["low"] > 5
    assert sum(part["facts"]["scanner"]["values"].values()) == 80
    assert 0.4 < part["facts"]["mean intensity"]["median"] < 0.6


def test_near_doubles_across_parts_are_named():
    card, test, network = told(nothing)
    changed = np.array(test.volumes)
    changed[7] = card._parts["train"].volumes[3] * 0.9 + 0.05
    content = card.content(network, dataclasses.replace(test, volumes=changed))
    (pair,) = [one for one in content["across"] if one["parts"] == ["train", "test"]]
    assert (pair["identical"], pair["near"]) == (0, 1)
    assert pair["examples"][0][:2] == ["train-00003", "test-00007"]
    (note,) = card_notes(content)
    assert note == (
        "1 volume of the test set looks like one of the train set, such as test-00007 like "
        "train-00003."
    )


def test_where_most_volumes_look_alike_none_is_named():
    card, test, network = told(nothing)
    train = card._parts["train"].volumes
    changed = np.concatenate([train[:40] + np.float32(0.004), test.volumes[40:]]).clip(0, 1)
    content = card.content(network, dataclasses.replace(test, volumes=changed))
    (note,) = card_notes(content)
    assert note == (
        "40 of 50 volumes of the test set look like one of the train set: volumes of this kind are "
        "too much alike for near-doubles to stand out; 0 are identical."
    )


def test_patients_that_are_named_in_one_part_only_are_told():
    card, test, network = told(nothing)
    content = card.content(network, dataclasses.replace(test, groups=None))
    assert content["notes"][0] == "read"
    assert "named in train and validation, but not in test" in content["notes"][1]


def test_a_class_that_is_missing_from_a_part_is_told():
    card, test, network = told(nothing)
    alone = test.take(np.flatnonzero(test.labels == 0))
    content = card.content(network, alone)
    assert content["parts"]["test"]["absent"] == ["ill"]
    assert not any(one["shortcut"] for one in content["shortcuts"])


def test_facts_travel_with_volumes_and_have_to_fit():
    whole = volumes(10, 0, spacing=nothing)
    part = whole.take(np.array([4, 2]))
    assert part.facts["spacing"].tolist() == whole.facts["spacing"][[4, 2]].tolist()
    assert len(whole.join(part).facts["scanner"]) == 12
    assert whole.join(dataclasses.replace(part, facts=None)).facts is None
    from medpipe_core.data import DataError

    for wrong in ({"x": [1, 2]}, {"x": [object()] * 10}, 3):
        with pytest.raises(DataError, match="fact"):
            dataclasses.replace(whole, facts=wrong)


def test_numbers_of_facts_are_written_as_people_write_them():
    told = {"low": 19_640.0, "median": 58_110.0, "high": 188_900.0, "unknown": 0}
    assert _summary(told) == "58.1 k (19.6 k to 189 k)"
    assert _summary({**told, "low": 4.555e-5, "median": 4.555e-5, "high": 4.555e-5}) == "5e-05"
    assert _summary({"low": 3.0, "median": 4.25, "high": 5.0, "unknown": 2}) == (
        "4.25 (3 to 5, 2 unknown)"
    )
    assert _summary({"low": 3.0, "median": 3.0, "high": 3.0, "unknown": 2}) == "3 (2 unknown)"


def test_source_and_licence_are_told_apart():
    about = {"source": "/scans.csv", "licence": "that of the scans"}
    parts = {"train": {"count": 1, "per_class": {}}}
    page = "".join(data_parts({"dataset": "own", "card": about, "data": parts}, {}))
    assert "<p>Source: /scans.csv. Licence: that of the scans.</p>" in page
