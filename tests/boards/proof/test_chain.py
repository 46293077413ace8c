"""Boards side by side answer for all images, and every answer counts."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from narrowgauge.boards.gateware.results import level_bytes
from narrowgauge.boards.proof import chain
from narrowgauge.boards.proof.chain import Stage
from narrowgauge.boards.protocol.frame import packed
from narrowgauge.hw.tools.rtlil import convert

from ...hw.sim.test_engines import needs_compiler
from ..linked import NETWORK, device, expected

RTL = Stage("RTL", "rtlil", lambda built: convert(built.device, share=False))


def built(found, family="") -> Any:
    target = SimpleNamespace(family=SimpleNamespace(name=family))
    return SimpleNamespace(device=found, board=SimpleNamespace(target=target))


@needs_compiler
def test_boards_side_by_side_answer_for_all_images():
    found = built(device())
    images, levels, labels = expected(found.device.info.window + 3)
    run = chain._run(found, RTL, images)
    assert chain._differs(run, found, levels, labels) == (0, "")
    # of two boards, and all that they were sent
    assert sum(map(len, run.answers)) == 2 * found.device.info.window
    mismatches, first = chain._differs(run, found, levels[::-1], labels)
    assert mismatches > 1
    assert first.startswith("image 0: ")


class Boards(nullcontext):
    """Simulations whose answers others make up."""

    cycles, digest = 0, 0

    def wait(self, cycles):
        """Nothing comes."""


IMAGES, WINDOW, BOARDS = 7, 2, 2
SLOTS = [(board, place) for board in range(BOARDS) for place in range(4)]


@pytest.fixture
def answered(monkeypatch):
    """Run boards that are answers alone, one of them wrong; the mismatches."""
    true = device()
    info = SimpleNamespace(window=WINDOW, classes=NETWORK.classes)
    found = built(SimpleNamespace(accelerator=true.accelerator, info=info, divisor=4))
    images, levels, labels = expected(IMAGES)
    codes, octets = NETWORK.output.to_code(levels), level_bytes(NETWORK.output.width)
    answers = {}
    for image, row, label in zip(images, codes, labels, strict=True):
        answer = b"".join(int(code).to_bytes(octets, "little") for code in row)
        sent = packed(NETWORK.input.to_code(image.reshape(-1)), NETWORK.input.width)
        answers[sent] = answer + bytes([label])
    assert len(answers) == IMAGES

    def simulation(*_, boards, **__):
        assert boards == BOARDS
        return Boards()

    def mismatches(wrong):
        sent = {board: 0 for board in range(BOARDS)}

        def exchange(_, frames, length, computing):
            found = []
            for board, mine in enumerate(frames):
                assert len(mine) <= WINDOW
                found.append([answers[frame.payload] for frame in mine])
                for at in range(len(mine)):
                    if (board, sent[board]) == wrong:
                        found[board][at] = bytes(length)
                    sent[board] += 1
            return found

        monkeypatch.setattr(chain, "_exchange", exchange)
        run = chain._run(found, Stage("nothing", "rtlil", lambda _: ""), images)
        assert sum(sent.values()) == len(SLOTS) == IMAGES + 1
        return chain._differs(run, found, levels, labels)[0]

    monkeypatch.setattr(chain, "PinSimulation", simulation)
    monkeypatch.setattr(chain, "_introduce", lambda *_: None)
    monkeypatch.setattr(chain, "widest", lambda: BOARDS)
    return mismatches


@pytest.mark.parametrize("slot", SLOTS)
def test_one_wrong_answer_is_one_mismatch(slot, answered):
    """Of an image that fills up the last board, too, and of the one that it repeats."""
    assert answered(None) == 0
    assert answered(slot) == 1
