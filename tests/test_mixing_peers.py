"""What the benchmarks of mixing compare with, and that their rows survive each other's faults."""

import sys
from pathlib import Path

import pytest
from test_mixing import LAYERS, PLAIN, same, velocity, write_expert
from training_home import tiny_profile

from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.experts import Expert, FactorMap, Gate, block_groups, mixture
from artmaster_pipeline.generation.sampling import draw_embedded

FOLDER = Path(__file__).parent.parent / "benchmarks" / "experts"


@pytest.fixture(scope="module")
def peers():
    sys.path.insert(0, str(FOLDER))
    import peers

    yield peers
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def pipe(tiny_flux):
    return load_pipeline(tiny_profile(tiny_flux))


@pytest.fixture(scope="module")
def text(pipe):
    return [FAMILY.encode_text(pipe, "mountain 0", "cpu", 24)]


@pytest.fixture(scope="module")
def experts(tmp_path_factory) -> list[Expert]:
    folder = tmp_path_factory.mktemp("experts")
    files = [write_expert(folder / f"{number}.safetensors", ranks) for number, ranks in enumerate(LAYERS)]
    return [Expert(name, file, how) for name, file, how in zip("ABC", files, (1.0, 0.85, 0.7), strict=True)]


def test_sum_and_merge_are_the_mix_of_the_same_weights_everywhere(peers, pipe, text, experts):
    import torch

    base, weights = velocity(pipe, text), {"A": 0.5, "B": 0.3, "C": 0.2}
    with mixture(pipe, experts, [Gate.weighted(weights, FactorMap.flat(block_groups(pipe.transformer)))]):
        mixed = velocity(pipe, text)
    for peer in (peers.weighted_sum, peers.merged):
        with peer(pipe, experts, list(weights.values())):
            assert torch.allclose(velocity(pipe, text), mixed, atol=1e-5)
        assert same(velocity(pipe, text), base)
    assert not torch.allclose(mixed, base, atol=1e-3)


def test_one_expert_per_step_in_turns(peers, pipe, text, experts):
    with peers.switching(pipe, experts, [2, 1, 1]) as taken:
        for _ in range(2):
            draw_embedded(pipe, text, [0], 64, 64, 8, PLAIN)
    assert taken == [0, 1, 2, 0] * 4
    with peers.switching(pipe, experts, [0, 1, 0]):
        switched = velocity(pipe, text)
    with peers.weighted_sum(pipe, experts, [0, 1, 0]):
        assert same(velocity(pipe, text), switched)
    turns = peers.Turns([1, 1])
    assert [turns.at(sigma) for sigma in (0.9, 0.9, 0.5, 0.5, 1.0)] == [0, 0, 1, 1, 0]  # two passes a step


def test_rows_of_the_costs_go_on_when_one_fails(peers, pipe, text, tmp_path, monkeypatch, capsys):
    import cost

    bench = cost.Bench(pipe, text[0], 64, 64, 2, False)
    experts = [cost.random_expert(pipe, name, tmp_path) for name in "ABC"]

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setitem(cost.WAYS, cost.ONE, broken)
    rows = list(cost.in_rounds(bench, experts, 1))
    assert [row["what"] for row in rows if "fault" in row] == [cost.ONE]
    assert "| ZeroDivisionError, see above |" in cost.line(rows[1], rows)
    assert all(row["times"][0] > 0 for row in rows if row["what"] != cost.ONE)
    held = {row["what"]: row.get("adapters") for row in rows}
    assert held["base"] == 0
    assert len({held[what] for what in held if what.startswith("3")}) == 1  # a mix holds its adapters, no more
    assert "where it writes" in cost.writing_gates(bench, experts)
    late = list(cost.once(bench, experts, 1, until=0.0))
    assert {row["fault"] for row in late} == {"left out: no time"}
