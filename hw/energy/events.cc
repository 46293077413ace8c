// Event-driven simulation of a routed iCE40 design, cycle after cycle from edge to rest.
//
// A wire passes on every change after its delay. A gate is evaluated when a pin changes, and its
// output follows after the delay from that pin; with inertial delays a change that is taken back
// before it comes out does not come out, with transport delays everything does. The last evaluation
// of a gate sees its settled pins, so both end at the same values.
#include <cstdint>
#include <cstring>
#include <queue>
#include <vector>

namespace {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
constexpr u64 NEVER_SETTLES = 10'000'000;  // ps

struct Sink { u32 part, pin, wire; };  // part: a gate, or after the gates a block
struct Gate { u32 output, table, delay[4]; };
struct Register { u32 q, d, enable, reset, set_value, delay; };
struct Memory {
    u32 read_mode, write_mode, read[13], write[45], data[16], delay;
    u16 words[256];
};
struct Block { u32 modes[19], pins[79], outputs[32], delay, from_clock; };

struct Design {  // as `events.py` lays it out
    u64 nodes, gates_count, registers_count, memories_count, blocks_count, inputs_count, inertial;
    const u32* sink_starts;  // of each node, and the end
    const Sink* sinks;
    const Gate* gates;
    const Register* registers;
    const Memory* memories;
    const Block* blocks;
    const u32* inputs;
};

struct Event {
    u64 time, order;
    u32 target, pin;  // of a wire: part and pin; of an output: node
    bool output, value;
    bool operator>(const Event& other) const {
        return time != other.time ? time > other.time : order > other.order;
    }
};

struct Pending { u64 time, order; bool value; };

// What a multiplier block keeps; the letters are those of Lattice's drawing (TN1295).
struct BlockState {
    u8 pins[79] = {};
    u16 rA = 0, rB = 0, rC = 0, rD = 0, rF = 0, rJ = 0, rK = 0, rG = 0, rQ = 0, rS = 0;
    u32 rH = 0;
};

u16 word(const u8* pins) {
    u16 value = 0;
    for (int bit = 0; bit < 16; bit++) value |= u16(pins[bit] & 1) << bit;
    return value;
}

struct BlockOutputs { u32 o; u16 f, j, k, g, p, r; u32 l; };

BlockOutputs evaluate(const Block& block, const BlockState& state) {
    enum { C_REG, A_REG, B_REG, D_REG, TOP_MULT, BOT_MULT, PIPE1, PIPE2, TOP_OUT, TOP_LOW, TOP_UP,
           TOP_CARRY, BOT_OUT, BOT_LOW, BOT_UP, BOT_CARRY, MODE8, A_SIGNED, B_SIGNED };
    enum { ADDSUBTOP = 74, ADDSUBBOT = 75, OLOADTOP = 72, OLOADBOT = 73 };
    const u32* m = block.modes;
    const u8* pins = state.pins;
    BlockOutputs out;
    u16 a = m[A_REG] ? state.rA : word(pins), b = m[B_REG] ? state.rB : word(pins + 16);
    u16 c = m[C_REG] ? state.rC : word(pins + 32), d = m[D_REG] ? state.rD : word(pins + 48);
    auto high = [](u16 v, bool sign) { return u16(sign ? int8_t(v >> 8) : v >> 8); };
    auto low = [](u16 v, bool sign) { return u16(sign ? int8_t(v & 255) : v & 255); };
    u16 ah = high(a, m[A_SIGNED]), al = low(a, m[A_SIGNED] && m[MODE8]);
    u16 bh = high(b, m[B_SIGNED]), bl = low(b, m[B_SIGNED] && m[MODE8]);
    out.f = u16(u32(ah) * bh);
    out.j = u16(u32(al & 255) * bh);
    out.k = u16(u32(ah) * (bl & 255));
    out.g = u16(u32(al) * bl);
    u16 f = m[TOP_MULT] ? state.rF : out.f, j = m[PIPE1] ? state.rJ : out.j;
    u16 k = m[PIPE1] ? state.rK : out.k, g = m[BOT_MULT] ? state.rG : out.g;
    u32 wide_k = m[A_SIGNED] ? u32(int16_t(k)) & 0xFFFFFF : k;
    u32 wide_j = m[B_SIGNED] ? u32(int16_t(j)) & 0xFFFFFF : j;
    out.l = g + (wide_k << 8) + (wide_j << 8) + (u32(f) << 16);
    u32 h = m[PIPE2] ? state.rH : out.l;
    u16 invert_bot = pins[ADDSUBBOT] ? 0xFFFF : 0, invert_top = pins[ADDSUBTOP] ? 0xFFFF : 0;
    u16 y = m[BOT_UP] ? d : state.rS;
    u16 z = m[BOT_LOW] == 0 ? b : m[BOT_LOW] == 1 ? g : m[BOT_LOW] == 2 ? u16(h) : 0;
    u32 low_sum = u32(z) + u16(y ^ invert_bot) + (m[BOT_CARRY] == 1);
    bool low_carry = low_sum >> 16;
    out.r = pins[OLOADBOT] ? d : u16(low_sum ^ invert_bot);
    u16 w = m[TOP_UP] ? c : state.rQ;
    u16 x = m[TOP_LOW] == 0 ? a : m[TOP_LOW] == 1 ? f : m[TOP_LOW] == 2 ? u16(h >> 16)
                                                       : u16(z >> 15 ? 0xFFFF : 0);
    u32 carry = m[TOP_CARRY] == 0 ? 0 : m[TOP_CARRY] == 1 ? 1
              : m[TOP_CARRY] == 2 ? low_carry : low_carry ^ pins[ADDSUBBOT];
    u32 high_sum = u32(x) + u16(w ^ invert_top) + carry;
    out.p = pins[OLOADTOP] ? c : u16(high_sum ^ invert_top);
    u16 top = m[TOP_OUT] == 0 ? out.p : m[TOP_OUT] == 1 ? state.rQ : m[TOP_OUT] == 2 ? f : u16(h >> 16);
    u16 bottom = m[BOT_OUT] == 0 ? out.r : m[BOT_OUT] == 1 ? state.rS : m[BOT_OUT] == 2 ? g : u16(h);
    out.o = u32(top) << 16 | bottom;
    return out;
}

void at_edge(const Block& block, BlockState& state) {
    enum { MODE8 = 16 };
    const u8* p = state.pins;
    const u8 *hold = p + 64, *reset = p + 68, *keep = p + 76;  // irst top, bottom; orst top, bottom
    BlockOutputs now = evaluate(block, state);
    u16 a = word(p), b = word(p + 16), c = word(p + 32), d = word(p + 48);
    if (p[78]) {
        if (!hold[0]) state.rA = a;
        if (!hold[1]) state.rB = b;
        if (!hold[2]) state.rC = c;
        if (!hold[3]) state.rD = d;
        state.rF = now.f, state.rG = now.g;
        if (!block.modes[MODE8]) state.rJ = now.j, state.rK = now.k, state.rH = now.l;
        if (!keep[0]) state.rQ = now.p;
        if (!keep[1]) state.rS = now.r;
    }
    if (reset[0]) state.rA = state.rC = state.rF = state.rJ = 0;
    if (reset[1]) state.rB = state.rD = state.rK = state.rG = 0, state.rH = 0;
    if (reset[2]) state.rQ = 0;
    if (reset[3]) state.rS = 0;
}

class Simulation {
  public:
    explicit Simulation(const Design& given)
        : design(given), values(given.nodes), pins(given.gates_count), pending(given.nodes),
          states(given.blocks_count), toggles(given.nodes), settled(given.nodes) {
        values[1] = 1;
        for (u64 i = 0; i < design.memories_count; i++)
            words.emplace_back(design.memories[i].words, design.memories[i].words + 256);
        for (u32 node = 0; node < design.nodes; node++)
            for (u32 i = design.sink_starts[node]; i < design.sink_starts[node + 1]; i++)
                set_pin(design.sinks[i], values[node]);
        for (u32 gate = 0; gate < design.gates_count; gate++) react(gate, 0, 0);
        for (u32 block = 0; block < design.blocks_count; block++)
            show(block, 0, design.blocks[block].delay);
        settles = settle();
        count_from_here();
    }

    // Run one cycle: an edge, but for the first cycle, and new inputs; false if it never rests.
    bool cycle(const u8* given) {
        before = values;
        if (begun) edge();
        begun = true;
        for (u64 i = 0; i < design.inputs_count; i++) schedule(design.inputs[i], given[i], 0);
        if (!settle()) return false;
        for (u64 node = 0; node < design.nodes; node++) settled[node] += values[node] != before[node];
        return true;
    }

    void count_from_here() {
        std::fill(toggles.begin(), toggles.end(), 0);
        std::fill(settled.begin(), settled.end(), 0);
        latest = 0;
    }

    const Design design;
    std::vector<u8> values;
    bool settles = false;
    u64 latest = 0;  // ps after an edge
    std::vector<u8> pins;  // of each gate, a bit each
    std::vector<std::vector<Pending>> pending;
    std::vector<BlockState> states;
    std::vector<u64> toggles, settled;

  private:
    void set_pin(const Sink& sink, bool value) {
        if (sink.part >= design.gates_count) states[sink.part - design.gates_count].pins[sink.pin] = value;
        else pins[sink.part] = (pins[sink.part] & ~(1u << sink.pin)) | u32(value) << sink.pin;
    }

    void react(u32 part, u32 pin, u64 time) {
        if (part >= design.gates_count) {
            u32 block = part - design.gates_count;
            return show(block, time, design.blocks[block].delay);
        }
        const Gate& gate = design.gates[part];
        schedule(gate.output, gate.table >> pins[part] & 1, time + gate.delay[pin]);
    }

    void show(u32 block, u64 time, u64 delay) {
        u32 o = evaluate(design.blocks[block], states[block]).o;
        for (u32 bit = 0; bit < 32; bit++)
            if (u32 node = design.blocks[block].outputs[bit]) schedule(node, o >> bit & 1, time + delay);
    }

    void schedule(u32 node, bool value, u64 time) {
        auto& waiting = pending[node];
        if (design.inertial) {
            if (value == values[node]) return waiting.clear();
            if (!waiting.empty() && waiting[0].time <= time) return;
            waiting.clear();
        } else {
            while (!waiting.empty() && waiting.back().time >= time) waiting.pop_back();
            if (value == (waiting.empty() ? bool(values[node]) : waiting.back().value)) return;
        }
        waiting.push_back({time, order, value});
        events.push({time, order++, node, 0, true, value});
    }

    bool settle() {
        while (!events.empty()) {
            Event event = events.top();
            events.pop();
            if (event.time > NEVER_SETTLES) return false;
            if (event.output) come_out(event);
            else {
                set_pin({event.target, event.pin, 0}, event.value);
                react(event.target, event.pin, event.time);
            }
        }
        return true;
    }

    void come_out(const Event& event) {
        auto& waiting = pending[event.target];
        if (waiting.empty() || waiting[0].order != event.order) return;  // taken back
        waiting.erase(waiting.begin());
        values[event.target] = event.value;
        toggles[event.target]++;
        if (event.time > latest) latest = event.time;
        for (u32 i = design.sink_starts[event.target]; i < design.sink_starts[event.target + 1]; i++) {
            const Sink& sink = design.sinks[i];
            events.push({event.time + sink.wire, order++, sink.part, sink.pin, false, event.value});
        }
    }

    void edge() {
        for (u64 i = 0; i < design.registers_count; i++) {
            const Register& r = design.registers[i];
            if (before[r.enable]) schedule(r.q, before[r.reset] ? r.set_value : before[r.d], r.delay);
        }
        for (u64 i = 0; i < design.memories_count; i++) access(design.memories[i], words[i]);
        for (u32 i = 0; i < design.blocks_count; i++) {
            at_edge(design.blocks[i], states[i]);
            show(i, 0, design.blocks[i].from_clock);
        }
    }

    u32 number(const u32* nodes, int count) const {
        u32 value = 0;
        for (int bit = 0; bit < count; bit++) value |= u32(before[nodes[bit]]) << bit;
        return value;
    }

    // A word is 16 >> mode bits; a narrow one has every (1 << mode)th bit, from `address` on.
    void access(const Memory& memory, std::vector<u16>& words) {
        static const int first[] = {0, 0, 1, 3};  // data pin of the first bit
        if (before[memory.read[11]] && before[memory.read[12]]) {
            u32 address = number(memory.read, 11), step = 1u << memory.read_mode;
            u32 found = words[address & 255] >> (address >> 8 & (step - 1));
            for (u32 bit = 0; bit < 16; bit++) {
                bool shown = bit % step == u32(first[memory.read_mode]);
                bool value = shown && found >> (bit & ~(step - 1)) & 1;
                if (memory.data[bit]) schedule(memory.data[bit], value, memory.delay);
            }
        }
        if (before[memory.write[43]] && before[memory.write[44]]) {
            u32 address = number(memory.write, 11), step = 1u << memory.write_mode;
            u32 data = number(memory.write + 11, 16), mask = number(memory.write + 27, 16);
            u16& target = words[address & 255];
            for (u32 bit = 0; bit < 16; bit++) {
                u32 from = (bit & ~(step - 1)) + first[memory.write_mode];
                bool writes = step == 1 ? !(mask >> bit & 1) : bit % step == (address >> 8 & (step - 1));
                if (writes) target = (target & ~(1u << bit)) | (data >> from & 1) << bit;
            }
        }
    }

    bool begun = false;
    u64 order = 0;
    std::vector<u8> before;
    std::vector<std::vector<u16>> words;
    std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events;
};

}  // namespace

extern "C" {

// Return a simulation at rest, its inputs 0, or none if it never rests.
void* create(const Design* design) {
    auto* made = new Simulation(*design);
    if (made->settles) return made;
    delete made;
    return nullptr;
}

void destroy(void* simulation) { delete static_cast<Simulation*>(simulation); }

// Run cycles with the inputs of each; `values` takes all nodes at the end of each, if it is there.
int run(void* simulation, const u8* inputs, u64 cycles, u8* values) {
    auto& it = *static_cast<Simulation*>(simulation);
    for (u64 i = 0; i < cycles; i++) {
        if (!it.cycle(inputs + i * it.design.inputs_count)) return 1;
        if (values) std::memcpy(values + i * it.design.nodes, it.values.data(), it.design.nodes);
    }
    return 0;
}

void count_from_here(void* simulation) { static_cast<Simulation*>(simulation)->count_from_here(); }

// Copy the toggles of all nodes, those that last, and return the latest of all changes, in ps.
u64 counts(void* simulation, u64* toggles, u64* settled) {
    auto& it = *static_cast<Simulation*>(simulation);
    std::memcpy(toggles, it.toggles.data(), it.toggles.size() * sizeof(u64));
    std::memcpy(settled, it.settled.data(), it.settled.size() * sizeof(u64));
    return it.latest;
}

}
