"""The study ``su2018``: what accuracy costs at each precision."""
