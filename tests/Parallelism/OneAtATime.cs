// The random generator is the process's: tests that seed it must not run beside each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
