// What Yosys has no model for that can be simulated, as far as narrowgauge uses it.

// A PLL makes a clock of another frequency, which a simulation that counts cycles cannot see.
module SB_PLL40_PAD(input PACKAGEPIN, output PLLOUTCORE, PLLOUTGLOBAL, input EXTFEEDBACK,
    input [7:0] DYNAMICDELAY, output LOCK, input BYPASS, RESETB, LATCHINPUTVALUE, output SDO,
    input SDI, SCLK);
  parameter FEEDBACK_PATH = "SIMPLE", DELAY_ADJUSTMENT_MODE_FEEDBACK = "FIXED",
    DELAY_ADJUSTMENT_MODE_RELATIVE = "FIXED", SHIFTREG_DIV_MODE = 2'b00, FDA_FEEDBACK = 4'b0000,
    FDA_RELATIVE = 4'b0000, PLLOUT_SELECT = "GENCLK", DIVR = 4'b0000, DIVF = 7'b0000000,
    DIVQ = 3'b000, FILTER_RANGE = 3'b000, ENABLE_ICEGATE = 1'b0, TEST_MODE = 1'b0,
    EXTERNAL_DIVIDE_FACTOR = 1;
  assign PLLOUTCORE = PACKAGEPIN, PLLOUTGLOBAL = PACKAGEPIN, LOCK = RESETB, SDO = 1'b0;
endmodule

module SB_PLL40_CORE(input REFERENCECLK, output PLLOUTCORE, PLLOUTGLOBAL, input EXTFEEDBACK,
    input [7:0] DYNAMICDELAY, output LOCK, input BYPASS, RESETB, LATCHINPUTVALUE, output SDO,
    input SDI, SCLK);
  parameter FEEDBACK_PATH = "SIMPLE", DELAY_ADJUSTMENT_MODE_FEEDBACK = "FIXED",
    DELAY_ADJUSTMENT_MODE_RELATIVE = "FIXED", SHIFTREG_DIV_MODE = 2'b00, FDA_FEEDBACK = 4'b0000,
    FDA_RELATIVE = 4'b0000, PLLOUT_SELECT = "GENCLK", DIVR = 4'b0000, DIVF = 7'b0000000,
    DIVQ = 3'b000, FILTER_RANGE = 3'b000, ENABLE_ICEGATE = 1'b0, TEST_MODE = 1'b0,
    EXTERNAL_DIVIDE_FACTOR = 1;
  assign PLLOUTCORE = REFERENCECLK, PLLOUTGLOBAL = REFERENCECLK, LOCK = RESETB, SDO = 1'b0;
endmodule

module EHXPLLL(input CLKI, CLKFB, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG, STDBY,
    PLLWAKESYNC, RST, ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3, output CLKOP, CLKOS, CLKOS2, CLKOS3,
    LOCK, INTLOCK, REFCLK, CLKINTFB);
  parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0,
    CLKOP_ENABLE = "ENABLED", FEEDBK_PATH = "CLKOP";
  assign CLKOP = CLKI, CLKOS = CLKI, CLKOS2 = CLKI, CLKOS3 = CLKI, REFCLK = CLKI;
  assign LOCK = ~RST, INTLOCK = ~RST, CLKINTFB = CLKI;
endmodule

// Nine bits are a unit. Ports of 1, 2 and 4 bits leave the ninth out. With 36 bits, port A writes and
// port B reads, through the lines of both.
module DP16KD(
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", CLKAMUX = "CLKA", CLKBMUX = "CLKB",
    GSR = "AUTO", INIT_DATA = "STATIC", WID = 0;
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 =
      0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0,
      INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F =
      0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0, INITVAL_14 = 0,
      INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0, INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A =
      0, INITVAL_1B = 0, INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0,
      INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 =
      0, INITVAL_26 = 0, INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0,
      INITVAL_2B = 0, INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 =
      0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0,
      INITVAL_36 = 0, INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B =
      0, INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;
  localparam [20479:0] INIT = {INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B,
      INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34,
      INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D,
      INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26,
      INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F,
      INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
      INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11,
      INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
      INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03,
      INITVAL_02, INITVAL_01, INITVAL_00};
  wire [13:0] ada, adb;
  wire [17:0] dia, dib;
  assign ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1,
      ADA0};
  assign adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1,
      ADB0};
  assign dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6,
      DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  assign dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6,
      DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  reg [17:0] doa = 0, dob = 0;
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
      DOA4, DOA3, DOA2, DOA1, DOA0} = doa;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
      DOB4, DOB3, DOB2, DOB1, DOB0} = dob;
  reg [8:0] unit [0:2047];
  integer index;
  initial
    for (index = 0; index < 2048; index = index + 1)
      unit[index] = INIT[(index / 2) * 20 + (index % 2) * 9 +: 9];
  wire ona = CEA & ~CSA2 & ~CSA1 & ~CSA0, onb = CEB & ~CSB2 & ~CSB1 & ~CSB0;
  generate
    if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CSDECODE_A != "0b000" || CSDECODE_B != "0b000" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB" ||
        WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH")
      $error("narrowgauge has no model of a DP16KD in this mode");
    if (DATA_WIDTH_A == 36) begin
      always @(posedge CLKA) if (ona & WEA) begin
        if (ada[0]) unit[{ada[13:5], 2'd0}] <= dia[8:0];
        if (ada[1]) unit[{ada[13:5], 2'd1}] <= dia[17:9];
        if (ada[2]) unit[{ada[13:5], 2'd2}] <= dib[8:0];
        if (ada[3]) unit[{ada[13:5], 2'd3}] <= dib[17:9];
      end
    end else begin
      wire [17:0] olda = {unit[{ada[13:4], 1'b1}], unit[{ada[13:4], 1'b0}]};
      always @(posedge CLKA) if (ona & WEA) begin
        if (DATA_WIDTH_A == 18) begin
          if (ada[0]) unit[{ada[13:4], 1'b0}] <= dia[8:0];
          if (ada[1]) unit[{ada[13:4], 1'b1}] <= dia[17:9];
        end else if (DATA_WIDTH_A == 9) unit[ada[13:3]] <= dia[8:0];
        else if (DATA_WIDTH_A == 4) unit[ada[13:3]][{ada[2], 2'b00} +: 4] <= dia[3:0];
        else if (DATA_WIDTH_A == 2) unit[ada[13:3]][{ada[2:1], 1'b0} +: 2] <= dia[1:0];
        else unit[ada[13:3]][ada[2:0]] <= dia[0];
      end
      always @(posedge CLKA)
        if (RSTA) doa <= 0;
        else if (ona & (~WEA | WRITEMODE_A == "READBEFOREWRITE")) begin
          if (DATA_WIDTH_A == 18) doa <= olda;
          else if (DATA_WIDTH_A == 9) doa <= ada[3] ? olda[17:9] : olda[8:0];
          else if (DATA_WIDTH_A == 4) doa <= (ada[3] ? olda[17:9] : olda[8:0]) >> {ada[2], 2'b00} & 15;
          else if (DATA_WIDTH_A == 2) doa <= (ada[3] ? olda[17:9] : olda[8:0]) >> {ada[2:1], 1'b0} & 3;
          else doa <= (ada[3] ? olda[17:9] : olda[8:0]) >> ada[2:0] & 1;
        end
    end
    if (DATA_WIDTH_B == 36) begin
      always @(posedge CLKB)
        if (RSTB) {dob, doa} <= 0;
        else if (onb)
          {dob, doa} <= {unit[{adb[13:5], 2'd3}], unit[{adb[13:5], 2'd2}],
                         unit[{adb[13:5], 2'd1}], unit[{adb[13:5], 2'd0}]};
    end else begin
      wire [17:0] oldb = {unit[{adb[13:4], 1'b1}], unit[{adb[13:4], 1'b0}]};
      always @(posedge CLKB) if (onb & WEB) begin
        if (DATA_WIDTH_B == 18) begin
          if (adb[0]) unit[{adb[13:4], 1'b0}] <= dib[8:0];
          if (adb[1]) unit[{adb[13:4], 1'b1}] <= dib[17:9];
        end else if (DATA_WIDTH_B == 9) unit[adb[13:3]] <= dib[8:0];
        else if (DATA_WIDTH_B == 4) unit[adb[13:3]][{adb[2], 2'b00} +: 4] <= dib[3:0];
        else if (DATA_WIDTH_B == 2) unit[adb[13:3]][{adb[2:1], 1'b0} +: 2] <= dib[1:0];
        else unit[adb[13:3]][adb[2:0]] <= dib[0];
      end
      always @(posedge CLKB)
        if (RSTB) dob <= 0;
        else if (onb & (~WEB | WRITEMODE_B == "READBEFOREWRITE")) begin
          if (DATA_WIDTH_B == 18) dob <= oldb;
          else if (DATA_WIDTH_B == 9) dob <= adb[3] ? oldb[17:9] : oldb[8:0];
          else if (DATA_WIDTH_B == 4) dob <= (adb[3] ? oldb[17:9] : oldb[8:0]) >> {adb[2], 2'b00} & 15;
          else if (DATA_WIDTH_B == 2) dob <= (adb[3] ? oldb[17:9] : oldb[8:0]) >> {adb[2:1], 1'b0} & 3;
          else dob <= (adb[3] ? oldb[17:9] : oldb[8:0]) >> adb[2:0] & 1;
        end
    end
  endgenerate
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
  wire signed [18:0] a = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6,
      A5, A4, A3, A2, A1, A0};
  wire signed [18:0] b = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6,
      B5, B4, B3, B2, B1, B0};
  wire signed [37:0] p = a * b;
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
      P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
      p[35:0];
  generate
    if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_PIPELINE_CLK != "NONE" ||
        REG_OUTPUT_CLK != "NONE")
      $error("narrowgauge has no model of a MULT18X18D in this mode");
  endgenerate
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
  generate
    if (CLKMUX != "CLK" || LSRMODE == "PRLD" || SRMODE == "ASYNC")
      $error("narrowgauge has no model of a TRELLIS_FF in this mode");
  endgenerate
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
    end else begin
      LUT4 #(.INIT(INITVAL)) lut4(.A(A), .B(B), .C(C), .D(D), .Z(F));
    end
  endgenerate
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
