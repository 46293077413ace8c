// Boards at whose pins bytes are exchanged.

extern "C" {

// A board at whose pins `rx` and `tx` a UART is. What it has received, and when `tx` changed, is
// that of all lanes, which are in step where nothing is wrong.
struct Board {
    Simulation simulation;
    uint64_t cycles = 0;
    uint64_t digest = 0xcbf29ce484222325ull;  // of when tx changed, in which lanes: FNV-1a
    V level = ~V{};
    int bit = -1;          // of the byte that is received, -1 while there is none
    uint32_t waiting = 0;  // cycles to the middle of the next bit
    explicit Board(const Plan &plan) : simulation(plan) {}
};

struct Exchange {
    uint64_t rx, tx, bits, divisor;
    const uint64_t *sent;  // bits, a vector each
    uint64_t *received;    // the bits of bytes, a vector each
    uint64_t wanted, limit;
    const volatile uint32_t *stop;
    uint64_t count, cycles, digest;  // bytes that came; of all exchanges
};

Board *board_create(const Plan *plan) { return new Board(*plan); }
void board_destroy(Board *board) { delete board; }

// Sends bits of `divisor` cycles, and goes on until `wanted` bytes came or none came for `limit`
// cycles. 0: done; 1: nothing came; 3: stopped; 4: a byte without stop bit.
int board_exchange(Board *board, Exchange *e) {
    Board &b = *board;
    V *const s = b.simulation.state;
    uint64_t idle = 0, bit = 0;
    uint64_t left = e->divisor;
    int status = 0;
    e->count = 0;
    while (!status && (bit < e->bits || e->count < e->wanted)) {
        s[e->rx] = bit < e->bits ? load(e->sent + bit * WORDS) : ~V{};
        if (bit < e->bits) {
            if (!--left) left = e->divisor, bit++;
            idle = 0;
        }
        b.simulation.evaluate();
        const V tx = s[e->tx], changed = tx ^ b.level;
        if (!none(changed)) {
            b.digest = (b.digest ^ b.cycles) * 0x100000001b3ull;
            for (unsigned i = 0; i < WORDS; i++)
                b.digest = (b.digest ^ word(changed, i)) * 0x100000001b3ull;
            if (b.bit < 0 && !(word(tx, 0) & 1)) b.bit = 0, b.waiting = e->divisor / 2;
            b.level = tx;
        }
        if (b.bit >= 0 && b.waiting-- == 0) {
            b.waiting = e->divisor - 1;
            if (b.bit >= 1 && b.bit <= 8 && e->count < e->wanted)
                memcpy(e->received + (8 * e->count + b.bit - 1) * WORDS, &tx, sizeof(V));
            if (b.bit++ == 9) {
                if (!(word(tx, 0) & 1)) status = 4;
                e->count++, idle = 0, b.bit = -1;
            }
        }
        b.simulation.step();
        b.cycles++;
        if (!status && ++idle > e->limit) status = 1;
        if (*e->stop) status = 3;
    }
    e->cycles = b.cycles, e->digest = b.digest;
    return status;
}
}
