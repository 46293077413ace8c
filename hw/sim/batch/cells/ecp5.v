// ECP5: what Yosys has no models of, or none that are the best for the batch engine.

module LUT2(input A, B, output Z);
  parameter [3:0] INIT = 0;
  NARROWGAUGE_LUT #(.TABLE({12'b0, INIT})) lut (.A(A), .B(B), .C(1'b0), .D(1'b0), .Y(Z));
endmodule

module LUT4(input A, B, C, D, output Z);
  parameter [15:0] INIT = 0;
  NARROWGAUGE_LUT #(.TABLE(INIT)) lut (.A(A), .B(B), .C(C), .D(D), .Y(Z));
endmodule

// A port of 36 bits has the lines of both: A writes, B reads. An asynchronous reset is 0 at once, and
// the register from the next edge on.
module DP16KD(
    input
      DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
      DIA3, DIA2, DIA1, DIA0,
      DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
      DIB3, DIB2, DIB1, DIB0,
      ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
      ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
      CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0, CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output
      DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
      DOA3, DOA2, DOA1, DOA0,
      DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
      DOB3, DOB2, DOB1, DOB0);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", CLKAMUX = "CLKA", CLKBMUX = "CLKB",
    GSR = "AUTO", INIT_DATA = "STATIC", WID = 0;
  parameter [319:0]
      INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 = 0, INITVAL_05 =
      0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0,
      INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0, INITVAL_10 =
      0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 = 0,
      INITVAL_16 = 0, INITVAL_17 = 0, INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B =
      0, INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0,
      INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 =
      0, INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0,
      INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0, INITVAL_31 =
      0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0,
      INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0, INITVAL_3C =
      0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;
  function [287:0] units(input [319:0] v);  // two of 9 bits in every 20
    units = {v[317:300], v[297:280], v[277:260], v[257:240], v[237:220], v[217:200], v[197:180],
        v[177:160], v[157:140], v[137:120], v[117:100], v[97:80], v[77:60], v[57:40], v[37:20],
        v[17:0]};
  endfunction
  localparam [18431:0] INIT = {
      units(INITVAL_3F), units(INITVAL_3E), units(INITVAL_3D), units(INITVAL_3C),
      units(INITVAL_3B), units(INITVAL_3A), units(INITVAL_39), units(INITVAL_38),
      units(INITVAL_37), units(INITVAL_36), units(INITVAL_35), units(INITVAL_34),
      units(INITVAL_33), units(INITVAL_32), units(INITVAL_31), units(INITVAL_30),
      units(INITVAL_2F), units(INITVAL_2E), units(INITVAL_2D), units(INITVAL_2C),
      units(INITVAL_2B), units(INITVAL_2A), units(INITVAL_29), units(INITVAL_28),
      units(INITVAL_27), units(INITVAL_26), units(INITVAL_25), units(INITVAL_24),
      units(INITVAL_23), units(INITVAL_22), units(INITVAL_21), units(INITVAL_20),
      units(INITVAL_1F), units(INITVAL_1E), units(INITVAL_1D), units(INITVAL_1C),
      units(INITVAL_1B), units(INITVAL_1A), units(INITVAL_19), units(INITVAL_18),
      units(INITVAL_17), units(INITVAL_16), units(INITVAL_15), units(INITVAL_14),
      units(INITVAL_13), units(INITVAL_12), units(INITVAL_11), units(INITVAL_10),
      units(INITVAL_0F), units(INITVAL_0E), units(INITVAL_0D), units(INITVAL_0C),
      units(INITVAL_0B), units(INITVAL_0A), units(INITVAL_09), units(INITVAL_08),
      units(INITVAL_07), units(INITVAL_06), units(INITVAL_05), units(INITVAL_04),
      units(INITVAL_03), units(INITVAL_02), units(INITVAL_01), units(INITVAL_00)};
  wire ona = CEA & ~CSA2 & ~CSA1 & ~CSA0, onb = CEB & ~CSB2 & ~CSB1 & ~CSB0;
  wire [35:0] da = {
      DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
      DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8,
      DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [35:0] db = {
      DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
      DIB3, DIB2, DIB1, DIB0};
  wire [35:0] reada, readb;
  wire [35:0] qa = RESETMODE == "ASYNC" & RSTA ? 0 : reada;
  wire [35:0] qb = RESETMODE == "ASYNC" & RSTB ? 0 : readb;
  narrowgauge_block #(.UNIT(9), .WIDTHA(DATA_WIDTH_A), .WIDTHB(DATA_WIDTH_B), .INIT(INIT)) block
      (.CLKA(CLKA), .CLKB(CLKB), .REA(ona & (~WEA | WRITEMODE_A == "READBEFOREWRITE")),
       .REB(onb & (~WEB | WRITEMODE_B == "READBEFOREWRITE")), .WEA(ona & WEA), .WEB(onb & WEB),
       .RSTA(RSTA), .RSTB(RSTB), .DIA(da), .DIB(db), .DOA(reada), .DOB(readb), .ADA({
      ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0}),
      .ADB({
      ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0}));
  assign {
      DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
      DOB3, DOB2, DOB1, DOB0} =
      DATA_WIDTH_B == 36 ? qb[35:18] : qb[17:0];
  assign {
      DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
      DOA3, DOA2, DOA1, DOA0} =
      DATA_WIDTH_B == 36 ? qb[17:0] : qa[17:0];
  narrowgauge_only #("REGMODE_A", REGMODE_A, "NOREG") only_regmode_a ();
  narrowgauge_only #("REGMODE_B", REGMODE_B, "NOREG") only_regmode_b ();
  narrowgauge_only #("RESETMODE", RESETMODE, "SYNC", "ASYNC") only_resetmode ();
  narrowgauge_only #("CSDECODE_A", CSDECODE_A, "0b000") only_csdecode_a ();
  narrowgauge_only #("CSDECODE_B", CSDECODE_B, "0b000") only_csdecode_b ();
  narrowgauge_only #("WRITEMODE_A", WRITEMODE_A, "NORMAL", "READBEFOREWRITE") only_writemode_a ();
  narrowgauge_only #("WRITEMODE_B", WRITEMODE_B, "NORMAL", "READBEFOREWRITE") only_writemode_b ();
  narrowgauge_only #("CLKAMUX", CLKAMUX, "CLKA") only_clkamux ();
  narrowgauge_only #("CLKBMUX", CLKBMUX, "CLKB") only_clkbmux ();
endmodule

module EHXPLLL(input CLKI, CLKFB, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG, STDBY,
    PLLWAKESYNC, RST, ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3, output CLKOP, CLKOS, CLKOS2, CLKOS3,
    LOCK, INTLOCK, REFCLK, CLKINTFB);
  parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0,
    CLKOP_ENABLE = "ENABLED", FEEDBK_PATH = "CLKOP";
  assign CLKOP = CLKI, CLKOS = CLKI, CLKOS2 = CLKI, CLKOS3 = CLKI, REFCLK = CLKI;
  assign LOCK = ~RST, INTLOCK = ~RST, CLKINTFB = CLKI;
endmodule

// Without registers: that is how Yosys infers it.
module MULT18X18D(
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input CLK0, CLK1, CLK2, CLK3, CE0, CE1, CE2, CE3, RST0, RST1, RST2, RST3,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
        P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_PIPELINE_CLK = "NONE",
    REG_OUTPUT_CLK = "NONE", WID = 0;
  wire [17:0] SRIA, SRIB;  // of a neighbour; nothing drives them here, so they are refused
  wire [17:0] x = SOURCEA ? SRIA : {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4,
      A3, A2, A1, A0};
  wire [17:0] y = SOURCEB ? SRIB : {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4,
      B3, B2, B1, B0};
  wire signed [18:0] a = {SIGNEDA & x[17], x}, b = {SIGNEDB & y[17], y};
  wire signed [37:0] p = a * b;
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
      P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
      p[35:0];
  narrowgauge_only #("REG_INPUTA_CLK", REG_INPUTA_CLK, "NONE") only_reg_inputa_clk ();
  narrowgauge_only #("REG_INPUTB_CLK", REG_INPUTB_CLK, "NONE") only_reg_inputb_clk ();
  narrowgauge_only #("REG_PIPELINE_CLK", REG_PIPELINE_CLK, "NONE") only_reg_pipeline_clk ();
  narrowgauge_only #("REG_OUTPUT_CLK", REG_OUTPUT_CLK, "NONE") only_reg_output_clk ();
endmodule

// What follows is found after nextpnr only. A register may take its input beside the LUT, at M.
module TRELLIS_FF(input CLK, LSR, CE, DI, M, output reg Q);
  parameter GSR = "ENABLED", CLKMUX = "CLK", LSRMUX = "LSR", SRMODE = "LSR_OVER_CE",
    REGSET = "RESET", SD = "1";
  parameter [127:0] CEMUX = "1", LSRMODE = "LSR";
  localparam value = REGSET == "SET";
  wire enable = CEMUX == "1" ? 1'b1 : CEMUX == "0" ? 1'b0 : CEMUX == "INV" ? ~CE : CE;
  wire reset = LSRMUX == "INV" ? ~LSR : LSR;
  wire next = SD == "0" ? M : DI;
  initial Q = value;
  narrowgauge_only #("CLKMUX", CLKMUX, "CLK") only_clkmux ();
  narrowgauge_only #("LSRMUX", LSRMUX, "LSR", "INV") only_lsrmux ();
  narrowgauge_only #("CEMUX", CEMUX, "CE", "INV", "0", "1") only_cemux ();
  narrowgauge_only #("LSRMODE", LSRMODE, "LSR") only_lsrmode ();
  narrowgauge_only #("SRMODE", SRMODE, "LSR_OVER_CE") only_srmode ();
  narrowgauge_only #("REGSET", REGSET, "RESET", "SET") only_regset ();
  always @(posedge CLK)
    if (reset) Q <= value;
    else if (enable) Q <= next;
endmodule

// As Yosys's, whose carry output has no driver.
module TRELLIS_COMB(input A, B, C, D, M, FCI, F1, FXA, FXB, WD, WAD0, WAD1, WAD2, WAD3, WRE, WCK,
    output F, FCO, OFX);
  parameter MODE = "LOGIC", CCU2_INJECT1 = "NO", WREMUX = "WRE", WCKMUX = "WCK", IS_Z1 = 1'b0;
  parameter [15:0] INITVAL = 16'h0;
  generate
    if (MODE == "CCU2") begin
      wire out4, out2;
      LUT4 #(.INIT(INITVAL)) lut4(.A(A), .B(B), .C(C), .D(D), .Z(out4));
      LUT2 #(.INIT(INITVAL[3:0])) lut2(.A(A), .B(B), .Z(out2));
      assign F = out4 ^ (CCU2_INJECT1 == "YES" ? 1'b0 : FCI);
      assign FCO = ~out4 & (CCU2_INJECT1 == "YES" ? 1'b0 : out2) | out4 & FCI;
    end else if (MODE == "DPRAM") begin
      reg [15:0] ram = INITVAL;
      wire write = WREMUX == "INV" ? ~WRE : WREMUX == "1" ? 1'b1 : WREMUX == "0" ? 1'b0 : WRE;
      always @(posedge WCK) if (write) ram[{WAD3, WAD2, WAD1, WAD0}] <= WD;
      assign F = ram[{A, C, B, D}];
      narrowgauge_only #("WCKMUX", WCKMUX, "WCK") only_wckmux ();
      narrowgauge_only #("WREMUX", WREMUX, "WRE", "INV", "0", "1") only_wremux ();
    end else if (MODE == "LOGIC") begin
      LUT4 #(.INIT(INITVAL)) lut4(.A(A), .B(B), .C(C), .D(D), .Z(F));
    end
  endgenerate
  narrowgauge_only #("MODE", MODE, "LOGIC", "CCU2", "DPRAM", "RAMW_BLOCK") only_mode ();
  assign OFX = IS_Z1 ? (M ? FXB : FXA) : (M ? F1 : F);
endmodule

module TRELLIS_RAMW(input A0, B0, C0, D0, A1, B1, C1, D1,
    output WDO0, WDO1, WDO2, WDO3, WADO0, WADO1, WADO2, WADO3);
  assign {WADO3, WADO2, WADO1, WADO0} = {A0, C0, B0, D0};
  assign {WDO3, WDO2, WDO1, WDO0} = {B1, D1, A1, C1};
endmodule

module DCCA(input CLKI, CE, output CLKO);
  assign CLKO = CLKI;
endmodule
