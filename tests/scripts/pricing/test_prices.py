"""``narrowgauge price``: networks grow until they reach the target; what they cost; bad input."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from narrowgauge.hw.errors import DataError, FormatError, NarrowgaugeError, NetworkError, ToolError
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.hw.numbers.operands import Operands
from narrowgauge.hw.tools.store import Store
from narrowgauge.scripts.jobs.job import About
from narrowgauge.scripts.jobs.running import missing, run_jobs
from narrowgauge.scripts.pricing import families
from narrowgauge.scripts.pricing.accelerators import fill, route_filled
from narrowgauge.scripts.pricing.costs import Element, array_cost
from narrowgauge.scripts.pricing.elements import PricedFormat, element_points, measure_element
from narrowgauge.scripts.pricing.families import NetworkFamily
from narrowgauge.scripts.pricing.prices import find_prices
from narrowgauge.scripts.pricing.request import PriceRequest
from narrowgauge.scripts.pricing.shown import plain_rows, price_table, rate_table, sentences
from narrowgauge.scripts.pricing.work import ImageSpec, work_of

FORMATS = ("fp32", "int4", "bipolar")
LUTS = {"fp32": 1000, "int4": 400, "bipolar": 200}
DESIGN = {"rows": 2, "columns": 2, "lanes": 4, "chains": 1, "cycles": 500.0, "lut": 3000}
DESIGN |= {"ff": 1, "bram": 9, "dsp": 0, "fmax_mhz": 50.0, "lut_error": 0.1, "fmax_error": 0.1}
DESIGN |= {"failure": None}


def request(**changed):
    given = {"dataset": "digits", "target_accuracy": 85.0, "families": ("mlp",), "epochs": 4}
    given |= {"formats": FORMATS, "target": "ecp5-25k"}
    return PriceRequest(**{**given, **changed})


class Planted:
    """Trains for real, and has values for what would be placed and routed."""

    def __init__(self, store, luts=LUTS):
        self.store, self.luts, self.texts = store, luts, []

    def __call__(self, jobs):
        for job in jobs:
            if job.function is measure_element:
                (given,) = job.arguments
                lut = self.luts[given["weight"]]
                clocks = dict.fromkeys(("fmax_mhz", "fmax_mhz_min", "fmax_mhz_max"), 100.0)
                value = {"lut": lut, "dsp": 0, "ff": 1, **clocks, "failure": None}
            elif job.function is fill:
                value = DESIGN
            elif job.function is route_filled:
                value = {**DESIGN, "lut": 3100, "fmax_mhz": 60.0}
            else:
                continue
            job.put(self.store, value, About("planted", 1.0))
        left = missing(jobs, self.store)
        self.texts += [job.text for job in left]
        with ThreadPoolExecutor(1) as workers:
            return run_jobs(left, self.store, workers, 1)


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        few = {"mlp": NetworkFamily("mlp", (2, 24, 32), batch=64)}
        patch.setattr(families, "FAMILIES", {**families.FAMILIES, **few})
        yield


@pytest.fixture(scope="module")
def found(small, tmp_path_factory):
    """Prices, and what ran for them: each training once."""
    store = Store(tmp_path_factory.mktemp("price") / "store")
    run = Planted(store)
    prices, failed = find_prices(request(), store, run)
    assert not failed
    return SimpleNamespace(prices=prices, run=run, store=store)


def test_networks_grow_until_they_reach_the_target(found):
    standings = {each.standing.format: each.standing for each in found.prices}
    exact = standings["fp32"]
    assert exact.chosen.name == "mlp 3 x 24"  # 2 are too few
    assert exact.chosen.share.surely(0.85)
    assert exact.chosen.share.images > 200
    assert "mlp 3 x 2 on digits, seed 0, fp32" in found.run.texts
    assert "mlp 3 x 32 on digits, seed 0, fp32" not in found.run.texts


def test_nothing_runs_twice(found):
    again = Planted(found.store)
    prices, _ = find_prices(request(), found.store, again)
    assert again.texts == []
    assert plain_rows(prices) == plain_rows(found.prices)


def test_a_cost_that_is_worse_changes_the_ranking(found):
    before = [each.standing.format for each in found.prices]
    first = before[0].partition("/")[0]
    worse = {**LUTS, first: 1000 * LUTS[first]}
    prices, _ = find_prices(request(), found.store, Planted(found.store, worse))
    after = [each.standing.format for each in prices]
    assert after != before
    assert after[-1] == before[0] or prices[-1].standing.chosen is None


def test_accelerators_are_those_that_were_routed(found):
    for price in found.prices:
        if price.standing.chosen is not None:
            assert price.accelerator.routed
            assert price.accelerator.lut == 3100
            assert price.accelerator.images_per_second == pytest.approx(60e6 / 500)


def test_tables_and_sentences_say_it(found):
    table = price_table(found.prices, request())
    assert table.row_count == len(FORMATS)
    assert rate_table(found.prices, request()).row_count <= len(FORMATS)
    assert sentences(found.prices)[0].startswith(f"cheapest: {found.prices[0].standing.format}")
    hard, _ = find_prices(request(target_accuracy=99.9), found.store, Planted(found.store))
    assert all(each.standing.chosen is None for each in hard)
    assert all("does not reach the target" in line for line in sentences(hard))


def test_a_cost_is_products_times_luts_over_the_clock():
    work = work_of("mlp", 32, ImageSpec.of("digits"))
    assert work.macs == 64 * 32 + 2 * 32 * 32 + 32 * 10
    assert work.slots(Operands(parse("int4"), parse("uint4"))) == work.macs
    planes = work.slots(Operands(parse("bipolar"), parse("bipolar")))  # pixels of 4 bits
    assert planes == work.macs + 3 * 64 * 32
    logic, block = Element(1, 200, 0, 100.0, 0.0, "logic"), Element(1, 50, 1, 100.0, 0.0, "block")
    fmt = PricedFormat.of("int8")
    for rate, area, multiplier in ((100, 150, "block"), (400, 200, "logic")):
        cost = array_cost(fmt, work, [logic, block], rate)
        assert (cost.area_time, cost.element.multiplier) == (work.macs * area / 100, multiplier)
        assert cost.free == work.macs * 50 / 100
        assert cost.weight_bits == 8 * work.weights


def test_convolutions_count_their_positions():
    work = work_of("cifar10_full", 0.25, ImageSpec((8, 8, 1), 10, 4))
    assert work.layers[0].macs == 8 * 8 * 8 * 25  # 8 channels of 8 rows and columns
    assert work.layers[0].weights == 8 * 25


@pytest.mark.parametrize(
    ("text", "operands", "lanes", "multipliers"),
    [
        ("fp32", "fp32 fp32", 1, ["logic", "block"]),
        ("int4", "int4 uint4", 8, ["logic", "block"]),
        ("bipolar/uint8", "bipolar uint8", 16, ["logic"]),
        ("int8/fp16", "int8 fp16", 1, ["logic", "block"]),
    ],
)
def test_elements_of_formats(text, operands, lanes, multipliers):
    fmt = PricedFormat.of(text)
    assert f"{fmt.operands.weight} {fmt.operands.activation}" == operands
    points = element_points(fmt, "ecp5-25k", 1)
    assert {each.lanes for each in points} == {lanes}
    assert [each.multiplier for each in points] == multipliers
    assert all((each.partial_sums > 1) == fmt.is_float for each in points)
    for each in points:
        each.check()


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"target_accuracy": 100.0}, NarrowgaugeError, "above 0 and below 100 per cent, not 100"),
        ({"target_accuracy": float("nan")}, NarrowgaugeError, "not nan"),
        ({"families": ("alexnet",)}, NetworkError, "no family 'alexnet'.* there is mlp"),
        ({"families": ()}, NarrowgaugeError, "no family is given"),
        ({"formats": ("uint8",)}, FormatError, "--formats uint8: weights are"),
        ({"formats": ("int4/pow2_4",)}, FormatError, "--formats int4/pow2_4: activations are"),
        ({"formats": ("fp32/uint8",)}, FormatError, "--formats fp32/uint8: "),
        ({"formats": ("int9x",)}, FormatError, "--formats int9x: "),
        ({"dataset": "nothing"}, DataError, "nothing"),
        ({"target": "ecp6"}, ToolError, "ecp6"),
        ({"target": "xc7"}, NarrowgaugeError, "xc7 has no prices here"),
        ({"block_luts": -1.0}, NarrowgaugeError, "0 LUTs or more"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_bad_input_is_refused_in_one_line(changed, error, text):
    with pytest.raises(error, match=text) as raised:
        request(**changed)
    assert "\n" not in str(raised.value)


def test_a_device_that_holds_no_element_is_said(small, tmp_path):
    def run(jobs):
        store = Store(tmp_path / "store")
        for job in jobs:
            nothing = dict.fromkeys(("fmax_mhz", "fmax_mhz_min", "fmax_mhz_max"))
            value = {"lut": 0, "dsp": 0, "ff": 0, **nothing, "failure": "needs 9000 of 5280 LUTs"}
            job.put(store, value, About("planted", 1.0))
        return {}

    with pytest.raises(NarrowgaugeError, match=r"fp32 x fp32.*needs 9000 of 5280 LUTs"):
        find_prices(request(formats=("fp32",)), Store(tmp_path / "store"), run)
