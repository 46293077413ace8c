"""TFLite networks of int8: read, run as the specification says, and imported exactly.

Start with `importer.import_tflite`; `agree.agree_tflite` compares a file with its import on images.
"""
