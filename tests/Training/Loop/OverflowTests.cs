using Titan.Abstractions;

namespace Titan.Training.Tests.Loop;

/// <summary>An update that overflows at a step where a save is due.</summary>
public sealed class OverflowTests : TinyRuns
{
    [Fact]
    public void Is_not_saved_and_the_next_start_goes_on_from_the_checkpoint_before()
    {
        var expected = Run(Full, "whole");
        _ = Run(Full, "run", stop: 4);
        var before = Snapshot("run");
        foreach (var saving in new[] { Full with { Interval = 5 }, Full with { LastSaveModelOnly = true } })
        {
            var job = Job("run", saving);
            // The last step is one where a save is due as well.
            var error = Assert.Throws<TitanException>(() => Run(saving, "run", config: job with { Optimizer = job.Optimizer with { Lr = 1e300 }, Training = job.Training with { Steps = 5 } }));
            Assert.Equal(ExitCode.RunFailed, error.Code);
            Assert.Matches(@"step 5: .*tok_embeddings\.weight.* \(model\.safetensors\) holds NaN or infinity, so no checkpoint is saved: step-4 stays the newest; go on from there with a lower optimizer\.lr", error.Message);
            Assert.Equal(before, Snapshot("run"));
        }

        Assert.Equal(expected.Where(l => l.Key > 4), Run(Full, "run"));
        Assert.Empty(Warnings);
    }
}
