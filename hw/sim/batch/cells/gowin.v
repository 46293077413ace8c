// Gowin: look-up tables as such, and block RAM and multipliers, of which Yosys has no models. An
// asynchronous reset is 0 at once, and the register from the next edge on.

module LUT1(output F, input I0);
  parameter [1:0] INIT = 0;
  NARROWGAUGE_LUT #(.TABLE({14'b0, INIT})) lut (.A(I0), .B(1'b0), .C(1'b0), .D(1'b0), .Y(F));
endmodule

module LUT2(output F, input I0, I1);
  parameter [3:0] INIT = 0;
  NARROWGAUGE_LUT #(.TABLE({12'b0, INIT})) lut (.A(I0), .B(I1), .C(1'b0), .D(1'b0), .Y(F));
endmodule

module LUT3(output F, input I0, I1, I2);
  parameter [7:0] INIT = 0;
  NARROWGAUGE_LUT #(.TABLE({8'b0, INIT})) lut (.A(I0), .B(I1), .C(I2), .D(1'b0), .Y(F));
endmodule

module LUT4(output F, input I0, I1, I2, I3);
  parameter [15:0] INIT = 0;
  NARROWGAUGE_LUT #(.TABLE(INIT)) lut (.A(I0), .B(I1), .C(I2), .D(I3), .Y(F));
endmodule

module GSR(input GSRI);
endmodule

module rPLL(output CLKOUT, CLKOUTP, CLKOUTD, CLKOUTD3, LOCK, input CLKIN, CLKFB, RESET, RESET_P,
    input [5:0] FBDSEL, IDSEL, ODSEL, input [3:0] PSDA, DUTYDA, FDLY);
  parameter FCLKIN = "100.0", DEVICE = "", DYN_IDIV_SEL = "false", IDIV_SEL = 0,
    DYN_FBDIV_SEL = "false", FBDIV_SEL = 0, DYN_ODIV_SEL = "false", ODIV_SEL = 8, PSDA_SEL = "0000",
    DYN_DA_EN = "false", DUTYDA_SEL = "1000", CLKOUT_FT_DIR = 1, CLKOUTP_FT_DIR = 1,
    CLKOUT_DLY_STEP = 0, CLKOUTP_DLY_STEP = 0, CLKOUTD3_SRC = "CLKOUT", CLKFB_SEL = "internal",
    CLKOUT_BYPASS = "false", CLKOUTP_BYPASS = "false", CLKOUTD_BYPASS = "false",
    DYN_SDIV_SEL = 2, CLKOUTD_SRC = "CLKOUT";
  assign CLKOUT = CLKIN, CLKOUTP = CLKIN, CLKOUTD = CLKIN, CLKOUTD3 = CLKIN, LOCK = ~RESET;
endmodule

// The parameters of block RAM that hold its contents, and the contents.
`define ROWS \
    INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, \
    INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, \
    INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, \
    INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0, \
    INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0, \
    INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0, \
    INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, \
    INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, \
    INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, \
    INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0, \
    INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0, \
    INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0, \
    INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0
`define CONTENTS { \
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, \
    INIT_RAM_39, INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, \
    INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, \
    INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, \
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, \
    INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, \
    INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, \
    INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, \
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, \
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, \
    INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00}

// What a port reads, or what it wrote last where its mode is to show that.
module narrowgauge_through #(parameter WIDTH = 32, MODE = 0)
    (input CLK, RESET, on, WRE, input [WIDTH-1:0] DI, read, output [WIDTH-1:0] DO);
  reg [WIDTH-1:0] written = 0;
  reg through = 0;
  always @(posedge CLK)
    if (RESET) through <= 0;
    else if (on) begin
      if (WRE) written <= DI;
      through <= WRE & MODE == 1;
    end
  assign DO = through ? written : read;
endmodule

// Block RAM with bytes of so many bits: single-port, semi-dual-port, dual-port, read-only.
`define BLOCKS(SP, SDPB, DPB, PROM, BITS) \
module SP(output [4*BITS-1:0] DO, input [4*BITS-1:0] DI, input [2:0] BLKSEL, input [13:0] AD, \
    input WRE, CLK, CE, OCE, RESET); \
  parameter READ_MODE = 1'b0, BIT_WIDTH = 4 * BITS, BLK_SEL = 3'b000, RESET_MODE = "SYNC"; \
  parameter [1:0] WRITE_MODE = 2'b00; \
  parameter [32*BITS-1:0] `ROWS; \
  wire on = CE & BLKSEL == BLK_SEL; \
  wire [4*BITS-1:0] read, shown; \
  narrowgauge_block #(.UNIT(BITS), .WIDTHA(BIT_WIDTH), .INIT(`CONTENTS)) block \
      (.CLKA(CLK), .CLKB(CLK), .REA(on & (~WRE | WRITE_MODE == 2)), .REB(1'b0), .WEA(on & WRE), \
       .WEB(1'b0), .RSTA(RESET), .RSTB(1'b0), .ADA(AD), .ADB(14'b0), .DIA(DI), .DIB({4*BITS{1'b0}}), \
       .DOA(read)); \
  narrowgauge_through #(.WIDTH(4 * BITS), .MODE(WRITE_MODE)) through \
      (.CLK(CLK), .RESET(RESET), .on(on), .WRE(WRE), .DI(DI), .read(read), .DO(shown)); \
  assign DO = RESET_MODE == "ASYNC" & RESET ? 0 : shown; \
  narrowgauge_only #("READ_MODE", READ_MODE, 0) only_read_mode (); \
  narrowgauge_only #("WRITE_MODE", WRITE_MODE, 0, 1, 2) only_write_mode (); \
  narrowgauge_only #("RESET_MODE", RESET_MODE, "SYNC", "ASYNC") only_reset_mode (); \
endmodule \
 \
module SDPB(output [4*BITS-1:0] DO, input [4*BITS-1:0] DI, input [2:0] BLKSELA, BLKSELB, \
    input [13:0] ADA, ADB, input CLKA, CLKB, CEA, CEB, OCE, RESETA, RESETB); \
  parameter READ_MODE = 1'b0, BIT_WIDTH_0 = 4 * BITS, BIT_WIDTH_1 = 4 * BITS, \
    BLK_SEL_0 = 3'b000, BLK_SEL_1 = 3'b000, RESET_MODE = "SYNC"; \
  parameter [32*BITS-1:0] `ROWS; \
  wire [4*BITS-1:0] read; \
  narrowgauge_block #(.UNIT(BITS), .WIDTHA(BIT_WIDTH_0), .WIDTHB(BIT_WIDTH_1), \
      .INIT(`CONTENTS)) block \
      (.CLKA(CLKA), .CLKB(CLKB), .REA(1'b0), .REB(CEB & BLKSELB == BLK_SEL_1), \
       .WEA(CEA & BLKSELA == BLK_SEL_0), .WEB(1'b0), .RSTA(RESETA), .RSTB(RESETB), .ADA(ADA), \
       .ADB(ADB), .DIA(DI), .DIB({4*BITS{1'b0}}), .DOB(read)); \
  assign DO = RESET_MODE == "ASYNC" & RESETB ? 0 : read; \
  narrowgauge_only #("READ_MODE", READ_MODE, 0) only_read_mode (); \
  narrowgauge_only #("RESET_MODE", RESET_MODE, "SYNC", "ASYNC") only_reset_mode (); \
endmodule \
 \
module DPB(output [2*BITS-1:0] DOA, DOB, input [2*BITS-1:0] DIA, DIB, \
    input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB, \
    input WREA, WREB, CLKA, CLKB, CEA, CEB, OCEA, OCEB, RESETA, RESETB); \
  parameter READ_MODE0 = 1'b0, READ_MODE1 = 1'b0, BIT_WIDTH_0 = 2 * BITS, \
    BIT_WIDTH_1 = 2 * BITS, BLK_SEL_0 = 3'b000, BLK_SEL_1 = 3'b000, RESET_MODE = "SYNC"; \
  parameter [1:0] WRITE_MODE0 = 2'b00, WRITE_MODE1 = 2'b00; \
  parameter [32*BITS-1:0] `ROWS; \
  wire ona = CEA & BLKSELA == BLK_SEL_0, onb = CEB & BLKSELB == BLK_SEL_1; \
  wire [4*BITS-1:0] qa, qb; \
  wire [2*BITS-1:0] showna, shownb; \
  narrowgauge_block #(.UNIT(BITS), .WIDTHA(BIT_WIDTH_0), .WIDTHB(BIT_WIDTH_1), \
      .INIT(`CONTENTS)) block \
      (.CLKA(CLKA), .CLKB(CLKB), .REA(ona & (~WREA | WRITE_MODE0 == 2)), \
       .REB(onb & (~WREB | WRITE_MODE1 == 2)), .WEA(ona & WREA), .WEB(onb & WREB), .RSTA(RESETA), \
       .RSTB(RESETB), .ADA(ADA), .ADB(ADB), .DIA({{2*BITS{1'b0}}, DIA}), \
       .DIB({{2*BITS{1'b0}}, DIB}), .DOA(qa), .DOB(qb)); \
  narrowgauge_through #(.WIDTH(2 * BITS), .MODE(WRITE_MODE0)) througha (.CLK(CLKA), \
      .RESET(RESETA), .on(ona), .WRE(WREA), .DI(DIA), .read(qa[2*BITS-1:0]), .DO(showna)); \
  narrowgauge_through #(.WIDTH(2 * BITS), .MODE(WRITE_MODE1)) throughb (.CLK(CLKB), \
      .RESET(RESETB), .on(onb), .WRE(WREB), .DI(DIB), .read(qb[2*BITS-1:0]), .DO(shownb)); \
  assign DOA = RESET_MODE == "ASYNC" & RESETA ? 0 : showna; \
  assign DOB = RESET_MODE == "ASYNC" & RESETB ? 0 : shownb; \
  narrowgauge_only #("READ_MODE0", READ_MODE0, 0) only_read_mode0 (); \
  narrowgauge_only #("READ_MODE1", READ_MODE1, 0) only_read_mode1 (); \
  narrowgauge_only #("WRITE_MODE0", WRITE_MODE0, 0, 1, 2) only_write_mode0 (); \
  narrowgauge_only #("WRITE_MODE1", WRITE_MODE1, 0, 1, 2) only_write_mode1 (); \
  narrowgauge_only #("RESET_MODE", RESET_MODE, "SYNC", "ASYNC") only_reset_mode (); \
endmodule \
 \
module PROM(output [4*BITS-1:0] DO, input [13:0] AD, input CLK, CE, OCE, RESET); \
  parameter READ_MODE = 1'b0, BIT_WIDTH = 4 * BITS, RESET_MODE = "SYNC"; \
  parameter [32*BITS-1:0] `ROWS; \
  wire [4*BITS-1:0] read; \
  narrowgauge_block #(.UNIT(BITS), .WIDTHA(BIT_WIDTH), .INIT(`CONTENTS)) block \
      (.CLKA(CLK), .CLKB(CLK), .REA(CE), .REB(1'b0), .WEA(1'b0), .WEB(1'b0), .RSTA(RESET), \
       .RSTB(1'b0), .ADA(AD), .ADB(14'b0), .DIA({4*BITS{1'b0}}), .DIB({4*BITS{1'b0}}), .DOA(read)); \
  assign DO = RESET_MODE == "ASYNC" & RESET ? 0 : read; \
  narrowgauge_only #("READ_MODE", READ_MODE, 0) only_read_mode (); \
  narrowgauge_only #("RESET_MODE", RESET_MODE, "SYNC", "ASYNC") only_reset_mode (); \
endmodule

`BLOCKS(SP, SDPB, DPB, pROM, 8)
`BLOCKS(SPX9, SDPX9B, DPX9B, pROMX9, 9)

// Multipliers without registers: that is how Yosys infers them.
`define MULTIPLIER(NAME, WIDTH) \
module NAME(input [WIDTH-1:0] A, B, SIA, SIB, input ASEL, BSEL, ASIGN, BSIGN, CE, CLK, RESET, \
    output [2*WIDTH-1:0] DOUT, output [WIDTH-1:0] SOA, SOB); \
  parameter AREG = 1'b0, BREG = 1'b0, OUT_REG = 1'b0, PIPE_REG = 1'b0, \
    ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, SOA_REG = 1'b0, MULT_RESET_MODE = "SYNC"; \
  wire [WIDTH-1:0] x = ASEL ? SIA : A, y = BSEL ? SIB : B; \
  wire signed [WIDTH:0] a = {ASIGN & x[WIDTH-1], x}, b = {BSIGN & y[WIDTH-1], y}; \
  wire signed [2*WIDTH+1:0] product = a * b; \
  assign DOUT = product; \
  narrowgauge_only #("AREG", AREG, 0) only_areg (); \
  narrowgauge_only #("BREG", BREG, 0) only_breg (); \
  narrowgauge_only #("OUT_REG", OUT_REG, 0) only_out_reg (); \
  narrowgauge_only #("PIPE_REG", PIPE_REG, 0) only_pipe_reg (); \
  narrowgauge_only #("ASIGN_REG", ASIGN_REG, 0) only_asign_reg (); \
  narrowgauge_only #("BSIGN_REG", BSIGN_REG, 0) only_bsign_reg (); \
  narrowgauge_only #("SOA_REG", SOA_REG, 0) only_soa_reg (); \
endmodule

`MULTIPLIER(MULT9X9, 9)
`MULTIPLIER(MULT18X18, 18)

module MULT36X36(input [35:0] A, B, input ASIGN, BSIGN,
    CE, CLK, RESET, output [71:0] DOUT);
  parameter AREG = 1'b0, BREG = 1'b0, OUT0_REG = 1'b0, OUT1_REG = 1'b0, PIPE_REG = 1'b0,
    ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, MULT_RESET_MODE = "SYNC";
  wire signed [36:0] a = {ASIGN & A[35], A}, b = {BSIGN & B[35], B};
  wire signed [73:0] product = a * b;
  assign DOUT = product;
  narrowgauge_only #("AREG", AREG, 0) only_areg ();
  narrowgauge_only #("BREG", BREG, 0) only_breg ();
  narrowgauge_only #("OUT0_REG", OUT0_REG, 0) only_out0_reg ();
  narrowgauge_only #("OUT1_REG", OUT1_REG, 0) only_out1_reg ();
  narrowgauge_only #("PIPE_REG", PIPE_REG, 0) only_pipe_reg ();
  narrowgauge_only #("ASIGN_REG", ASIGN_REG, 0) only_asign_reg ();
  narrowgauge_only #("BSIGN_REG", BSIGN_REG, 0) only_bsign_reg ();
endmodule
