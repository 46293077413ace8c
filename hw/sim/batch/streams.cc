// An accelerator: its input stream is fed, its output stream drained and its trace kept.

extern "C" {

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
    uint64_t elements, inputs, images, results, ends, idle_limit, work_limit;  // ends of an image
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
    uint64_t *toggles;                   // of every slot, or none
    const uint64_t *counted;             // lanes whose toggles are counted
    const uint32_t *watched;             // slots of which the cycles are counted in which they are 1
    uint64_t watched_count, *highs;
    const volatile uint32_t *stop;
    volatile uint64_t *progress;
};

struct Reply {
    uint64_t cycles, steps, accepted, emitted, lasts, images, events, overflowing;
};

}

namespace {

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
        reply.lasts += times * (reply.lasts - mark.reply.lasts);
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
// 3: stopped; 4: not done after work_limit cycles; 5: streams of lanes are not in step
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
    std::vector<V> before;
    while (reply->emitted < job->results) {
        bool offered = reply->accepted < job->elements, moved = false, ended = false;
        simulation.set(io.i_valid, offered);
        if (offered) {
            const uint64_t *from = job->codes + reply->accepted * io.code_width * WORDS;
            for (uint64_t i = 0; i < io.code_width; i++, from += WORDS) s[io.code[i]] = load(from);
            simulation.set(io.i_last, reply->accepted + 1 == job->elements);
        }
        simulation.evaluate();
        if (job->toggles) {
            if (!before.empty())
                for (uint64_t slot = 0; slot < plan->slots; slot++)
                    job->toggles[slot] += count((s[slot] ^ before[slot]) & load(job->counted));
            before.assign(s, s + plan->slots);
            for (uint64_t i = 0; i < job->watched_count; i++)
                job->highs[i] += count(s[job->watched[i]] & load(job->counted));
        }
        if (plan->apart && !(uniform(s[io.i_ready]) && uniform(s[io.o_valid]))) return 5;
        if (offered && simulation.bit(io.i_ready)) reply->accepted++, moved = true;
        if (simulation.bit(io.o_valid)) {
            bool last = simulation.bit(io.o_last);
            if (last && reply->images == job->images) return 2;
            if (job->levels) {
                uint64_t *level = job->levels + reply->emitted * io.level_width * WORDS;
                for (uint64_t i = 0; i < io.level_width; i++, level += WORDS)
                    memcpy(level, &s[io.level[i]], sizeof(V));
                uint64_t *label = job->labels + reply->lasts * io.label_width * WORDS;
                for (uint64_t i = 0; last && i < io.label_width; i++, label += WORDS)
                    memcpy(label, &s[io.label[i]], sizeof(V));
            }
            reply->emitted++, reply->lasts += last, moved = true;
            ended = last && reply->lasts % job->ends == 0;
            reply->images += ended;
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
            Numbers(s, bits, io.sum_width).store(job->sums, job->sum_bytes, at);
            unsigned after = io.sum_width + 1;
            Numbers(s, bits + after, io.entry_width - after).store(job->values, job->level_bytes, at);
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
}
