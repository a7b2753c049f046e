"""The kit catches what it is there to catch: planted bugs, each by the test that is meant to."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
GOOD = (
    "Gamma", "Mirror", "Scale", "Conv", "Network", "GoodSpace", "Climber", "Blobs", "Light", "Six",
    "Halve",
)  # fmt: skip

# Class with the bug, what is wrong with it, the test that must fail, words of its message.
AUGMENTATION = [
    ("WrongAxis", "flips the batch axis", "each_volume_is_transformed_alone", "axes from 2 on"),
    ("ChannelAxis", "flips the channel axis", "each_channel_is_transformed_alone",
     "other channels"),
    ("Turned", "swaps two axes of different length", "shape_dtype_and_device_are_kept", "cut or"),
    ("InPlace", "writes into its input", "the_input_is_not_changed", "volumes.clone()"),
    ("OneDraw", "one draw for the whole batch", "every_volume_has_a_draw_of_its_own", "`count`"),
    ("TooFewRows", "a draw with one row", "a_draw_has_one_row_for_each_volume", "(1,) for 4"),
    ("BlankIsNaN", "divides by the maximum of a blank volume", "values_stay_finite", "division"),
    ("GlobalSeed", "draws from the global generator",
     "global_random_state_is_neither_used_nor_changed", "moves the global random state of torch"),
    ("FixedSeed", "ignores the generator it is handed", "the_generator_decides_the_draw",
     "the same whatever the seed"),
    ("ApplyDraws", "draws in `apply`", "apply_draws_nothing", "Draw in `draw`"),
    ("ToFloat32", "turns every type into float32", "shape_dtype_and_device_are_kept", ".to("),
    ("Detached", "cuts the gradient", "gradients_are_those_of_finite_differences", "cuts the"),
    ("WrongGradient", "has a wrong gradient", "gradients_are_those_of_finite_differences",
     "do not confirm"),
    ("Undeclared", "takes a magnitude that it does not declare",
     "magnitudes_are_declared_and_taken", "middle = ValueChoice"),
    ("NotTaken", "declares a magnitude that `draw` does not take",
     "magnitudes_are_declared_and_taken", "declares high"),
    ("Ignored", "takes a magnitude and ignores it", "every_magnitude_changes_the_draw", "in vain"),
    ("BatchMean", "subtracts the mean of the batch", "each_volume_is_transformed_alone",
     "keepdim=True"),
    ("MixedRows", "uses the mean of all rows of the draw",
     "a_batch_equals_its_volumes_one_by_one", "row i of the draw"),
    ("Counting", "counts its calls", "nothing_is_kept_between_calls", "in self"),
    ("Viewing", "needs contiguous memory", "memory_layout_does_not_matter", "use reshape"),
    ("NeedsArgument", "needs an argument", "it_is_made_without_arguments", "a default"),
    ("OtherJoin", "does something else when fused", "joining_a_fusion_does_what_apply_does",
     "say the same"),
    ("JoinsAll", "touches all volumes when fused", "joining_a_fusion_does_what_apply_does",
     "not handed the rows of"),
    ("NotLinear", "is fused though not linear",
     "an_operation_in_a_linear_fusion_is_linear", "not linear"),
    ("LooksAtVolumes", "is fused though it draws from the content",
     "a_fused_operation_draws_from_the_shape_alone", "from their shape alone"),
]  # fmt: skip
BLOCK = [
    ("LyingChannels", "`out_channels` lies", "it_says_how_many_channels_it_gives", "3 channels"),
    ("Unpadded", "loses voxels at one axis", "axes_are_kept_or_divided_by_the_stride", "Pad"),
    ("HiddenState", "keeps state in a plain attribute", "its_state_is_all_in_its_state_dict",
     "register_buffer"),
    ("WritesInput", "writes into its input", "the_input_is_not_changed", "inplace=True"),
    ("UnusedLayer", "has a layer that `forward` does not use",
     "gradients_reach_the_input_and_every_parameter", "second.weight"),
    ("CutGradient", "cuts the gradient of its input",
     "gradients_reach_the_input_and_every_parameter", "no gradient to its input"),
    ("BatchStatistics", "uses the batch's statistics in evaluation mode",
     "evaluation_repeats_itself_volume_by_volume", "alone than within a batch"),
    ("AlwaysDrops", "drops in evaluation mode, too", "evaluation_repeats_itself_volume_by_volume",
     "training mode alone"),
    ("NumpyWeights", "draws first weights with numpy", "first_weights_follow_from_the_seed",
     "torch.nn.init"),
    ("LooksAtValues", "branches on the values of its input", "its_cost_can_be_measured", "meta"),
    ("Single", "gives float32 for every type",
     "type_and_device_are_kept_and_values_are_finite", "dtype=volumes.dtype"),
]  # fmt: skip
MODEL = [("Unpooled", "gives a map of logits", "it_gives_one_logit_for_each_class", "softmax")]
SPACE = [
    ("KeyByKey", "draws each key alike, not each member", "sampling_is_uniform", "chi-square"),
    ("KeepsOldKeys", "gives genotypes with inactive choices", "every_sample_is_a_member",
     "not active"),
    ("Forgetful", "counts its members wrongly", "its_size_is_the_number_of_its_members", "has 15"),
    ("SeedlessSpace", "ignores the seed", "sampling_uses_no_global_random_state", "random"),
    ("OrderedByASet", "takes its order from a set", "it_is_the_same_in_another_process", "a set"),
    ("AnotherEachTime", "is another one each time", "it_is_the_same_in_another_process", "draw"),
]  # fmt: skip
SEARCHER = [
    ("ForgetsTheBest", "does not restore its best",
     "a_restored_searcher_goes_on_as_if_nothing_had_happened", "restored"),
    ("ForgetsItsGenerator", "does not restore its generator",
     "a_restored_searcher_goes_on_as_if_nothing_had_happened", "restored"),
    ("SavingDraws", "draws when it is saved",
     "a_restored_searcher_goes_on_as_if_nothing_had_happened", "Saving must change nothing"),
    ("StateOfObjects", "has a `Genotype` in its state", "its_state_is_plain", "to_dict()"),
    ("IgnoresTheBudget", "ignores the budget", "decisions_are_members_that_keep_the_budget",
     "self.admitted(draw)"),
    ("BestAboveTheBudget", "names a best above the budget",
     "the_best_is_a_member_that_keeps_the_budget", "above its budget"),
    ("AskingDraws", "draws when it is asked for its best",
     "asking_for_the_best_changes_nothing", "a generator made there"),
    ("SameDrawAgain", "draws the same until the budget is kept",
     "the_best_is_a_member_that_keeps_the_budget", "BudgetError"),
    ("ProposesTwice", "proposes duplicates",
     "proposals_are_distinct_members_that_keep_the_budget", "names a genotype twice"),
    ("GlobalRandomSearcher", "draws from the global generator",
     "global_random_state_is_neither_used_nor_changed", "random"),
    ("OneSeed", "ignores its seed", "the_seed_decides", "same under another seed"),
    ("WaitsForItsOutcome", "breaks where a step was not observed", "steps_that_fail_do_no_harm",
     "not observed"),
    ("SlowDecisions", "takes time with the square of the choices",
     "large_spaces_take_time_in_proportion", "loop over all choices"),
    ("UnknownNeed", "needs what nobody tells", "what_it_needs_is_known", "gate_gradients"),
    ("NamelessNetwork", "decides for a network that nobody builds", "fixed_networks_are_named",
     "self.networks ="),
    ("EmptyInsight", "reports None", "its_insight_is_plain_and_finite", "leave out"),
]  # fmt: skip
DATASET = [
    ("LabelsFromOne", "labels out of range", "labels_are_among_the_classes", "from 1 to 2"),
    ("AbsentClass", "a class without training volumes", "every_class_is_in_the_training_set",
     "grey"),
    ("OtherEachTime", "other data at each call", "it_is_the_same_every_time", "each time"),
    ("GloballyDrawn", "draws from numpy's global generator",
     "global_random_state_is_neither_used_nor_changed", "numpy"),
    ("SharedVolumes", "the same volumes in two parts", "parts_have_no_volume_in_common",
     "8 volumes"),
    ("SharedPatients", "patients in two parts", "no_patient_is_in_two_parts", "by patient"),
    ("OpenedTest", "hands its test set out open", "the_test_set_is_sealed", "open before"),
    ("OtherSize", "the card says another size", "volumes_are_as_the_card_says", "(1, 5, 4, 3)"),
    ("WideIntensities", "intensities above 1", "volumes_are_as_the_card_says", "[0, 1]"),
]  # fmt: skip
READER = [
    ("NeverItsOwn", "does not take its own files",
     "it_takes_what_it_reads", "is not True"),
    ("TakesAll", "takes every path",
     "it_takes_nothing_else", "by its content"),
    ("RaisesWhenAsked", "raises an error when asked",
     "it_takes_nothing_else", "has to say False"),
    ("Waiting", "waits for a pipe",
     "it_does_not_wait_for_a_pipe", "path.is_file()"),
    ("WholeNumbers", "values that are whole numbers",
     "a_scan_is_an_array_with_notes", "uint8"),
    ("NoteOfLetters", "notes that are one text",
     "a_scan_is_an_array_with_notes", "a sentence for each"),
    ("FlatAffine", "an affine that leads nowhere",
     "geometry_is_whole_or_not_there", "and back"),
    ("OtherHeader", "a header of another shape",
     "the_header_is_that_of_the_scan", "(3, 2, 1)"),
    ("Noisy", "other values at each reading",
     "it_is_the_same_every_time", "read again"),
    ("LeavesAFile", "leaves a file behind",
     "reading_changes_no_file", "scan.cache"),
    ("RaisesValueError", "an error that is no DataError",
     "damaged_files_are_refused_by_name", "raised ValueError"),
    ("IgnoresTheSeries", "takes no notice of the series",
     "what_is_not_there_is_refused_by_name", "all the same"),
    ("MovesGlobalState", "draws from numpy's global generator",
     "global_random_state_is_neither_used_nor_changed", "numpy"),
]  # fmt: skip
PREPARATION = [
    ("WidensValues", "values of float64",
     "a_scan_comes_out", "float64"),
    ("DropsTheChannels", "loses channels",
     "a_scan_comes_out", "channels stay"),
    ("NotesInOneText", "notes that are one text",
     "a_scan_comes_out", "a sentence for each"),
    ("CollapsesTheAffine", "an affine that leads nowhere",
     "geometry_is_kept_or_right", "and back"),
    ("InventsAnAffine", "geometry where there was none",
     "geometry_is_kept_or_right", "out of nowhere"),
    ("MovesTheOrigin", "changes the affine it was handed",
     "the_given_scan_stays_as_it_is", "in place"),
    ("DrawsEachTime", "another result each time",
     "it_is_the_same_every_time", "prepared again"),
    ("DrawsGlobally", "draws from numpy's global generator",
     "global_random_state_is_neither_used_nor_changed", "numpy"),
]  # fmt: skip
PLUGIN = [
    ("Half", "registers half and stumbles", "it_registers_whole", "augmentations"),
    ("TakesAName", "takes a name that medpipe has", "it_registers_whole", "already"),
    ("Nowhere", "an import string that leads nowhere",
     "everything_it_registers_can_be_imported", "Covn"),
    ("NoAugmentation", "an augmentation that is none",
     "everything_it_registers_can_be_imported", "not derived"),
    ("Unreadable", "parameters that are no model", "parameters_can_be_listed", "pydantic"),
    ("Speechless", "no summary", "everything_has_a_summary", "summary="),
    ("NewNames", "other names each time", "it_registers_the_same_every_time", "the second time"),
    ("Heavy", "imports torch when registering", "registering_imports_nothing_heavy", "torch"),
]  # fmt: skip
BUGS = {
    "augmentation": AUGMENTATION,
    "block": BLOCK,
    "model": MODEL,
    "space": SPACE,
    "searcher": SEARCHER,
    "dataset": DATASET,
    "reader": READER,
    "preparation": PREPARATION,
    "plugin": PLUGIN,
}
CASES = [(*bug, kind) for kind, bugs in BUGS.items() for bug in bugs]


FILES = {
    name: str(path)
    for path in sorted((HERE / "planted").glob("planted_*.py"))
    for name in re.findall(r"^class Test(\w+)\(", path.read_text(), re.M)
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Run the contracts on what is planted: {class: {test: message, or "" if it passed}}.

    Of a bug the test that must catch it, of what has none every test.
    """
    report = tmp_path_factory.mktemp("planted") / "report.xml"
    tests = [f"{FILES[bug]}::Test{bug}::test_{test}" for bug, _, test, _, _ in CASES]
    tests += [f"{FILES[name]}::Test{name}" for name in GOOD]
    path = os.pathsep.join([str(ROOT), str(HERE / "planted")])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         *tests],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stdout[-3000:]  # some tests failed, and nothing else happened
    found: dict = {}
    for case in ET.parse(report).iter("testcase"):
        messages = [part.get("message", "") for part in case if part.tag in ("failure", "error")]
        name = case.get("classname").rpartition(".Test")[2]
        found.setdefault(name, {})[case.get("name")] = "".join(messages)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("bug", "what", "test", "words", "kind"), CASES, ids=lambda value: value)
def test_a_planted_bug_is_caught_and_told_in_words(results, bug, what, test, words, kind):
    message = results[bug][f"test_{test}"]
    assert message, f"{bug} ({what}) went through"
    assert "ContractError" in message
    assert words in message


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_what_has_no_bug_passes_everything(results, name):
    assert {test: message for test, message in results[name].items() if message} == {}


def test_every_planted_class_is_in_the_table():
    assert set(FILES) == {*GOOD, *(case[0] for case in CASES)}


@pytest.mark.parametrize("kind", BUGS)
def test_the_page_has_the_table(kind):
    page = (ROOT / "docs/testing.md").read_text()
    for _, what, test, _ in BUGS[kind]:
        assert f"| {kind} | {what} | `test_{test}` |\n" in page
