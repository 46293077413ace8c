// Clocks a device that CXXRTL wrote, sends bytes to its pin rx and takes bytes from its pin tx, bit
// by bit, all without leaving C++. DESIGN and DIVISOR are defined on top of this file by
// simulation.py.
#include <cstdint>

namespace {

template <size_t Bits>
bool low_bit(const cxxrtl::value<Bits> &v) { return v.data[0] & 1; }
template <size_t Bits>
bool low_bit(const cxxrtl::wire<Bits> &w) { return w.curr.data[0] & 1; }

// A bit takes `cycles`, which need not be what the device thinks.
struct Sender {
    unsigned bits = 1, left = 0, timer = 0;
    bool idle() const { return left == 0; }
    void load(uint8_t byte) { bits = 0x200u | unsigned(byte) << 1, left = 10, timer = 0; }
    bool step(unsigned cycles) {
        bool level = left == 0 || (bits & 1);
        if (left && ++timer == cycles) timer = 0, bits >>= 1, left--;
        return level;
    }
};

struct Receiver {
    unsigned bits = 0, taken = 0, timer = 0;
    bool busy = false, before = true;
    // true with a byte in `bits`; a byte without its stop bit is dropped
    bool step(bool level) {
        bool edge = before && !level, complete = false;
        before = level;
        if (!busy) {
            if (edge) busy = true, taken = 0, bits = 0, timer = DIVISOR / 2;
            return false;
        }
        if (--timer) return false;
        timer = DIVISOR;
        if (taken == 9) busy = false, complete = level;
        else if (taken) bits |= unsigned(level) << (taken - 1);
        taken++;
        return complete;
    }
};

struct Board {
    cxxrtl_design::DESIGN top;
    Sender sender;
    Receiver receiver;
};

}  // namespace

extern "C" {

struct Exchange {
    const uint8_t *sent;
    uint64_t sent_bytes, taken;  // bytes to send, and those that the line has taken
    uint8_t *received;
    uint64_t room, received_bytes;
    uint64_t cycles;        // at most
    uint64_t run;           // cycles that were run
    uint64_t quiet;         // cycles since a byte was on the line, in either direction
    uint32_t bit_cycles;    // of a bit that is sent
};

Board *board_create() { return new Board; }
void board_destroy(Board *board) { delete board; }

// 0: as asked; 3: combinational loop
int board_run(Board *board, Exchange *exchange) {
    auto &top = board->top;
    exchange->run = exchange->taken = exchange->received_bytes = 0;
    while (exchange->run < exchange->cycles && exchange->received_bytes < exchange->room) {
        if (board->sender.idle() && exchange->taken < exchange->sent_bytes) {
            board->sender.load(exchange->sent[exchange->taken++]);
        }
        bool sending = !board->sender.idle();
        top.p_rx.set<bool>(board->sender.step(exchange->bit_cycles));
        // one evaluation a cycle, as in the accelerator's own loop
        top.p_clk.set<bool>(true);
        if (!top.eval()) return 3;
        if (board->receiver.step(low_bit(top.p_tx))) {
            exchange->received[exchange->received_bytes++] = uint8_t(board->receiver.bits);
        }
        top.commit();
        top.p_clk.set<bool>(false);
        top.prev_p_clk.set<bool>(false);
        exchange->run++;
        exchange->quiet = sending || board->receiver.busy ? 0 : exchange->quiet + 1;
    }
    return 0;
}
}
