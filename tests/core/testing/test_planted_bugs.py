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
    "Gamma", "Mirror", "Scale", "Shift", "Conv", "Residual", "Noisy", "Network", "GoodSpace",
    "Candidates", "Climber", "Blobs", "Light", "Settled", "Six", "Halve",
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
    ("GammaWithoutGradients", "does something else under `torch.no_grad`",
     "recording_gradients_makes_no_difference",
     "torch.is_grad_enabled()"),
    ("GammaOfInference", "draws something else in `inference_mode`",
     "recording_gradients_makes_no_difference",
     "under torch.inference_mode()"),
    ("AsksForGradients", "does something else where volumes require gradients",
     "recording_gradients_makes_no_difference",
     "volumes.requires_grad"),
    ("SwitchesGradientsOff", "leaves gradients switched off",
     "global_random_state_is_neither_used_nor_changed",
     "torch.is_grad_enabled() from True to False"),
    ("JoinsWithoutGradients", "joins its fusion otherwise under `torch.no_grad`",
     "recording_gradients_makes_no_difference",
     "in its fusion gives something else"),
    ("Overwrites", "overwrites what joined its fusion before", "layers_that_join_a_fusion_add_up",
     "must not overwrite"),
    ("BeginsAnew", "empties its fusion when it joins", "layers_that_join_a_fusion_add_up",
     "leaves the others as they are"),
    ("OnlyOnce", "joins nothing that was joined before", "layers_that_join_a_fusion_add_up",
     "without layer"),
    ("ComesBefore", "joins before what joined before", "layers_that_join_a_fusion_add_up",
     "in the order 2, 1"),
    ("WritesWhenFused", "writes into the volumes when fused", "layers_that_join_a_fusion_add_up",
     "writes into its volumes"),
    ("BreaksInTheMiddle", "breaks at a value between the first and the last",
     "a_draw_has_one_row_for_each_volume",
     "'low': 0.6"),
    ("Squeezes", "breaks for one volume of one channel", "shape_dtype_and_device_are_kept",
     "volumes (1, 2, "),
    ("LargeBatches", "uses the maximum of large batches",
     "a_batch_equals_its_volumes_one_by_one",
     "row i of the draw"),
    ("OtherScale", "gives intensities up to 255",
     "values_stay_finite",
     "0 to 255"),
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
     "evaluation_repeats_itself_volume_by_volume", "alone, or in another batch"),
    ("AlwaysDrops", "drops in evaluation mode, too", "evaluation_repeats_itself_volume_by_volume",
     "training mode alone"),
    ("NumpyWeights", "draws first weights with numpy", "first_weights_follow_from_the_seed",
     "torch.nn.init"),
    ("LooksAtValues", "branches on the values of its input", "its_cost_can_be_measured", "meta"),
    ("Single", "gives float32 for every type",
     "type_and_device_are_kept_and_values_are_finite", "dtype=volumes.dtype"),
    ("UndeclaredNoise", "draws noise in training that nobody declared",
     "what_training_draws_follows_from_torchs_seed",
     "random_in_training = True"),
    ("ResidualWithoutGradients", "leaves a branch out under `torch.no_grad`",
     "recording_gradients_makes_no_difference",
     "not torch.is_grad_enabled()"),
    ("AsksItsInput", "asks whether its input requires gradients",
     "recording_gradients_makes_no_difference",
     "require gradients"),
    ("DropsItsResidual", "drops its residual in evaluation mode",
     "evaluation_computes_what_training_does",
     "a residual"),
    ("ScalesInEvaluation", "scales a branch in evaluation mode",
     "evaluation_computes_what_training_does",
     "apart by"),
    ("PoolsInTraining", "gives another shape in evaluation mode",
     "evaluation_computes_what_training_does",
     "the same layers"),
    ("StatisticsOfLargeBatches", "uses statistics of batches above one in evaluation mode",
     "evaluation_repeats_itself_volume_by_volume",
     "in another batch"),
    ("MovesHiddenBuffer", "changes a buffer outside its state in evaluation mode",
     "evaluation_repeats_itself_volume_by_volume",
     "changes level"),
    ("CountsEvaluations", "counts evaluations and trains by that", "evaluation_leaves_no_trace",
     "plain attributes"),
    ("KeepsALambda", "keeps a lambda of itself", "a_copy_stands_alone",
     "Keep no lambda"),
    ("TimesZero", "multiplies a layer by 0", "every_parameter_has_an_effect",
     "second.weight"),
    ("FourChannels", "works with four channels alone", "it_says_how_many_channels_it_gives",
     "(3, 8, 5, 6, 7)"),
    ("SeedsItself", "seeds torch before its first weights", "first_weights_follow_from_the_seed",
     "never seed a generator"),
    ("SeedsWhatFollows", "seeds torch after its first weights",
     "first_weights_follow_from_the_seed",
     "whatever is made after it"),
    ("SeedsInAFork", "seeds torch in a fork for its first weights",
     "first_weights_follow_from_the_seed",
     "seeded the same"),
    ("OwnGenerator", "draws first weights from a generator of one seed",
     "first_weights_follow_from_the_seed",
     "seeded the same"),
    ("SeedsNumpy", "seeds numpy in its constructor", "first_weights_follow_from_the_seed",
     "global random state of numpy"),
    ("OwnNumpyGenerator", "draws first weights from numpy's generator of one seed",
     "first_weights_follow_from_the_seed",
     "default_rng"),
    ("SeedsEveryStep", "seeds torch at every training step",
     "what_training_draws_follows_from_torchs_seed",
     "every step draws alike"),
    ("StepsOwnGenerator", "drops by a generator of its own",
     "what_training_draws_follows_from_torchs_seed",
     "as nn.Dropout does"),
    ("ValueNotTaken", "declares a value that its constructor lacks",
     "every_declared_value_makes_a_block_that_fits",
     "take each of them"),
    ("EvenKernel", "declares a value that breaks the shape",
     "every_declared_value_makes_a_block_that_fits",
     "kernel=4"),
    ("ChannelsByValue", "declares values with different channels",
     "every_declared_value_makes_a_block_that_fits",
     "channels=6): 6"),
    ("BreaksTogether", "breaks at one pair of declared values",
     "every_declared_value_makes_a_block_that_fits",
     "kernel=3, groups=1"),
    ("DropsAtOneValue", "evaluates otherwise at one declared value",
     "evaluation_computes_what_training_does",
     "kernel=1"),
    ("ScalesGradients", "scales its gradients by a hook",
     "gradients_are_those_of_finite_differences",
     "a hook"),
    ("AsksForItsType", "leaves a layer out in mixed precision",
     "it_runs_in_mixed_precision",
     "torch.autocast"),
]  # fmt: skip
MODEL = [
    ("Unpooled", "gives a map of logits", "it_gives_one_logit_for_each_class", "softmax"),
    ("Softmaxed", "gives probabilities", "it_gives_logits_and_not_probabilities", "Leave softmax"),
    ("ThreeClasses", "knows three classes alone", "it_gives_one_logit_for_each_class", "(3, 5)"),
    ("Sigmoid", "ends in a sigmoid", "it_gives_logits_and_not_probabilities", "as a sigmoid"),
]
SPACE = [
    ("KeyByKey", "draws each key alike, not each member", "sampling_is_uniform", "chi-square"),
    ("KeepsOldKeys", "gives genotypes with inactive choices", "every_sample_is_a_member",
     "not active"),
    ("Forgetful", "counts its members wrongly", "its_size_is_the_number_of_its_members", "has 15"),
    ("SeedlessSpace", "ignores the seed", "sampling_uses_no_global_random_state", "random"),
    ("OrderedByASet", "takes its order from a set", "it_is_the_same_in_another_process", "a set"),
    ("AnotherEachTime", "is another one each time", "it_is_the_same_in_another_process", "draw"),
    ("NeverChosen", "has a key that constraints rule out", "every_key_can_be_chosen",
     "layer1 = conv"),
    ("Dear", "has a key that is above the budget with any other",
     "every_key_can_be_chosen_within_the_budget",
     "layer1 = wide"),
    ("CannotRun", "has a candidate of nine that cannot run",
     "it_binds_to_modules_and_a_frozen_path_computes_the_same",
     "block 'shrinking'"),
    ("AugmentationCannotRun", "has a rare augmentation value that cannot run",
     "every_augmentation_runs",
     "by='much'"),
    ("WrongNeutral", "calls values neutral that change volumes", "every_augmentation_runs",
     "at its neutral values"),
    ("TheSameTwice", "offers one candidate twice", "no_candidate_is_there_twice",
     "'conv' and 'other'"),
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
     "asking_changes_nothing", "a new generator"),
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
    ("ForgetsFailures", "does not restore which candidates failed",
     "a_restored_searcher_remembers_what_failed",
     "what came of it"),
    ("ForgetsFailedSteps", "does not restore how many steps failed",
     "a_restored_searcher_remembers_what_failed",
     "with steps and candidates that fail"),
    ("OrderedByHash", "follows `hash()`", "it_searches_the_same_in_another_process",
     "PYTHONHASHSEED"),
    ("RemembersHashes", "keeps `hash()` in its state", "it_searches_the_same_in_another_process",
     "its digest is the same everywhere"),
    ("InsightDraws", "draws when it is asked for its insight", "asking_changes_nothing",
     "a new generator"),
    ("NeedsSteps", "divides by the number of steps", "it_searches_without_steps",
     "ZeroDivisionError"),
    ("ChangesTheSpace", "changes the space", "the_space_is_not_changed",
     "attributes of its own"),
    ("ProposesAFew", "proposes duplicates where many are asked for",
     "any_number_of_proposals_can_be_asked_for",
     "of them different"),
    ("OneList", "returns one list again and again",
     "proposals_are_distinct_members_that_keep_the_budget",
     "a new list"),
]  # fmt: skip
DATASET = [
    ("LabelsFromOne", "labels out of range", "labels_are_among_the_classes", "from 1 to 2"),
    ("AbsentClass", "a class without training volumes", "every_class_is_in_every_part", "grey"),
    ("OtherEachTime", "other data at each call", "it_is_the_same_every_time", "each time"),
    ("GloballyDrawn", "draws from numpy's global generator",
     "global_random_state_is_neither_used_nor_changed", "numpy"),
    ("SharedVolumes", "the same volumes in two parts", "parts_have_no_volume_in_common",
     "8 volumes"),
    ("SharedPatients", "patients in two parts", "no_patient_is_in_two_parts", "by patient"),
    ("OpenedTest", "hands its test set out open", "the_test_set_is_sealed", "open before"),
    ("OtherSize", "the card says another size", "volumes_are_as_the_card_says", "(1, 5, 4, 3)"),
    ("WideIntensities", "intensities above 1", "volumes_are_as_the_card_says", "[0, 1]"),
    ("PatientsOfTrainAlone", "patients that one part alone knows",
     "patients_are_known_in_every_part_or_in_none",
     "test: none"),
    ("PatientsOfOtherType", "patients by number here and by text there",
     "patients_are_known_in_every_part_or_in_none",
     "of one type"),
    ("PatientsWrittenOtherwise", "patients in two parts, written otherwise",
     "no_patient_is_in_two_parts",
     "patient0"),
    ("LacksAClass", "a test set without one class", "every_class_is_in_every_part",
     "test has no volume of bright"),
    ("SplitByHash", "splits by `hash()`", "it_is_the_same_in_another_process",
     "sort"),
    ("ClassesOfASet", "takes its classes from a set", "it_is_the_same_in_another_process",
     "card"),
    ("SeedWithoutUse", "ignores its seed", "the_seed_decides",
     "leave the setting out"),
    ("NextToBlack", "masks of 0 and 1 as uint8", "intensities_are_those_of_images",
     "times 255"),
    ("AllBlank", "a part of blank volumes", "intensities_are_those_of_images",
     "validation is blank"),
    ("OnePatient", "one patient for a whole part",
     "patients_are_known_in_every_part_or_in_none",
     "of one patient"),
    ("MirroredTest", "training volumes, mirrored, in the test set",
     "parts_have_no_mirrored_volume_in_common",
     "another order"),
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
    ("ReadsOtherwise", "other values at each reading",
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
    ("SeedsOnImport", "seeds a generator while it is imported", "importing_it_leaves_no_trace",
     "random state of random"),
    ("PrintsOnImport", "prints while what it registers is imported", "importing_it_leaves_no_trace",
     "welcome"),
    ("SetsOnImport", "sets a default of torch while it is imported", "importing_it_leaves_no_trace",
     "torch.get_default_dtype()"),
    ("Mistaken", "parameters of another class than the factory takes",
     "everything_it_registers_can_be_made",
     "unexpected keyword"),
    ("MistakenAndRefused", "parameters that the factory's own model refuses",
     "everything_it_registers_can_be_made",
     "sizes"),
    ("MistakenInSilence", "parameters that the factory's own model passes over",
     "everything_it_registers_can_be_made",
     "is passed over"),
    ("MistakenType", "parameters of another type than the factory's",
     "everything_it_registers_can_be_made",
     "seed="),
    ("RefusedDefaults", "parameters that refuse their own defaults",
     "everything_it_registers_can_be_made",
     "own defaults"),
    ("WrongKind", "a block that is none", "everything_it_registers_can_be_made",
     "no Module"),
    ("Talkative", "a summary of many lines' length",
     "everything_has_a_summary",
     "120 characters"),
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
