from __future__ import annotations

import pytest
import torch

from medpipe_core.seeding import TorchStream, child_seed, seeded_init


def drawn(stream, count=4):
    with stream.running():
        return torch.rand(count)


def fail_in(stream):
    with stream.running():
        torch.rand(5)
        raise KeyError("mine")


def test_a_stream_follows_from_its_seed_and_not_from_what_is_drawn_outside():
    one, other = TorchStream(3), TorchStream(3)
    found = []
    for _ in range(3):
        found.append(drawn(one))
        torch.rand(7)
    assert all(torch.equal(draw, drawn(other)) for draw in found)
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], drawn(TorchStream(4)))


def test_the_outside_does_not_notice_a_stream_even_if_it_fails():
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    stream = TorchStream(3)
    first = drawn(stream)
    with pytest.raises(KeyError, match="mine"):
        fail_in(stream)
    assert torch.equal(torch.rand(4), expected)
    # What failed has drawn: the stream goes on behind it.
    assert not torch.equal(drawn(stream), first)


def test_a_stream_goes_on_from_its_saved_state_and_a_saved_state_stays():
    stream = TorchStream(3)
    drawn(stream)
    saved = stream.state_dict()
    kept = {name: value.clone() for name, value in saved.items()}
    found = [drawn(stream), drawn(stream)]
    again = TorchStream(99)
    again.load_state_dict(saved)
    assert all(torch.equal(draw, drawn(again)) for draw in found)
    assert all(torch.equal(saved[name], kept[name]) for name in kept)


def test_streams_inside_of_one_another_do_not_mix():
    outer, inner = TorchStream(1), TorchStream(2)
    alone = [drawn(TorchStream(1), 8), drawn(TorchStream(2))]
    with outer.running():
        one = torch.rand(4)
        between = drawn(inner)
        with seeded_init(5):
            torch.rand(9)
        two = torch.rand(4)
    assert torch.equal(torch.cat((one, two)), alone[0])
    assert torch.equal(between, alone[1])


def test_another_process_draws_the_same(forked):
    code = (
        "import torch; from medpipe_core.seeding import TorchStream\n"
        "with TorchStream(11).running(): print(torch.rand(3).tolist())"
    )
    found = forked(code)
    assert found.output.strip() == str(drawn(TorchStream(11), 3).tolist())


def test_children_do_not_depend_on_their_siblings():
    assert child_seed(0, "fit", "torch") == child_seed(0, "fit", "torch") < 2**63
    assert child_seed(0, "fit", "torch") != child_seed(0, "fit", "order")
