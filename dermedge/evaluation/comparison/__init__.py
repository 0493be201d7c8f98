"""`dermedge compare`: train, measure and report every fusion under every protocol, with several seeds.

`compare` goes through it all. Before: `plan`, `train_cell`, `measure_cell`, `latency`, `time_left`. Between: `results`,
the files in each run's folder. After: `runs` reads them as tables, `summary` makes one record of them beside
`paper_figures`, `publish` writes it as JSON, CSV, `plots` and `page`.
"""
