// Yosys's word-level adders as full adders in a row, where its own techmap makes prefix trees.
(* techmap_celltype = "$alu" *)
module narrowgauge_alu (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  input CI, BI;
  output [Y_WIDTH-1:0] X, Y, CO;
  wire [Y_WIDTH-1:0] a, b, other;
  generate
    if (A_WIDTH == 0) assign a = 0;
    else \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
    if (B_WIDTH == 0) assign b = 0;
    else \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b));
  endgenerate
  assign other = BI ? ~b : b;
  assign X = a ^ other;
  wire [Y_WIDTH:0] carry;
  assign carry[0] = CI;
  assign CO = carry[Y_WIDTH:1];
  genvar i;
  generate for (i = 0; i < Y_WIDTH; i = i + 1) begin: bit
    NARROWGAUGE_FA fa (.A(a[i]), .B(other[i]), .C(carry[i]), .S(Y[i]), .CO(carry[i+1]));
  end endgenerate
endmodule

(* techmap_celltype = "$fa" *)
module narrowgauge_fa (A, B, C, X, Y);
  parameter WIDTH = 1;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin: bit
    NARROWGAUGE_FA fa (.A(A[i]), .B(B[i]), .C(C[i]), .S(Y[i]), .CO(X[i]));
  end endgenerate
endmodule
