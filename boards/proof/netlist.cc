// Drives a netlist that CXXRTL wrote, through its pins (a UART) or through an accelerator's streams.
// DESIGN and what belongs to the streams are defined on top of this file by netlist.py.
#include <cstdint>

namespace {

// an output that is a register itself, or one that is computed
template <size_t Bits>
const cxxrtl::chunk_t *chunks(const cxxrtl::value<Bits> &v) { return v.data; }
template <size_t Bits>
const cxxrtl::chunk_t *chunks(const cxxrtl::wire<Bits> &w) { return w.curr.data; }

// `width` bits (at most 32) of a signal, from bit `offset`
template <class Signal>
uint32_t field(const Signal &signal, unsigned offset, unsigned width) {
    const cxxrtl::chunk_t *data = chunks(signal);
    uint32_t result = 0;
    for (unsigned bit = 0; bit < width; bit++) {
        unsigned at = offset + bit;
        result |= ((data[at / 32] >> (at % 32)) & 1u) << bit;
    }
    return result;
}

// A step of the clock: with the clock high, one evaluation computes outputs and next states from
// the old states, and commit() makes the step. False where there is a combinational loop.
template <class Design>
bool evaluate(Design &top) {
    top.p_clk.template set<bool>(true);
    return top.eval();
}

template <class Design>
void step(Design &top) {
    top.commit();
    top.p_clk.template set<bool>(false);
    top.prev_p_clk.template set<bool>(false);  // all that the falling edge does
}

}  // namespace

extern "C" {

#ifdef PINS

struct Simulation {
    cxxrtl_design::DESIGN top;
    uint64_t cycles = 0;
    uint64_t digest = 0xcbf29ce484222325ull;  // of the cycles in which tx changed: FNV-1a
    bool level = true;
    int bit = -1;         // of the byte that is received, -1 while there is none
    uint32_t waiting = 0; // cycles to the middle of the next bit
    uint8_t shift = 0;
};

struct Reply {
    uint64_t received, cycles, digest;
};

void *create() {
    auto *simulation = new Simulation;
    simulation->top.p_rx.set<bool>(true);
    return simulation;
}

void destroy(void *simulation) { delete static_cast<Simulation *>(simulation); }

// Sends `count` bytes of `divisor` cycles a bit, and goes on until `wanted` bytes came or none came
// for `limit` cycles. 0: done; 1: nothing came; 3: combinational loop; 4: a byte without stop bit.
int exchange(void *handle, const uint8_t *sent, uint64_t count, uint32_t divisor, uint8_t *received,
             uint64_t wanted, uint64_t limit, Reply *reply) {
    auto &s = *static_cast<Simulation *>(handle);
    uint64_t done = 0, idle = 0, bits = 10 * count, bit = 0;
    uint32_t left = divisor;
    int status = 0;
    while (bit < bits || done < wanted) {
        bool high = true;
        if (bit < bits) {
            unsigned part = bit % 10;
            high = part == 9 || (part != 0 && ((sent[bit / 10] >> (part - 1)) & 1));
            if (--left == 0) left = divisor, bit++;
            idle = 0;
        }
        s.top.p_rx.set<bool>(high);
        if (!evaluate(s.top)) {
            status = 3;
            break;
        }
        bool tx = field(s.top.p_tx, 0, 1);
        if (tx != s.level) {
            s.digest = (s.digest ^ s.cycles) * 0x100000001b3ull;
            if (s.bit < 0 && !tx) s.bit = 0, s.waiting = divisor / 2;
            s.level = tx;
        }
        if (s.bit >= 0 && s.waiting-- == 0) {
            s.waiting = divisor - 1;
            if (s.bit >= 1 && s.bit <= 8) s.shift = uint8_t(s.shift >> 1 | tx << 7);
            if (s.bit == 9) {
                if (!tx) status = 4;
                if (done < wanted) received[done] = s.shift;
                done++, idle = 0, s.bit = -1;
            } else {
                s.bit++;
            }
        }
        step(s.top);
        s.cycles++;
        if (status || ++idle > limit) {
            status = status ? status : 1;
            break;
        }
    }
    *reply = Reply{done, s.cycles, s.digest};
    return status;
}

#else

struct Request {
    const uint32_t *codes;
    uint64_t elements, results, idle_limit;
    uint32_t fault;
    uint32_t *levels, *labels;
    const uint64_t *weights;
    uint64_t weight_words;
};

struct Reply {
    uint64_t cycles, accepted, emitted, images, active;
};

// 0: all results came; 1: nothing moved for idle_limit cycles; 2: more images ended than there are;
// 3: combinational loop
int simulate(const Request *request, Reply *reply) {
    cxxrtl_design::DESIGN top;
    *reply = Reply{};
#ifdef FAULTS
    top.p_fault.set<uint32_t>(request->fault);
#endif
#ifdef LOADS_WEIGHTS
    for (uint64_t word = 0; word < request->weight_words; word++) {
        top.p_weights____payload.set<uint64_t>(request->weights[word]);
        top.p_weights____valid.set<bool>(true);
        if (!evaluate(top)) return 3;
        step(top);
    }
    top.p_weights____valid.set<bool>(false);
#endif
    top.p_o____ready.set<bool>(true);
    for (uint64_t idle = 0; reply->emitted < request->results; reply->cycles++, idle++) {
        bool offered = reply->accepted < request->elements;
        if (offered) {
            uint64_t last = reply->accepted + 1 == request->elements;
            uint64_t element = request->codes[reply->accepted] | last << OFFSET_LAST;
            top.p_i____payload.set<uint64_t>(element);
        }
        top.p_i____valid.set<bool>(offered);
        if (!evaluate(top)) return 3;
#ifdef FAULTS
        reply->active += field(top.p_active, 0, 1);
#endif
        if (offered && field(top.p_i____ready, 0, 1)) reply->accepted++, idle = 0;
        if (field(top.p_o____valid, 0, 1)) {
            request->levels[reply->emitted++] = field(top.p_o____payload, 0, WIDTH_LEVEL);
            if (field(top.p_o____payload, OFFSET_RESULT_LAST, 1)) {
                if (reply->images == request->results) return 2;
                request->labels[reply->images++] =
                    field(top.p_o____payload, OFFSET_LABEL, WIDTH_LABEL);
            }
            idle = 0;
        }
        step(top);
        if (idle > request->idle_limit) return 1;
    }
    return 0;
}

#endif
}
