// Tensor.TotalCount and the random state are shared by the process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
