"""What is sampled and by whom: posteriors and samplers, each run in a process of its own.

Nothing here imports bayes_mkt but `run_bayes_mkt`: the other scripts run in environments of their
own, which their first lines pin.
"""
