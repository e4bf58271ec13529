// Jobs of several ranks share the cores: one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
