"""The zoo: trained networks that come with the package, each one network file."""
