"""The zoo: trained networks that come with the package, each one network file.

`networks.load` returns one by its name, `networks.entries` says of each what it is.
"""
