"""The work of ``narrowgauge run``, and what training, simulating and checking share.

A `run_plan.RunPlan` is the request, `network_job.make_jobs` makes its jobs, a `pipeline.Trainer`
trains through the store; `checked` simulates and compares, `sources` digests code for the store.
"""
