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
inline bool uniform(const V &v) { return none(v ^ splat(-(word(v, 0) & 1))); }
inline bool every(const V &v) { return none(~v); }
inline unsigned count(const V &v) {
    unsigned total = 0;
    for (unsigned i = 0; i < WORDS; i++) total += __builtin_popcountll(word(v, i));
    return total;
}

// 64 words of 64 bits, mirrored at the diagonal; as many such squares as a vector has words
void transpose(V *rows) {
    uint64_t mask = 0x00000000ffffffffull;
    for (unsigned step = 32; step; step >>= 1, mask ^= mask << step) {
        for (unsigned row = 0; row < 64; row = (row + step + 1) & ~step) {
            V moved = ((rows[row] >> step) ^ rows[row + step]) & mask;
            rows[row] ^= moved << step;
            rows[row + step] ^= moved;
        }
    }
}

// Eight octets, mirrored at the diagonal: octet b has bit b of each
inline uint64_t transpose(uint64_t octets) {
    uint64_t moved = (octets ^ octets >> 7) & 0x00aa00aa00aa00aaull;
    octets ^= moved ^ moved << 7;
    moved = (octets ^ octets >> 14) & 0x0000cccc0000ccccull;
    octets ^= moved ^ moved << 14;
    moved = (octets ^ octets >> 28) & 0x00000000f0f0f0f0ull;
    return octets ^ moved ^ moved << 28;
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
    uint64_t apart;  // addresses and enables of memories may differ between lanes
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
    V *kept;  // of a select, or of a read that meets a write, or of lanes apart
    bool saved;
    V enable;  // of lanes apart
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
    V alive = ~V{};  // lanes whose addresses are looked at, where they may differ

  private:
    static V *allocate(uint64_t vectors) {
        void *memory = aligned_alloc(64, (vectors * sizeof(V) + 63) / 64 * 64 + 64);
        if (!memory) abort();
        memset(memory, 0, vectors * sizeof(V));
        return static_cast<V *>(memory);
    }
    bool lane(const V &v, unsigned at) const {
        return reinterpret_cast<const uint64_t *>(&v)[at / 64] >> at % 64 & 1;
    }
    uint64_t number(const uint32_t *slots, unsigned width, unsigned at) const {
        uint64_t value = 0;
        for (unsigned i = 0; i < width; i++) value |= uint64_t(lane(state[slots[i]], at)) << i;
        return value;
    }
    V elsewhere(const uint32_t *slots, unsigned width) const;
    void begin_reads();
    void read_apart(Read &read, const uint32_t *address, uint32_t bits);
    void write(const uint32_t *&at);
    void write_apart(Memory &memory, const uint32_t *address, uint32_t bits, const uint32_t *pairs,
                     uint32_t width);
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

template <class Do>
void each_lane(const V &lanes, Do what) {
    for (unsigned part = 0; part < WORDS; part++)
        for (uint64_t left = word(lanes, part); left; left &= left - 1)
            what(64 * part + __builtin_ctzll(left));
}

// Lanes with another number than the first one.
V Simulation::elsewhere(const uint32_t *slots, unsigned width) const {
    V differing{};
    for (unsigned i = 0; i < width; i++)
        differing |= state[slots[i]] ^ splat(-(word(state[slots[i]], 0) & 1));
    return differing & alive;
}

// A read of lanes that may mean different words: that of the first lane, and then each other's own.
void Simulation::read_apart(Read &read, const uint32_t *address, uint32_t bits) {
    const Memory &memory = *read.memory;
    const uint64_t row = number(address, bits);
    for (uint32_t i = 0; i < read.width; i++)
        read.kept[i] = row >= memory.depth ? V{}
                       : memory.uniform
                           ? splat(-(memory.rows[row * memory.stride + i / 64] >> i % 64 & 1))
                           : memory.lanes[row * memory.width + i];
    each_lane(elsewhere(address, bits) & read.enable, [&](unsigned at) {
        const uint64_t own = number(address, bits, at), one = uint64_t(1) << at % 64;
        for (uint32_t i = 0; i < read.width; i++) {
            bool value = own < memory.depth &&
                         (memory.uniform
                              ? memory.rows[own * memory.stride + i / 64] >> i % 64 & 1
                              : lane(memory.lanes[own * memory.width + i], at));
            uint64_t &kept = reinterpret_cast<uint64_t *>(&read.kept[i])[at / 64];
            kept = value ? kept | one : kept & ~one;
        }
    });
}

void Simulation::write_apart(Memory &memory, const uint32_t *address, uint32_t bits,
                             const uint32_t *pairs, uint32_t width) {
    const uint64_t row = number(address, bits);
    const V others = elsewhere(address, bits);
    V any{};
    for (uint32_t i = 0; i < width; i++) {
        const V &enable = state[pairs[2 * i]], &data = state[pairs[2 * i + 1]];
        any |= enable;
        if (row >= memory.depth) continue;
        V &target = memory.lanes[row * memory.width + i];
        target ^= (target ^ data) & enable & ~others;
    }
    each_lane(others & any, [&](unsigned at) {
        const uint64_t own = number(address, bits, at), one = uint64_t(1) << at % 64;
        if (own >= memory.depth) return;
        for (uint32_t i = 0; i < width; i++) {
            if (!lane(state[pairs[2 * i]], at)) continue;
            V &row = memory.lanes[own * memory.width + i];
            uint64_t &target = reinterpret_cast<uint64_t *>(&row)[at / 64];
            target = lane(state[pairs[2 * i + 1]], at) ? target | one : target & ~one;
        }
    });
}

void Simulation::begin_reads() {
    const uint32_t *p = plan.ports;
    bool first = !ports_seen++;
    unsigned used = 0;
    for (; p != plan.ports_end && *p != WRITE;) {
        uint32_t kind = *p++;
        Memory &memory = memories[*p++];
        const uint32_t enable = *p++;
        bool enabled = bit(enable);
        uint32_t bits = *p++;
        const uint32_t *address = p;
        p += bits;
        const uint32_t *chosen = nullptr;
        uint32_t chosen_count = 0;
        if (kind == SELECT) chosen_count = *p++, chosen = p, p += chosen_count;
        uint32_t width = *p++;
        if (first) {
            reads.push_back(Read{&memory, 0, p, width, allocate(width), false, ~V{}});
            buffers.push_back(reads.back().kept);
        }
        Read &read = reads[used++];
        if (plan.apart) {
            read.enable = state[enable];
            read.saved = true, read.memory = none(read.enable) ? nullptr : &memory;
            if (read.memory) read_apart(read, address, bits);
            p += width;
            continue;
        }
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
    const uint32_t *address = p + 3;
    uint64_t row = number(address, bits);
    p += 3 + bits;
    uint32_t width = *p++;
    const uint32_t *pairs = p;
    p += 2 * width;
    if (plan.apart) return write_apart(memory, address, bits, pairs, width);
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
        if (plan.apart) {
            for (uint32_t i = 0; i < read.width; i++)
                s[read.data[i]] ^= (s[read.data[i]] ^ read.kept[i]) & read.enable;
        } else if (read.saved) {
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

// Of each lane a number, from its bits: signed ones repeat the last.
struct Numbers {
    V rows[64];
    Numbers(const V *state, const uint32_t *slots, unsigned width) {
        for (unsigned i = 0; i < 64; i++) rows[i] = state[slots[i < width ? i : width - 1]];
        transpose(rows);
    }
    Numbers(const uint64_t *vectors, unsigned width) {
        for (unsigned i = 0; i < 64; i++) rows[i] = i < width ? load(vectors + i * WORDS) : V{};
        transpose(rows);
    }
    template <class T>
    void store(T *target) const {
        const uint64_t *words = reinterpret_cast<const uint64_t *>(rows);
        for (unsigned part = 0; part < WORDS; part++)
            for (unsigned lane = 0; lane < 64; lane++)
                target[64 * part + lane] = T(words[lane * WORDS + part]);
    }
    void store(void *to, uint64_t bytes, uint64_t event) const {
        uint64_t at = event * LANES;
        if (bytes == 1) store(static_cast<int8_t *>(to) + at);
        if (bytes == 2) store(static_cast<int16_t *>(to) + at);
        if (bytes == 4) store(static_cast<int32_t *>(to) + at);
        if (bytes == 8) store(static_cast<int64_t *>(to) + at);
    }
};

}  // namespace

extern "C" {

// Bits of images' elements, a vector each: lane by lane an image, then their next ones. `codes` are
// those of an image after another, of 1, 2, 4 or 8 octets.
void pack(const uint8_t *codes, uint64_t octets, uint64_t images, uint64_t elements, uint64_t lanes,
          uint64_t bits, uint64_t *packed) {
    const uint64_t image_octets = elements * octets;
    for (uint64_t first = 0; first < images; first += lanes) {
        const uint64_t here = images - first < lanes ? images - first : lanes;
        for (uint64_t element = 0; element < elements; element++, packed += bits * WORDS) {
            memset(packed, 0, bits * sizeof(V));
            const uint8_t *from = codes + first * image_octets + element * octets;
            for (uint64_t lane = 0; lane < here; lane += 8)
                for (uint64_t octet = 0; 8 * octet < bits; octet++) {
                    uint64_t eight = 0;
                    for (uint64_t i = 0; i < 8 && lane + i < here; i++)
                        eight |= uint64_t(from[(lane + i) * image_octets + octet]) << 8 * i;
                    eight = transpose(eight);
                    for (uint64_t i = 0; i < 8 && 8 * octet + i < bits; i++)
                        packed[(8 * octet + i) * WORDS + lane / 64] |= (eight >> 8 * i & 255)
                                                                       << lane % 64;
                }
        }
    }
}

// Numbers of `bits` bits, one of each lane, from their vectors.
void unpack(const uint64_t *vectors, uint64_t count, uint64_t bits, int64_t *numbers) {
    for (; count; count--, vectors += bits * WORDS, numbers += LANES)
        Numbers(vectors, bits).store(numbers);
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
