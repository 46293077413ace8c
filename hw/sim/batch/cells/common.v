// Block RAM in terms of the batch engine's own memories.

// A mode of a cell, and which there are models of.
module narrowgauge_only #(parameter MODE = "", GIVEN = "", A = "", B = A, C = A, D = A, E = A, F = A)
    ();
  generate
    if (GIVEN != A && GIVEN != B && GIVEN != C && GIVEN != D && GIVEN != E && GIVEN != F)
      NARROWGAUGE_REFUSED #(.MODE(MODE), .GIVEN(GIVEN), .A(A), .B(B), .C(C), .D(D), .E(E), .F(F))
      mode ();
  endgenerate
endmodule

// Two ports, each of which reads the word before a write.
module narrowgauge_memory #(parameter ABITS = 9, WIDTH = 36, parameter [(WIDTH << ABITS) - 1:0] INIT = 0)
    (input CLKA, CLKB, REA, REB, input [ABITS-1:0] AA, AB, input [WIDTH-1:0] WEA, WEB, DA, DB,
     output [WIDTH-1:0] QA, QB);
  \$mem_v2 #(.MEMID("\\memory"), .SIZE(1 << ABITS), .OFFSET(0), .ABITS(ABITS), .WIDTH(WIDTH),
      .INIT(INIT), .RD_PORTS(2), .RD_CLK_ENABLE(2'b11), .RD_CLK_POLARITY(2'b11),
      .RD_TRANSPARENCY_MASK(4'b0), .RD_COLLISION_X_MASK(4'b0), .RD_WIDE_CONTINUATION(2'b0),
      .RD_CE_OVER_SRST(2'b0), .RD_ARST_VALUE({2 * WIDTH{1'b0}}), .RD_SRST_VALUE({2 * WIDTH{1'b0}}),
      .RD_INIT_VALUE({2 * WIDTH{1'b0}}), .WR_PORTS(2), .WR_CLK_ENABLE(2'b11),
      .WR_CLK_POLARITY(2'b11), .WR_PRIORITY_MASK(4'b0), .WR_WIDE_CONTINUATION(2'b0))
    memory (.RD_CLK({CLKB, CLKA}), .RD_EN({REB, REA}), .RD_ARST(2'b0), .RD_SRST(2'b0),
      .RD_ADDR({AB, AA}), .RD_DATA({QB, QA}), .WR_CLK({CLKB, CLKA}), .WR_EN({WEB, WEA}),
      .WR_ADDR({AB, AA}), .WR_DATA({DB, DA}));
endmodule

// Where a port of so many bits writes in a row of four units, and what: the lowest bits of the
// address enable units of wide ports, and choose among those of narrow ones.
module narrowgauge_write #(parameter UNIT = 9, WIDTH = 36)
    (input enable, input [4:0] low, input [4*UNIT-1:0] data, output [4*UNIT-1:0] we, spread);
  genvar unit, place;
  generate for (unit = 0; unit < 4; unit = unit + 1) begin: units
    wire here = enable & (WIDTH == 4 * UNIT ? low[unit]
                          : WIDTH == 2 * UNIT ? low[unit % 2] & (low[4] == unit / 2)
                          : low[4:3] == unit);
    localparam from = WIDTH == 4 * UNIT ? unit * UNIT : WIDTH == 2 * UNIT ? unit % 2 * UNIT : 0;
    for (place = 0; place < UNIT; place = place + 1) begin: places
      assign we[unit * UNIT + place] = here & (WIDTH >= UNIT ? 1'b1 : WIDTH == 4 ? low[2] == place / 4
          : WIDTH == 2 ? low[2:1] == place / 2 : low[2:0] == place) & (WIDTH >= UNIT || place < 8);
      assign spread[unit * UNIT + place] = data[from + (WIDTH >= UNIT ? place : place % WIDTH)];
    end
  end endgenerate
endmodule

// What a port of so many bits reads of a row.
module narrowgauge_read #(parameter UNIT = 9, WIDTH = 36)
    (input [4:0] low, input [4*UNIT-1:0] row, output [4*UNIT-1:0] data);
  wire [2*UNIT-1:0] half = low[4] ? row[4*UNIT-1:2*UNIT] : row[2*UNIT-1:0];
  wire [UNIT-1:0] unit = low[3] ? half[2*UNIT-1:UNIT] : half[UNIT-1:0];
  wire [3:0] four = low[2] ? unit[7:4] : unit[3:0];
  wire [1:0] two = low[1] ? four[3:2] : four[1:0];
  assign data = WIDTH == 4 * UNIT ? row : WIDTH == 2 * UNIT ? half : WIDTH == UNIT ? unit
      : WIDTH == 4 ? four : WIDTH == 2 ? two : low[0] ? two[1] : two[0];
endmodule

// Block RAM of 512 rows of four units. `re` and `rst` are those of the outputs' registers.
module narrowgauge_block #(parameter UNIT = 9, WIDTHA = 4 * UNIT, WIDTHB = 4 * UNIT,
                           parameter [2048*UNIT-1:0] INIT = 0)
    (input CLKA, CLKB, REA, REB, WEA, WEB, RSTA, RSTB, input [13:0] ADA, ADB,
     input [4*UNIT-1:0] DIA, DIB, output [4*UNIT-1:0] DOA, DOB);
  wire [4*UNIT-1:0] wea, web, da, db, qa, qb, pa, pb;
  narrowgauge_only #("width of port A", WIDTHA, 1, 2, 4, UNIT, 2 * UNIT, 4 * UNIT) only_width_a ();
  narrowgauge_only #("width of port B", WIDTHB, 1, 2, 4, UNIT, 2 * UNIT, 4 * UNIT) only_width_b ();
  narrowgauge_write #(.UNIT(UNIT), .WIDTH(WIDTHA)) wa
      (.enable(WEA), .low(ADA[4:0]), .data(DIA), .we(wea), .spread(da));
  narrowgauge_write #(.UNIT(UNIT), .WIDTH(WIDTHB)) wb
      (.enable(WEB), .low(ADB[4:0]), .data(DIB), .we(web), .spread(db));
  narrowgauge_memory #(.ABITS(9), .WIDTH(4 * UNIT), .INIT(INIT)) memory
      (.CLKA(CLKA), .CLKB(CLKB), .REA(REA), .REB(REB), .AA(ADA[13:5]), .AB(ADB[13:5]),
       .WEA(wea), .WEB(web), .DA(da), .DB(db), .QA(qa), .QB(qb));
  reg [4:0] lowa = 0, lowb = 0;
  reg zeroa = 1, zerob = 1;
  always @(posedge CLKA) begin
    if (RSTA) zeroa <= 1; else if (REA) zeroa <= 0;
    if (REA) lowa <= ADA[4:0];
  end
  always @(posedge CLKB) begin
    if (RSTB) zerob <= 1; else if (REB) zerob <= 0;
    if (REB) lowb <= ADB[4:0];
  end
  narrowgauge_read #(.UNIT(UNIT), .WIDTH(WIDTHA)) ra (.low(lowa), .row(qa), .data(pa));
  narrowgauge_read #(.UNIT(UNIT), .WIDTH(WIDTHB)) rb (.low(lowb), .row(qb), .data(pb));
  assign DOA = zeroa ? 0 : pa, DOB = zerob ? 0 : pb;
endmodule
