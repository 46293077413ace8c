"""The study ``tostado2019``: weights with variable mantissa and exponent, after training."""
