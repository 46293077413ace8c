// Evaluates any design that `plan.py` laid out, LANES images at a time: every net is a vector with one
// bit an image. Compiled once for all designs; LANES is 64, 128, 256 or 512, and the kinds of
// operations are numbered on top of this file by native.py.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <unordered_map>
#include <vector>

namespace {

constexpr unsigned WORDS = LANES / 64;
#if LANES == 64
typedef uint64_t V;
inline uint64_t word(V v, unsigned) { return v; }
inline V splat(uint64_t w) { return w; }
inline V load(const uint64_t *from) { return *from; }
#else
typedef uint64_t V __attribute__((vector_size(LANES / 8)));
inline uint64_t word(const V &v, unsigned index) { return v[index]; }
inline V splat(uint64_t w) { return V{} + w; }
inline V load(const uint64_t *from) {
    V v;
    memcpy(&v, from, sizeof v);
    return v;
}
#endif

inline bool none(const V &v) {
    uint64_t all = 0;
    for (unsigned i = 0; i < WORDS; i++) all |= word(v, i);
    return !all;
}
inline bool every(const V &v) { return none(~v); }
inline unsigned count(const V &v) {
    unsigned total = 0;
    for (unsigned i = 0; i < WORDS; i++) total += __builtin_popcountll(word(v, i));
    return total;
}

// 64 words of 64 bits, mirrored at the diagonal
void transpose(uint64_t *rows) {
    uint64_t mask = 0x00000000ffffffffull;
    for (unsigned step = 32; step; step >>= 1, mask ^= mask << step) {
        for (unsigned row = 0; row < 64; row = (row + step + 1) & ~step) {
            uint64_t moved = ((rows[row] >> step) ^ rows[row + step]) & mask;
            rows[row] ^= moved << step;
            rows[row + step] ^= moved;
        }
    }
}

}  // namespace

extern "C" {

struct Words {
    uint64_t width, depth, uniform;
    const uint64_t *init;  // ceil(width / 64) words a row
};

struct Plan {
    uint64_t slots;
    const uint32_t *operations, *operations_end, *registers, *registers_end, *ones, *ones_end;
    const uint32_t *ports, *ports_end;
    const Words *memories;
    uint64_t memories_count;
};

// Slots of the ports of an accelerator; widths in bits. NONE stands for a port that is not there.
struct Streams {
    const uint32_t *code, *level, *label, *weights, *layer, *current;
    uint64_t code_width, level_width, label_width, weights_width, layer_width;
    uint64_t i_valid, i_last, i_ready, o_ready, o_valid, o_last, weights_valid, step, running;
    uint64_t chains, entry_width, sum_width;
    // of each chain: valid, image (32), element (32), then sum, overflow and level
    const uint32_t *entries;
};

struct Event {
    uint64_t cycle;
    uint32_t image, element, layer, chain;
};

struct Job {
    const uint64_t *codes;  // bits of an element, a vector each
    uint64_t elements, inputs, images, results, idle_limit, work_limit;
    const uint64_t *weights;
    uint64_t weight_words;
    const uint64_t *masks;  // of each image, the lanes that have one
    uint64_t *levels, *labels;  // vectors
    uint64_t *overflows, *layer_cycles;
    Event *events;
    uint64_t event_limit, traced_start, traced;  // images from one to another
    void *sums, *values;           // of each event, a number a lane; both have `bytes`
    uint64_t sum_bytes, level_bytes;
    uint64_t *flags;
    const uint32_t *periodic;  // slots of the state that repeats
    uint64_t periodic_count, skip_stop;  // images that may be skipped
    const volatile uint64_t *stop;
    volatile uint64_t *progress;
};

struct Reply {
    uint64_t cycles, steps, accepted, emitted, images, events, overflowing;
};

}

namespace {

struct Memory {
    uint64_t width, depth, uniform, stride;
    std::vector<uint64_t> rows;  // where all lanes are equal
    V *lanes = nullptr;          // elsewhere: a vector a bit
};

struct Read {
    Memory *memory;
    uint64_t row;
    const uint32_t *data;
    uint32_t width;
    V *kept;  // of a select, or of a read that meets a write
    bool saved;
};

class Simulation {
  public:
    explicit Simulation(const Plan &plan) : plan(plan), memories(plan.memories_count) {
        state = allocate(plan.slots);
        for (const uint32_t *slot = plan.ones; slot != plan.ones_end; slot++) state[*slot] = ~V{};
        for (uint64_t index = 0; index < plan.memories_count; index++) {
            const Words &words = plan.memories[index];
            Memory &memory = memories[index];
            memory.width = words.width, memory.depth = words.depth, memory.uniform = words.uniform;
            memory.stride = (words.width + 63) / 64;
            if (words.uniform) {
                memory.rows.assign(words.init, words.init + memory.depth * memory.stride);
                continue;
            }
            memory.lanes = allocate(memory.depth * memory.width);
            for (uint64_t row = 0; row < memory.depth; row++)
                for (uint64_t bit = 0; bit < memory.width; bit++)
                    memory.lanes[row * memory.width + bit] =
                        splat(-(words.init[row * memory.stride + bit / 64] >> bit % 64 & 1));
        }
    }
    Simulation(const Simulation &) = delete;
    ~Simulation() {
        free(state);
        for (Memory &memory : memories) free(memory.lanes);
        for (V *each : buffers) free(each);
    }

    bool bit(uint64_t slot) const { return word(state[slot], 0) & 1; }
    uint64_t number(const uint32_t *slots, unsigned width) const {
        uint64_t value = 0;
        for (unsigned i = 0; i < width; i++) value |= (word(state[slots[i]], 0) & 1) << i;
        return value;
    }
    void set(uint64_t slot, uint64_t value) { state[slot] = splat(-value); }

    void evaluate();
    void step();

    V *state;

  private:
    static V *allocate(uint64_t vectors) {
        void *memory = aligned_alloc(64, (vectors * sizeof(V) + 63) / 64 * 64 + 64);
        if (!memory) abort();
        memset(memory, 0, vectors * sizeof(V));
        return static_cast<V *>(memory);
    }
    void begin_reads();
    void write(const uint32_t *&at);
    void select(Read &read, const uint32_t *address, uint32_t bits, const uint32_t *chosen,
                uint32_t chosen_count);

    const Plan &plan;
    std::vector<Memory> memories;
    std::vector<Read> reads;
    std::vector<V *> buffers;
    const uint32_t *writes = nullptr;
    uint64_t ports_seen = 0;
};

void Simulation::evaluate() {
    V *const s = state;
    const uint32_t *p = plan.operations, *const end = plan.operations_end;
#define RUN1(NAME, EXPRESSION)                          \
    case NAME:                                          \
        for (; n; n--, p += 2) {                        \
            V a = s[p[1]];                              \
            s[p[0]] = EXPRESSION;                       \
        }                                               \
        break;
#define RUN2(NAME, EXPRESSION)                          \
    case NAME:                                          \
        for (; n; n--, p += 3) {                        \
            V a = s[p[1]], b = s[p[2]];                 \
            s[p[0]] = EXPRESSION;                       \
        }                                               \
        break;
#define RUN3(NAME, EXPRESSION)                          \
    case NAME:                                          \
        for (; n; n--, p += 4) {                        \
            V a = s[p[1]], b = s[p[2]], c = s[p[3]];    \
            s[p[0]] = EXPRESSION;                       \
        }                                               \
        break;
    while (p != end) {
        uint32_t kind = p[0], n = p[1];
        p += 2;
        switch (kind) {
            RUN1(NOT, ~a)
            RUN1(COPY, a)
            RUN2(AND, a & b)
            RUN2(ANDNOT, a & ~b)
            RUN2(NOR, ~(a | b))
            RUN2(OR, a | b)
            RUN2(ORNOT, a | ~b)
            RUN2(NAND, ~(a & b))
            RUN2(XOR, a ^ b)
            RUN2(XNOR, ~(a ^ b))
            RUN3(MUX, b ^ ((b ^ c) & a))
            RUN3(XOR3, a ^ b ^ c)
            RUN3(MAJORITY, (a & b) | (c & (a | b)))
            case ADD:
                for (; n; n--, p += 5) {
                    V a = s[p[2]], b = s[p[3]], c = s[p[4]];
                    s[p[0]] = a ^ b ^ c;
                    s[p[1]] = (a & b) | (c & (a | b));
                }
                break;
        }
    }
}

// A read whose lowest bits of the address differ: of the words that it may mean, each lane's own.
void Simulation::select(Read &read, const uint32_t *address, uint32_t bits, const uint32_t *chosen,
                        uint32_t chosen_count) {
    Memory &memory = *read.memory;
    uint64_t base = 0, differing = 0;
    for (uint32_t i = 0; i < chosen_count; i++) differing |= uint64_t(1) << chosen[i];
    for (uint32_t i = 0; i < bits; i++)
        if (!(differing >> i & 1)) base |= uint64_t(bit(address[i])) << i;
    for (uint32_t i = 0; i < read.width; i++) read.kept[i] = V{};
    std::vector<V> lanes(1, ~V{});  // which lanes mean the word
    for (uint32_t i = chosen_count; i-- > 0;) {
        std::vector<V> next;
        const V &high = state[address[chosen[i]]];
        for (const V &each : lanes) next.push_back(each & ~high), next.push_back(each & high);
        lanes.swap(next);
    }
    for (uint64_t index = 0; index < lanes.size(); index++) {
        uint64_t row = base;
        for (uint32_t i = 0; i < chosen_count; i++) row |= (index >> i & 1) << chosen[i];
        if (row >= memory.depth) continue;
        const uint64_t *words = &memory.rows[row * memory.stride];
        for (uint32_t i = 0; i < read.width; i++)
            if (words[i / 64] >> i % 64 & 1) read.kept[i] |= lanes[index];
    }
}

void Simulation::begin_reads() {
    const uint32_t *p = plan.ports;
    bool first = !ports_seen++;
    unsigned used = 0;
    for (; p != plan.ports_end && *p != WRITE;) {
        uint32_t kind = *p++;
        Memory &memory = memories[*p++];
        bool enabled = bit(*p++);
        uint32_t bits = *p++;
        const uint32_t *address = p;
        p += bits;
        const uint32_t *chosen = nullptr;
        uint32_t chosen_count = 0;
        if (kind == SELECT) chosen_count = *p++, chosen = p, p += chosen_count;
        uint32_t width = *p++;
        if (first) {
            reads.push_back(Read{&memory, 0, p, width, allocate(width), false});
            buffers.push_back(reads.back().kept);
        }
        Read &read = reads[used++];
        read.memory = enabled ? &memory : nullptr;
        read.saved = kind == SELECT;
        if (enabled) {
            if (kind == SELECT)
                select(read, address, bits, chosen, chosen_count);
            else
                read.row = number(address, bits);
        }
        p += width;
    }
    writes = p;
}

void Simulation::write(const uint32_t *&p) {
    Memory &memory = memories[p[1]];
    uint32_t bits = p[2];
    uint64_t row = number(p + 3, bits);
    p += 3 + bits;
    uint32_t width = *p++;
    const uint32_t *pairs = p;
    p += 2 * width;
    bool any = false;
    for (uint32_t i = 0; i < width && !any; i++)
        any = (i && pairs[2 * i] == pairs[2 * i - 2]) ? false : !none(state[pairs[2 * i]]);
    if (!any || row >= memory.depth) return;
    for (Read &read : reads) {  // a read that meets a write gives the old word
        if (read.memory != &memory || read.row != row || read.saved) continue;
        for (uint32_t i = 0; i < read.width; i++)
            read.kept[i] = memory.uniform
                               ? splat(-(memory.rows[row * memory.stride + i / 64] >> i % 64 & 1))
                               : memory.lanes[row * memory.width + i];
        read.saved = true;
    }
    for (uint32_t i = 0; i < width; i++) {
        const V &enable = state[pairs[2 * i]], &data = state[pairs[2 * i + 1]];
        if (memory.uniform) {
            uint64_t &target = memory.rows[row * memory.stride + i / 64];
            if (word(enable, 0) & 1)
                target = (target & ~(uint64_t(1) << i % 64)) | (word(data, 0) & 1) << i % 64;
        } else {
            V &target = memory.lanes[row * memory.width + i];
            target ^= (target ^ data) & enable;
        }
    }
}

// The clock's edge: reads see the words before it, registers the nets before it.
void Simulation::step() {
    V *const s = state;
    begin_reads();
    for (const uint32_t *p = writes; p != plan.ports_end;) write(p);
    for (const uint32_t *p = plan.registers; p != plan.registers_end;) {
        const V enable = s[p[0]];
        uint32_t n = p[1];
        p += 2;
        if (none(enable)) {
            p += 2 * n;
        } else if (every(enable)) {
            for (; n; n--, p += 2) s[p[0]] = s[p[1]];
        } else {
            for (; n; n--, p += 2) s[p[0]] ^= (s[p[0]] ^ s[p[1]]) & enable;
        }
    }
    for (const Read &read : reads) {
        if (!read.memory) continue;
        const Memory &memory = *read.memory;
        if (read.saved) {
            for (uint32_t i = 0; i < read.width; i++) s[read.data[i]] = read.kept[i];
        } else if (read.row >= memory.depth) {
            for (uint32_t i = 0; i < read.width; i++) s[read.data[i]] = V{};
        } else if (memory.uniform) {
            const uint64_t *row = &memory.rows[read.row * memory.stride];
            for (uint32_t i = 0; i < read.width; i++)
                s[read.data[i]] = splat(-(row[i / 64] >> i % 64 & 1));
        } else {
            const V *row = &memory.lanes[read.row * memory.width];
            for (uint32_t i = 0; i < read.width; i++) s[read.data[i]] = row[i];
        }
    }
}

template <class T>
void store(void *to, uint64_t event, const uint64_t *values) {
    T *target = static_cast<T *>(to) + event * LANES;
    for (unsigned lane = 0; lane < LANES; lane++) target[lane] = T(values[lane]);
}

void store(void *to, uint64_t bytes, uint64_t event, const uint64_t *values) {
    if (bytes == 1) store<int8_t>(to, event, values);
    if (bytes == 2) store<int16_t>(to, event, values);
    if (bytes == 4) store<int32_t>(to, event, values);
    if (bytes == 8) store<int64_t>(to, event, values);
}

// A signed number of at most 64 bits a lane, from its bits.
void numbers(const V *state, const uint32_t *slots, unsigned width, uint64_t *values) {
    for (unsigned part = 0; part < WORDS; part++) {
        uint64_t *rows = values + 64 * part;
        for (unsigned i = 0; i < 64; i++)
            rows[i] = word(state[slots[i < width ? i : width - 1]], part);
        transpose(rows);
    }
}

// Where the state is one that was there before, all between repeats, until the input ends.
struct Period {
    struct Mark {
        std::vector<uint64_t> state;
        Reply reply;
        std::vector<uint64_t> layer_cycles;
    };
    std::unordered_map<uint64_t, Mark> marks;
    bool done = false;

    void look(const Simulation &simulation, const Job &job, uint64_t layers, uint64_t waited,
              Reply &reply) {
        if (reply.images < job.traced && reply.images >= job.skip_stop) return;
        std::vector<uint64_t> now;
        uint64_t hash = 0xcbf29ce484222325ull, packed = 0;
        for (uint64_t i = 0; i < job.periodic_count; i++) {
            packed |= uint64_t(simulation.bit(job.periodic[i])) << i % 64;
            if (i % 64 == 63 || i + 1 == job.periodic_count) now.push_back(packed), packed = 0;
        }
        now.push_back(reply.accepted - reply.images * job.inputs);
        now.push_back(reply.emitted - reply.images * (job.results / job.images));
        now.push_back(waited);
        for (uint64_t each : now) hash = (hash ^ each) * 0x100000001b3ull;
        auto found = marks.find(hash);
        if (found == marks.end() || found->second.state != now) {
            std::vector<uint64_t> cycles(job.layer_cycles, job.layer_cycles + layers);
            marks[hash] = Mark{now, reply, cycles};
            return;
        }
        const Mark &mark = found->second;
        uint64_t images = reply.images - mark.reply.images;
        uint64_t elements = reply.accepted - mark.reply.accepted;
        // the last image, whose end is marked, must not have begun
        uint64_t left = job.elements - reply.accepted;
        done = true;
        if (left <= job.inputs + elements) return;
        uint64_t times = (left - job.inputs - 1) / elements;
        if (reply.images < job.traced) {  // up to where sums are asked for, and then again
            uint64_t room = (job.skip_stop - reply.images) / images;
            if (room < times) times = room;
            done = false;
        }
        reply.images += times * images;
        reply.accepted += times * elements;
        reply.emitted += times * (reply.emitted - mark.reply.emitted);
        reply.cycles += times * (reply.cycles - mark.reply.cycles);
        reply.steps += times * (reply.steps - mark.reply.steps);
        for (uint64_t i = 0; i < layers; i++)
            job.layer_cycles[i] += times * (job.layer_cycles[i] - mark.layer_cycles[i]);
        marks.clear();
    }
};

}  // namespace

extern "C" {

// 0: all results came; 1: nothing moved for idle_limit cycles; 2: more came than there is room for;
// 3: stopped; 4: not done after work_limit cycles
int simulate(const Plan *plan, const Streams *streams, const Job *job, Reply *reply) {
    const Streams &io = *streams;
    Simulation simulation(*plan);
    Period period;
    V *const s = simulation.state;
    *reply = Reply{};
    const uint64_t layers = uint64_t(1) << io.layer_width;
    for (uint64_t at = 0; at < job->weight_words; at++) {
        const uint64_t *bits = job->weights + at * ((io.weights_width + 63) / 64);
        for (uint64_t i = 0; i < io.weights_width; i++)
            simulation.set(io.weights[i], bits[i / 64] >> i % 64 & 1);
        simulation.set(io.weights_valid, 1);
        simulation.evaluate();
        simulation.step();
    }
    if (job->weight_words) simulation.set(io.weights_valid, 0);
    simulation.set(io.o_ready, 1);
    uint64_t idle = 0, waited = 0, skipped = 0, simulated = 0;
    uint64_t values[LANES], levels[LANES];
    while (reply->emitted < job->results) {
        bool offered = reply->accepted < job->elements, moved = false, ended = false;
        simulation.set(io.i_valid, offered);
        if (offered) {
            const uint64_t *from = job->codes + reply->accepted * io.code_width * WORDS;
            for (uint64_t i = 0; i < io.code_width; i++, from += WORDS) s[io.code[i]] = load(from);
            simulation.set(io.i_last, reply->accepted + 1 == job->elements);
        }
        simulation.evaluate();
        if (offered && simulation.bit(io.i_ready)) reply->accepted++, moved = true;
        if (simulation.bit(io.o_valid)) {
            bool last = simulation.bit(io.o_last);
            if (last && reply->images == job->images) return 2;
            if (job->levels) {
                uint64_t *level = job->levels + reply->emitted * io.level_width * WORDS;
                for (uint64_t i = 0; i < io.level_width; i++, level += WORDS)
                    memcpy(level, &s[io.level[i]], sizeof(V));
                uint64_t *label = job->labels + reply->images * io.label_width * WORDS;
                for (uint64_t i = 0; last && i < io.label_width; i++, label += WORDS)
                    memcpy(label, &s[io.label[i]], sizeof(V));
            }
            reply->emitted++, reply->images += last, moved = true, ended = last;
        }
        if (simulation.bit(io.step)) reply->steps++, moved = true;
        waited++;  // waiting counts for the layer that is waited for
        if (simulation.bit(io.running)) {
            job->layer_cycles[simulation.number(io.current, io.layer_width)] += waited;
            waited = 0, moved = true;
        }
        const uint32_t *entry = io.entries;
        for (uint64_t chain = 0; chain < io.chains; chain++, entry += 65 + io.entry_width) {
            if (!simulation.bit(entry[0])) continue;
            moved = true;
            uint32_t image = uint32_t(simulation.number(entry + 1, 32)) + uint32_t(skipped);
            uint64_t layer = simulation.number(io.layer, io.layer_width);
            const uint32_t *bits = entry + 65;
            if (io.entry_width) {
                V flag = s[bits[io.sum_width]];
                if (image < job->images) flag &= load(job->masks + image * WORDS);
                job->overflows[layer] += count(flag);
            }
            if (image < job->traced_start || image >= job->traced) continue;
            if (reply->events == job->event_limit) {
                reply->overflowing++;
                continue;
            }
            uint64_t at = reply->events++;
            uint32_t element = uint32_t(simulation.number(entry + 33, 32));
            job->events[at] = Event{reply->cycles, image, element, uint32_t(layer), uint32_t(chain)};
            if (!job->sums) continue;
            numbers(s, bits, io.sum_width, values);
            store(job->sums, job->sum_bytes, at, values);
            unsigned after = io.sum_width + 1;
            numbers(s, bits + after, io.entry_width - after, levels);
            store(job->values, job->level_bytes, at, levels);
            memcpy(job->flags + at * WORDS, &s[bits[io.sum_width]], sizeof(V));
        }
        simulation.step();
        reply->cycles++;
        *job->progress = reply->accepted;
        if (*job->stop) return 3;
        if (ended && job->periodic_count && !period.done) {
            uint64_t before = reply->images;
            period.look(simulation, *job, layers, waited, *reply);
            skipped += reply->images - before;
        }
        idle = moved ? 0 : idle + 1;
        if (idle > job->idle_limit) return 1;
        if (++simulated > job->work_limit) return 4;
    }
    return 0;
}

// Any design: each cycle, `inputs` take the next vectors, and those of `outputs` are kept.
void observe(const Plan *plan, const uint32_t *inputs, uint64_t inputs_count, const uint64_t *given,
             const uint32_t *outputs, uint64_t outputs_count, uint64_t *kept, uint64_t cycles) {
    Simulation simulation(*plan);
    for (; cycles; cycles--) {
        for (uint64_t i = 0; i < inputs_count; i++, given += WORDS)
            simulation.state[inputs[i]] = load(given);
        simulation.evaluate();
        for (uint64_t i = 0; i < outputs_count; i++, kept += WORDS)
            memcpy(kept, &simulation.state[outputs[i]], sizeof(V));
        simulation.step();
    }
}
}
