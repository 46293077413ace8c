"""Networks: lowered from torch, trained at every format, turned into integers, exchanged.

`data` has the data sets, `layers` the quantised steps and `lowering` the way to them from a torch
module. `training` trains, and `post_training` quantises without that; `exact` solves for integers,
`integers` exports networks and evaluates them; `exchange` reads and writes QONNX, `zoo` has trained
networks.
"""
