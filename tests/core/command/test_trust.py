"""Code that a configuration file names is not run without the user's word."""

from __future__ import annotations

import hashlib

import pytest

from medpipe_core.command.medpipe_run import main


@pytest.fixture
def foreign(tmp_path):
    """A plugin that leaves a trace when it is run, and a configuration that names it."""
    trace = tmp_path / "it-was-run"
    code = tmp_path / "theirs.py"
    code.write_text(
        f"open({str(trace)!r}, 'w').close()\nfrom medpipe_core import hookimpl\n"
        "@hookimpl\ndef medpipe_register(registry): ...\n"
    )
    return tmp_path, code, trace


@pytest.mark.parametrize("text", ["plugins.load: [{}]", "plugins: {{load: [{}]}}"])
@pytest.mark.parametrize("option", ["--cfg", "--help"])
def test_a_files_plugin_is_shown_and_not_run(foreign, capsys, text, option):
    folder, code, trace = foreign
    path = folder / "config.yaml"
    path.write_text(text.format(code))
    for words in (["--config", path], ["--config", folder], [path], ["-m", "seed=1,2", path]):
        assert main([option, *map(str, words)]) == 2
        errors = capsys.readouterr().err
        assert str(code) in errors
        assert hashlib.sha256(code.read_bytes()).hexdigest() in errors
        assert "--trust-plugins" in errors
        assert not trace.exists()


def test_with_the_users_word_it_is_loaded_and_told(foreign, capsys):
    folder, code, trace = foreign
    (folder / "config.yaml").write_text(f"plugins.load: [{code}]\nseed: 3\n")
    assert main(["--cfg", "--trust-plugins", "--config", str(folder)]) == 0
    out, errors = capsys.readouterr()
    assert f"plugins.load: [{code}]" in out
    assert hashlib.sha256(code.read_bytes()).hexdigest() in errors
    assert trace.exists()


def test_ones_own_words_need_no_option(foreign, capsys):
    folder, code, trace = foreign
    (folder / "config.yaml").write_text("plugins.load: [elsewhere.py]\n")
    assert main(["--cfg", "--config", str(folder), "plugins.load=[]"]) == 0
    assert not trace.exists()
    assert main(["--cfg", "--config", str(folder), f"plugins.load=[{code}]"]) == 0
    assert trace.exists()
    assert "elsewhere" not in capsys.readouterr().out


def test_all_else_that_is_wrong_is_told_with_it(foreign, capsys):
    folder, code, _ = foreign
    (folder / "config.yaml").write_text(f"plugins.load: [{code}, '/nowhere/x.py', 3]\n")
    assert main(["--config", str(folder), "serch.epochs=3"]) == 2
    errors = capsys.readouterr().err
    assert "search.epochs" in errors
    assert "no such file" in errors
