// iCE40: what Yosys has models of that are not the best for the batch engine.

module SB_LUT4(output O, input I0 = 1'b0, I1 = 1'b0, I2 = 1'b0, I3 = 1'b0);
  parameter [15:0] LUT_INIT = 0;
  NARROWGAUGE_LUT #(.TABLE(LUT_INIT)) lut (.A(I0), .B(I1), .C(I2), .D(I3), .Y(O));
endmodule

module SB_CARRY(output CO, input I0 = 1'b0, I1 = 1'b0, CI = 1'b0);
  NARROWGAUGE_FA fa (.A(I0), .B(I1), .C(CI), .CO(CO));
endmodule

// Narrow ports use every second, fourth or eighth bit of a word, which the address chooses.
module SB_RAM40_4K(output [15:0] RDATA, input RCLK, RCLKE = 1'b1, RE = 1'b0, input [10:0] RADDR,
    input WCLK, WCLKE = 1'b1, WE = 1'b0, input [10:0] WADDR, input [15:0] MASK = 16'h0000,
    input [15:0] WDATA);
  parameter WRITE_MODE = 0, READ_MODE = 0, INIT_FILE = "";
  parameter [255:0] INIT_0 = 0, INIT_1 = 0, INIT_2 = 0, INIT_3 = 0, INIT_4 = 0, INIT_5 = 0,
      INIT_6 = 0, INIT_7 = 0, INIT_8 = 0, INIT_9 = 0, INIT_A = 0, INIT_B = 0, INIT_C = 0,
      INIT_D = 0, INIT_E = 0, INIT_F = 0;
  narrowgauge_only #("WRITE_MODE", WRITE_MODE, 0, 1, 2, 3) only_write_mode ();
  narrowgauge_only #("READ_MODE", READ_MODE, 0, 1, 2, 3) only_read_mode ();
  narrowgauge_only #("INIT_FILE", INIT_FILE, "") only_init_file ();
  wire [15:0] we, data, word, unused;
  reg [2:0] low = 0;
  wire read = RE & RCLKE;
  always @(posedge RCLK) if (read) low <= RADDR[10:8];
  narrowgauge_memory #(.ABITS(8), .WIDTH(16), .INIT({INIT_F, INIT_E, INIT_D, INIT_C, INIT_B, INIT_A,
      INIT_9, INIT_8, INIT_7, INIT_6, INIT_5, INIT_4, INIT_3, INIT_2, INIT_1, INIT_0})) memory
      (.CLKA(WCLK), .CLKB(RCLK), .REA(1'b0), .REB(read), .AA(WADDR[7:0]), .AB(RADDR[7:0]),
       .WEA(we), .WEB(16'b0), .DA(data), .DB(16'b0), .QA(unused), .QB(word));
  genvar i;
  generate for (i = 0; i < 16; i = i + 1) begin: bits
    localparam step = 1 << WRITE_MODE, apart = 1 << READ_MODE;
    wire [2:0] place = WADDR[10:8] & (step - 1);
    assign we[i] = WE & WCLKE & (WRITE_MODE == 0 ? ~MASK[i] : place == i % step);
    assign data[i] = WDATA[i - i % step + (step - 1) / 2];
    if (i % apart == (apart - 1) / 2)
      assign RDATA[i] = word[i - i % apart + (low & (apart - 1))];
    else
      assign RDATA[i] = 1'b0;
  end endgenerate
endmodule

module SB_SPRAM256KA(input [13:0] ADDRESS, input [15:0] DATAIN, input [3:0] MASKWREN,
    input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF, output [15:0] DATAOUT);
  wire on = CHIPSELECT & ~STANDBY & ~SLEEP & POWEROFF;
  wire [15:0] we = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};
  wire [15:0] unused;
  narrowgauge_memory #(.ABITS(14), .WIDTH(16)) memory (.CLKA(CLOCK), .CLKB(CLOCK),
      .REA(on & ~WREN), .REB(1'b0), .AA(ADDRESS), .AB(14'b0), .WEA(we & {16{on & WREN}}),
      .WEB(16'b0), .DA(DATAIN), .DB(16'b0), .QA(DATAOUT), .QB(unused));
endmodule

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
