// What the batch engine evaluates as it is: adders are full adders in a row, a single operation each.

(* blackbox *)
module NARROWGAUGE_FA (input A, B, C, output S, CO);
endmodule

(* blackbox *)
module NARROWGAUGE_LUT (input A, B, C, D, output Y);
  parameter [15:0] TABLE = 0;
endmodule

// The output of a gate, where a fault may be; the inputs are those of its table.
(* blackbox *)
module NARROWGAUGE_POINT (input A, I0, I1, I2, I3, output Y);
endmodule

// A mode of a cell that nothing models; a netlist in which it is left is refused.
(* blackbox, keep *)
module NARROWGAUGE_REFUSED ();
  parameter MODE = "", GIVEN = "", A = "", B = "", C = "", D = "", E = "", F = "";
endmodule
