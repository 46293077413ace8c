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

module SP(output [31:0] DO, input [31:0] DI, input [2:0] BLKSEL, input [13:0] AD,
    input WRE, CLK, CE, OCE, RESET);
  parameter READ_MODE = 1'b0, BIT_WIDTH = 32, BLK_SEL = 3'b000, RESET_MODE = "SYNC";
  parameter [1:0] WRITE_MODE = 2'b00;
  parameter [255:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire on = CE & BLKSEL == BLK_SEL;
  wire [31:0] read, unused;
  reg [31:0] written = 0;
  reg through = 0;  // what was written last is read
  always @(posedge CLK)
    if (RESET) through <= 0;
    else if (on) begin
      if (WRE) written <= DI;
      through <= WRE & WRITE_MODE == 1;
    end
  assign DO = RESET_MODE == "ASYNC" & RESET ? 0 : through ? written : read;
  narrowgauge_block #(.UNIT(8), .WIDTHA(BIT_WIDTH), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLK), .CLKB(CLK), .REA(on & (~WRE | WRITE_MODE == 2)), .REB(1'b0), .WEA(on & WRE),
       .WEB(1'b0), .RSTA(RESET), .RSTB(1'b0), .ADA(AD), .ADB(14'b0), .DIA(DI), .DIB(32'b0),
       .DOA(read), .DOB(unused));
  generate
    if (READ_MODE != 0)
      $error("narrowgauge has no model of a SP in this mode");
  endgenerate
endmodule

module SDPB(output [31:0] DO, input [31:0] DI, input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB, input CLKA, CLKB, CEA, CEB, OCE, RESETA, RESETB);
  parameter READ_MODE = 1'b0, BIT_WIDTH_0 = 32, BIT_WIDTH_1 = 32, BLK_SEL_0 = 3'b000,
    BLK_SEL_1 = 3'b000, RESET_MODE = "SYNC";
  parameter [255:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire [31:0] read, unused;
  assign DO = RESET_MODE == "ASYNC" & RESETB ? 0 : read;
  narrowgauge_block #(.UNIT(8), .WIDTHA(BIT_WIDTH_0), .WIDTHB(BIT_WIDTH_1), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLKA), .CLKB(CLKB), .REA(1'b0), .REB(CEB & BLKSELB == BLK_SEL_1),
       .WEA(CEA & BLKSELA == BLK_SEL_0), .WEB(1'b0), .RSTA(RESETA), .RSTB(RESETB), .ADA(ADA),
       .ADB(ADB), .DIA(DI), .DIB(32'b0), .DOA(unused), .DOB(read));
  generate
    if (READ_MODE != 0)
      $error("narrowgauge has no model of a SDPB in this mode");
  endgenerate
endmodule

module DPB(output [15:0] DOA, DOB, input [15:0] DIA, DIB,
    input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,
    input WREA, WREB, CLKA, CLKB, CEA, CEB, OCEA, OCEB, RESETA, RESETB);
  parameter READ_MODE0 = 1'b0, READ_MODE1 = 1'b0, BIT_WIDTH_0 = 16, BIT_WIDTH_1 = 16,
    BLK_SEL_0 = 3'b000, BLK_SEL_1 = 3'b000, RESET_MODE = "SYNC";
  parameter [1:0] WRITE_MODE0 = 2'b00, WRITE_MODE1 = 2'b00;
  parameter [255:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire ona = CEA & BLKSELA == BLK_SEL_0, onb = CEB & BLKSELB == BLK_SEL_1;
  wire [31:0] qa, qb;
  narrowgauge_block #(.UNIT(8), .WIDTHA(BIT_WIDTH_0), .WIDTHB(BIT_WIDTH_1), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLKA), .CLKB(CLKB), .REA(ona & ~WREA), .REB(onb & ~WREB), .WEA(ona & WREA),
       .WEB(onb & WREB), .RSTA(RESETA), .RSTB(RESETB), .ADA(ADA), .ADB(ADB), .DIA({16'b0, DIA}),
       .DIB({16'b0, DIB}), .DOA(qa), .DOB(qb));
  reg [15:0] lasta = 0, lastb = 0;
  reg througha = 0, throughb = 0;  // what was written last is read
  always @(posedge CLKA)
    if (RESETA) througha <= 0;
    else if (ona) begin
      if (WREA) lasta <= DIA;
      througha <= WREA & WRITE_MODE0 == 1;
    end
  always @(posedge CLKB)
    if (RESETB) throughb <= 0;
    else if (onb) begin
      if (WREB) lastb <= DIB;
      throughb <= WREB & WRITE_MODE1 == 1;
    end
  assign DOA = RESET_MODE == "ASYNC" & RESETA ? 0 : througha ? lasta : qa;
  assign DOB = RESET_MODE == "ASYNC" & RESETB ? 0 : throughb ? lastb : qb;
  generate
    if (READ_MODE0 != 0 || READ_MODE1 != 0)
      $error("narrowgauge has no model of a DPB in this mode");
  endgenerate
endmodule

module pROM(output [31:0] DO, input [13:0] AD, input CLK, CE, OCE, RESET);
  parameter READ_MODE = 1'b0, BIT_WIDTH = 32, RESET_MODE = "SYNC";
  parameter [255:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire [31:0] read, unused;
  assign DO = RESET_MODE == "ASYNC" & RESET ? 0 : read;
  narrowgauge_block #(.UNIT(8), .WIDTHA(BIT_WIDTH), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLK), .CLKB(CLK), .REA(CE), .REB(1'b0), .WEA(1'b0), .WEB(1'b0), .RSTA(RESET),
       .RSTB(1'b0), .ADA(AD), .ADB(14'b0), .DIA(32'b0), .DIB(32'b0), .DOA(read), .DOB(unused));
  generate
    if (READ_MODE != 0)
      $error("narrowgauge has no model of a pROM in this mode");
  endgenerate
endmodule

module SPX9(output [35:0] DO, input [35:0] DI, input [2:0] BLKSEL, input [13:0] AD,
    input WRE, CLK, CE, OCE, RESET);
  parameter READ_MODE = 1'b0, BIT_WIDTH = 36, BLK_SEL = 3'b000, RESET_MODE = "SYNC";
  parameter [1:0] WRITE_MODE = 2'b00;
  parameter [287:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire on = CE & BLKSEL == BLK_SEL;
  wire [35:0] read, unused;
  reg [35:0] written = 0;
  reg through = 0;  // what was written last is read
  always @(posedge CLK)
    if (RESET) through <= 0;
    else if (on) begin
      if (WRE) written <= DI;
      through <= WRE & WRITE_MODE == 1;
    end
  assign DO = RESET_MODE == "ASYNC" & RESET ? 0 : through ? written : read;
  narrowgauge_block #(.UNIT(9), .WIDTHA(BIT_WIDTH), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLK), .CLKB(CLK), .REA(on & (~WRE | WRITE_MODE == 2)), .REB(1'b0), .WEA(on & WRE),
       .WEB(1'b0), .RSTA(RESET), .RSTB(1'b0), .ADA(AD), .ADB(14'b0), .DIA(DI), .DIB(36'b0),
       .DOA(read), .DOB(unused));
  generate
    if (READ_MODE != 0)
      $error("narrowgauge has no model of a SPX9 in this mode");
  endgenerate
endmodule

module SDPX9B(output [35:0] DO, input [35:0] DI, input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB, input CLKA, CLKB, CEA, CEB, OCE, RESETA, RESETB);
  parameter READ_MODE = 1'b0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, BLK_SEL_0 = 3'b000,
    BLK_SEL_1 = 3'b000, RESET_MODE = "SYNC";
  parameter [287:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire [35:0] read, unused;
  assign DO = RESET_MODE == "ASYNC" & RESETB ? 0 : read;
  narrowgauge_block #(.UNIT(9), .WIDTHA(BIT_WIDTH_0), .WIDTHB(BIT_WIDTH_1), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLKA), .CLKB(CLKB), .REA(1'b0), .REB(CEB & BLKSELB == BLK_SEL_1),
       .WEA(CEA & BLKSELA == BLK_SEL_0), .WEB(1'b0), .RSTA(RESETA), .RSTB(RESETB), .ADA(ADA),
       .ADB(ADB), .DIA(DI), .DIB(36'b0), .DOA(unused), .DOB(read));
  generate
    if (READ_MODE != 0)
      $error("narrowgauge has no model of a SDPX9B in this mode");
  endgenerate
endmodule

module DPX9B(output [17:0] DOA, DOB, input [17:0] DIA, DIB,
    input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,
    input WREA, WREB, CLKA, CLKB, CEA, CEB, OCEA, OCEB, RESETA, RESETB);
  parameter READ_MODE0 = 1'b0, READ_MODE1 = 1'b0, BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18,
    BLK_SEL_0 = 3'b000, BLK_SEL_1 = 3'b000, RESET_MODE = "SYNC";
  parameter [1:0] WRITE_MODE0 = 2'b00, WRITE_MODE1 = 2'b00;
  parameter [287:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire ona = CEA & BLKSELA == BLK_SEL_0, onb = CEB & BLKSELB == BLK_SEL_1;
  wire [35:0] qa, qb;
  narrowgauge_block #(.UNIT(9), .WIDTHA(BIT_WIDTH_0), .WIDTHB(BIT_WIDTH_1), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLKA), .CLKB(CLKB), .REA(ona & ~WREA), .REB(onb & ~WREB), .WEA(ona & WREA),
       .WEB(onb & WREB), .RSTA(RESETA), .RSTB(RESETB), .ADA(ADA), .ADB(ADB), .DIA({18'b0, DIA}),
       .DIB({18'b0, DIB}), .DOA(qa), .DOB(qb));
  reg [17:0] lasta = 0, lastb = 0;
  reg througha = 0, throughb = 0;  // what was written last is read
  always @(posedge CLKA)
    if (RESETA) througha <= 0;
    else if (ona) begin
      if (WREA) lasta <= DIA;
      througha <= WREA & WRITE_MODE0 == 1;
    end
  always @(posedge CLKB)
    if (RESETB) throughb <= 0;
    else if (onb) begin
      if (WREB) lastb <= DIB;
      throughb <= WREB & WRITE_MODE1 == 1;
    end
  assign DOA = RESET_MODE == "ASYNC" & RESETA ? 0 : througha ? lasta : qa;
  assign DOB = RESET_MODE == "ASYNC" & RESETB ? 0 : throughb ? lastb : qb;
  generate
    if (READ_MODE0 != 0 || READ_MODE1 != 0)
      $error("narrowgauge has no model of a DPX9B in this mode");
  endgenerate
endmodule

module pROMX9(output [35:0] DO, input [13:0] AD, input CLK, CE, OCE, RESET);
  parameter READ_MODE = 1'b0, BIT_WIDTH = 36, RESET_MODE = "SYNC";
  parameter [287:0]
      INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0,
      INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0,
      INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0,
      INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0,
      INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0,
      INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
      INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
      INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0,
      INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0,
      INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0,
      INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0,
      INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
      INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  wire [35:0] read, unused;
  assign DO = RESET_MODE == "ASYNC" & RESET ? 0 : read;
  narrowgauge_block #(.UNIT(9), .WIDTHA(BIT_WIDTH), .INIT({
      INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39,
      INIT_RAM_38, INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32,
      INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B,
      INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24,
      INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D,
      INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16,
      INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F,
      INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
      INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
      INIT_RAM_00})) block
      (.CLKA(CLK), .CLKB(CLK), .REA(CE), .REB(1'b0), .WEA(1'b0), .WEB(1'b0), .RSTA(RESET),
       .RSTB(1'b0), .ADA(AD), .ADB(14'b0), .DIA(36'b0), .DIB(36'b0), .DOA(read), .DOB(unused));
  generate
    if (READ_MODE != 0)
      $error("narrowgauge has no model of a pROMX9 in this mode");
  endgenerate
endmodule

// Without registers: that is how Yosys infers them.
module MULT9X9(input [8:0] A, B, SIA, SIB, input ASEL, BSEL, ASIGN, BSIGN,
    CE, CLK, RESET, output [17:0] DOUT, output [8:0] SOA, SOB);
  parameter AREG = 1'b0, BREG = 1'b0, OUT_REG = 1'b0, PIPE_REG = 1'b0,
    ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, SOA_REG = 1'b0, MULT_RESET_MODE = "SYNC";
  wire signed [9:0] a = {ASIGN & A[8], A}, b = {BSIGN & B[8], B};
  wire signed [19:0] product = a * b;
  assign DOUT = product;
  generate
    if (AREG || BREG || OUT_REG || PIPE_REG || ASIGN_REG || BSIGN_REG)
      $error("narrowgauge has no model of a MULT9X9 in this mode");
  endgenerate
endmodule

module MULT18X18(input [17:0] A, B, SIA, SIB, input ASEL, BSEL, ASIGN, BSIGN,
    CE, CLK, RESET, output [35:0] DOUT, output [17:0] SOA, SOB);
  parameter AREG = 1'b0, BREG = 1'b0, OUT_REG = 1'b0, PIPE_REG = 1'b0,
    ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, SOA_REG = 1'b0, MULT_RESET_MODE = "SYNC";
  wire signed [18:0] a = {ASIGN & A[17], A}, b = {BSIGN & B[17], B};
  wire signed [37:0] product = a * b;
  assign DOUT = product;
  generate
    if (AREG || BREG || OUT_REG || PIPE_REG || ASIGN_REG || BSIGN_REG)
      $error("narrowgauge has no model of a MULT18X18 in this mode");
  endgenerate
endmodule

module MULT36X36(input [35:0] A, B, input ASIGN, BSIGN,
    CE, CLK, RESET, output [71:0] DOUT);
  parameter AREG = 1'b0, BREG = 1'b0, OUT0_REG = 1'b0, OUT1_REG = 1'b0, PIPE_REG = 1'b0,
    ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, MULT_RESET_MODE = "SYNC";
  wire signed [36:0] a = {ASIGN & A[35], A}, b = {BSIGN & B[35], B};
  wire signed [73:0] product = a * b;
  assign DOUT = product;
  generate
    if (AREG || BREG || OUT0_REG || OUT1_REG || PIPE_REG || ASIGN_REG || BSIGN_REG)
      $error("narrowgauge has no model of a MULT36X36 in this mode");
  endgenerate
endmodule
