// Compiled where a project sets TestsRunOneAtATime: its tests seed the process's random generator, count its tensors, or start ranks that share its cores.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
