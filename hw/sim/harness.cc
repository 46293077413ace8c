// Drives an accelerator that CXXRTL wrote: feeds its input stream, drains its output stream and
// records its trace, all without leaving C++. DESIGN, WIDTH_* and OFFSET_* are defined on top of
// this file by compiled.py, from the Amaranth layouts.
#include <cxxrtl/cxxrtl_vcd.h>

#include <cstdint>
#include <cstdio>

namespace {

template <size_t Bits>
const cxxrtl::chunk_t *chunks(const cxxrtl::value<Bits> &v) { return v.data; }
template <size_t Bits>
const cxxrtl::chunk_t *chunks(const cxxrtl::wire<Bits> &w) { return w.curr.data; }

// `width` bits (at most 64) of a signal, from bit `offset`
template <class Wire>
uint64_t field(const Wire &wire, unsigned offset, unsigned width) {
    const cxxrtl::chunk_t *data = chunks(wire);
    uint64_t result = 0;
    for (unsigned done = 0; done < width;) {
        unsigned bit = offset + done, in_chunk = bit % 32, take = 32 - in_chunk;
        if (take > width - done) take = width - done;
        uint64_t part = (uint64_t(data[bit / 32]) >> in_chunk) & ((uint64_t(1) << take) - 1);
        result |= part << done;
        done += take;
    }
    return result;
}

template <class Wire>
int64_t signed_field(const Wire &wire, unsigned offset, unsigned width) {
    uint64_t raw = field(wire, offset, width);
    return width < 64 && (raw >> (width - 1)) ? int64_t(raw | (~uint64_t(0) << width)) : int64_t(raw);
}

// xorshift64*: true with probability threshold / 2**32
struct Chance {
    uint64_t state;
    uint32_t threshold;
    bool operator()() {
        if (threshold == 0) return false;
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        return uint32_t((state * 2685821657736338717ull) >> 32) < threshold;
    }
};

struct Event {
    uint64_t cycle;
    int64_t sum, level;
    uint32_t image, element, layer, overflow;
};

}  // namespace

extern "C" {

struct Request {
    const uint32_t *codes;
    uint64_t elements, results;
    uint32_t gap_threshold, stall_threshold, seed, traced;
    uint64_t idle_limit, window_start, window_stop;
    const char *window_path;
    Event *events;
    uint64_t event_limit;
    uint64_t *raw_levels;
    uint32_t *labels;
    uint64_t *overflows, *layer_cycles;
    const uint64_t *weights;
    uint64_t weight_words;
    const volatile uint32_t *stop;
};

struct Reply {
    uint64_t cycles, steps, accepted, emitted, images, events;
};

// 0: all results came; 1: nothing moved for idle_limit cycles; 2: the waveform file failed;
// 3: combinational loop; 4: interrupted
int simulate(const Request *request, Reply *reply) {
    cxxrtl_design::DESIGN top;
    Chance gap{request->seed * 2ull + 1, request->gap_threshold};
    Chance stall{request->seed * 2ull + 0x9e3779b97f4a7c15ull, request->stall_threshold};
    cxxrtl::debug_items items;
    cxxrtl::vcd_writer vcd;
    FILE *window = nullptr;
    if (request->window_path) {
        window = fopen(request->window_path, "w");
        if (!window) return 2;
        top.debug_info(&items, nullptr, "");
        vcd.timescale(1, "us");
        vcd.add_without_memories(items);
    }
    *reply = Reply{};
#ifdef LOADS_WEIGHTS
    // a word a cycle; images wait, and so do the counted cycles
    for (uint64_t word = 0; word < request->weight_words; word++) {
        top.p_weights____payload.set<uint64_t>(request->weights[word]);
        top.p_weights____valid.set<bool>(true);
        top.p_clk.set<bool>(true);
        if (!top.eval()) return 3;
        top.commit();
        top.p_clk.set<bool>(false);
        top.prev_p_clk.set<bool>(false);
    }
    top.p_weights____valid.set<bool>(false);
#endif
    uint64_t idle = 0, waited = 0;
    bool offered = false;
    while (reply->emitted < request->results) {
        if (*request->stop) {
            if (window) fclose(window);
            return 4;
        }
        // a stream's promise: what is offered stays until it is taken
        offered = reply->accepted < request->elements && (offered || !gap());
        bool ready = !stall();
        if (offered) {
            uint32_t code = request->codes[reply->accepted];
            bool last = reply->accepted + 1 == request->elements;
            top.p_i____payload.set<uint64_t>(uint64_t(code) | uint64_t(last) << OFFSET_LAST);
        }
        top.p_i____valid.set<bool>(offered);
        top.p_o____ready.set<bool>(ready);
        // One evaluation a cycle: with the clock high it computes the outputs and the next state from
        // the old state, and commit() makes the step. It is complete unless there is a
        // combinational loop.
        top.p_clk.set<bool>(true);
        if (!top.eval()) {
            if (window) fclose(window);
            return 3;
        }
        bool inside = window && reply->cycles >= request->window_start &&
                      reply->cycles < request->window_stop;
        if (inside) vcd.sample(2 * reply->cycles);
        bool moved = false;
        if (offered && field(top.p_i____ready, 0, 1)) {
            reply->accepted++, offered = false, moved = true;
        }
        if (ready && field(top.p_o____valid, 0, 1)) {
            request->raw_levels[reply->emitted++] = field(top.p_o____payload, 0, WIDTH_LEVEL);
            if (field(top.p_o____payload, OFFSET_RESULT_LAST, 1)) {
                request->labels[reply->images++] = field(top.p_o____payload, OFFSET_LABEL, WIDTH_LABEL);
            }
            moved = true;
        }
        if (field(top.p_trace, OFFSET_STEP, 1)) reply->steps++, moved = true;
        // waiting counts for the layer that is waited for
        waited++;
        if (field(top.p_trace, OFFSET_RUNNING, 1)) {
            request->layer_cycles[field(top.p_trace, OFFSET_CURRENT, WIDTH_LAYER)] += waited;
            waited = 0, moved = true;
        }
        for (unsigned chain = 0; chain < CHAINS; chain++) {
            unsigned base = OFFSET_SUMS + chain * WIDTH_ENTRY;
            if (!field(top.p_trace, base + OFFSET_VALID, 1)) continue;
            uint32_t layer = field(top.p_trace, OFFSET_LAYER, WIDTH_LAYER);
            uint32_t overflow = field(top.p_trace, base + OFFSET_OVERFLOW, 1);
            uint32_t image = field(top.p_trace, base + OFFSET_IMAGE, WIDTH_IMAGE);
            request->overflows[layer] += overflow;
            if (image < request->traced && reply->events < request->event_limit) {
                request->events[reply->events++] = Event{
                    reply->cycles,
                    signed_field(top.p_trace, base + OFFSET_SUM, WIDTH_SUM),
                    signed_field(top.p_trace, base + OFFSET_TRACE_LEVEL, WIDTH_TRACE_LEVEL),
                    image,
                    uint32_t(field(top.p_trace, base + OFFSET_ELEMENT, WIDTH_ELEMENT)),
                    layer,
                    overflow};
            }
            moved = true;
        }
        top.commit();
        top.p_clk.set<bool>(false);
        if (inside) {
            vcd.sample(2 * reply->cycles + 1);
            fwrite(vcd.buffer.data(), 1, vcd.buffer.size(), window);
            vcd.buffer.clear();
        }
        top.prev_p_clk.set<bool>(false);  // all that the falling edge does
        reply->cycles++;
        idle = moved ? 0 : idle + 1;
        if (idle > request->idle_limit) {
            if (window) fclose(window);
            return 1;
        }
    }
    if (window && (ferror(window) | fclose(window))) return 2;
    return 0;
}
}
