// Faults in an accelerator, one in each lane.

extern "C" {

// A stream of elements through an accelerator, of which each lane has another fault: they go each their
// own way, and are taken one by one where they are not where the first one is in its streams.
struct Campaign {
    const uint32_t *code, *payload;  // slots, and of each element and result its bits
    uint64_t code_width, payload_width, label_offset;  // the label's bits, which end the payload
    uint64_t i_valid, i_ready, o_valid, o_ready, active;
    const uint64_t *codes, *results;
    uint64_t elements, count, outputs;  // results, and those of an image
    const uint32_t *masks;  // slots, one for each lane but the first
    uint64_t lanes, idle_limit, cycle_limit;
    const volatile uint32_t *stop;
    uint32_t *outcomes;  // of each lane: 0 all results came, 1 a wrong one, 2 no more came, 3 too late
    uint64_t *images;    // of each lane: those that were right
    uint64_t *activated, *strayed;  // vectors
    uint64_t cycles;
};

struct Place {
    uint64_t accepted = 0, emitted = 0, moved = 0;
};

// 0: done; 3: stopped
int campaign(const Plan *plan, Campaign *c) {
    Simulation simulation(*plan);
    V *const s = simulation.state;
    std::vector<Place> places(LANES);
    Place first;  // where the first lane is, and all in step with it
    V alive{}, strays{}, strayed{}, activated{};
    for (unsigned lane = 0; lane < c->lanes; lane++)
        reinterpret_cast<uint64_t *>(&alive)[lane / 64] |= uint64_t(1) << lane % 64;
    const auto set = [&](uint64_t slot, unsigned lane, uint64_t value) {
        uint64_t &target = reinterpret_cast<uint64_t *>(&s[slot])[lane / 64];
        const uint64_t one = uint64_t(1) << lane % 64;
        target = value & 1 ? target | one : target & ~one;
    };
    const auto bit = [&](const V &v, unsigned lane) {
        return reinterpret_cast<const uint64_t *>(&v)[lane / 64] >> lane % 64 & 1;
    };
    const auto one = [](unsigned lane) {
        V v{};
        reinterpret_cast<uint64_t *>(&v)[lane / 64] = uint64_t(1) << lane % 64;
        return v;
    };
    const auto ends = [&](unsigned lane, uint32_t outcome, uint64_t emitted) {
        c->outcomes[lane] = outcome, c->images[lane] = emitted / c->outputs;
        alive &= ~one(lane), strays &= ~one(lane);
    };
    // the bits of a result that count: its label only at the end of an image
    const auto width = [&](uint64_t emitted) {
        return (emitted + 1) % c->outputs ? c->label_offset : c->payload_width;
    };
    simulation.set(c->o_ready, 1);
    for (unsigned lane = 1; lane < c->lanes; lane++) set(c->masks[lane - 1], lane, 1);
    for (c->cycles = 0; !none(alive) && c->cycles < c->cycle_limit; c->cycles++) {
        const bool offered = first.accepted < c->elements;
        const uint64_t code = offered ? c->codes[first.accepted] : 0;
        simulation.set(c->i_valid, offered);
        for (uint64_t i = 0; i < c->code_width; i++) simulation.set(c->code[i], code >> i & 1);
        each_lane(strays, [&](unsigned lane) {
            const bool mine = places[lane].accepted < c->elements;
            const uint64_t own = mine ? c->codes[places[lane].accepted] : 0;
            set(c->i_valid, lane, mine);
            for (uint64_t i = 0; i < c->code_width; i++) set(c->code[i], lane, own >> i);
        });
        simulation.alive = alive;
        simulation.evaluate();
        activated |= s[c->active] & alive;
        const V ready = s[c->i_ready], valid = s[c->o_valid];
        const bool accepts = offered && bit(ready, 0), emits = bit(valid, 0);
        V leave = valid ^ splat(-uint64_t(emits));
        if (offered) leave |= ready ^ splat(-uint64_t(accepts));
        leave &= alive & ~strays;
        each_lane(leave, [&](unsigned lane) { places[lane] = first; });
        strays |= leave, strayed |= leave;
        V wrong{};
        if (emits && first.emitted < c->count)
            for (uint64_t i = 0; i < width(first.emitted); i++)
                wrong |= s[c->payload[i]] ^ splat(-(c->results[first.emitted] >> i & 1));
        else if (emits)
            wrong = ~V{};
        wrong &= alive & ~strays;
        each_lane(wrong, [&](unsigned lane) { ends(lane, 1, first.emitted); });
        each_lane(strays, [&](unsigned lane) {
            Place &place = places[lane];
            if (place.accepted < c->elements && bit(ready, lane))
                place.accepted++, place.moved = c->cycles;
            if (bit(valid, lane)) {
                uint64_t found = 0, bits = width(place.emitted);
                for (uint64_t i = 0; i < bits; i++) found |= bit(s[c->payload[i]], lane) << i;
                const uint64_t mask = bits < 64 ? (uint64_t(1) << bits) - 1 : ~uint64_t(0);
                if (place.emitted == c->count || (found ^ c->results[place.emitted]) & mask)
                    return ends(lane, 1, place.emitted);
                place.emitted++, place.moved = c->cycles;
            }
            if (place.emitted == c->count) return ends(lane, 0, place.emitted);
            if (c->cycles - place.moved > c->idle_limit) ends(lane, 2, place.emitted);
        });
        first.accepted += accepts, first.emitted += emits;
        if (accepts || emits) first.moved = c->cycles;
        each_lane(strays, [&](unsigned lane) {  // back in step
            if (places[lane].accepted == first.accepted && places[lane].emitted == first.emitted)
                strays &= ~one(lane);
        });
        if (first.emitted >= c->count)
            each_lane(alive & ~strays, [&](unsigned lane) { ends(lane, 0, c->count); });
        else if (c->cycles - first.moved > c->idle_limit)
            each_lane(alive & ~strays, [&](unsigned lane) { ends(lane, 2, first.emitted); });
        simulation.step();
        if (*c->stop) return 3;
    }
    const V late = alive & strays;  // at the limit of cycles results still came
    each_lane(alive & ~strays, [&](unsigned lane) { ends(lane, 3, first.emitted); });
    each_lane(late, [&](unsigned lane) { ends(lane, 3, places[lane].emitted); });
    memcpy(c->activated, &activated, sizeof(V));
    memcpy(c->strayed, &strayed, sizeof(V));
    return 0;
}
}
