using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using Titan.Quantization.Linear;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Training.Optimization;

/// <summary>
/// Adam and AdamW over named parameters, all in one pass through libtorch's fused kernel; on a GPU, weights whose amax layers ask for by a kernel of our own that finds it on its way.
/// </summary>
public sealed class FusedAdam
{
    private const string Average = "exp_avg.", Square = "exp_avg_sq.";

    private readonly List<(string Fqn, Parameter Parameter, Tensor Average, Tensor Square)> states = [];
    private readonly (double Beta1, double Beta2, double Epsilon, double WeightDecay) settings;
    private readonly bool decoupled;

    /// <summary>Creates the optimizer with zero moments.</summary>
    public FusedAdam(IEnumerable<(string Fqn, Parameter Parameter)> parameters, double beta1, double beta2, double epsilon, double weightDecay, bool decoupled)
    {
        using var none = no_grad();
        settings = (beta1, beta2, epsilon, weightDecay);
        this.decoupled = decoupled;
        foreach (var (fqn, parameter) in parameters)
            states.Add((fqn, parameter, zeros_like(parameter).DetachFromDisposeScope(), zeros_like(parameter).DetachFromDisposeScope()));
    }

    /// <summary>The weights whose amax layers ask for (<see cref="KnownAmaxes"/>).</summary>
    public IReadOnlySet<Parameter> WantedAmaxes { get; init; } = new HashSet<Parameter>();

    /// <summary>What steps on those weights; a GPU's unless a test has another.</summary>
    internal CudaAdamW? Kernel { get; init; }

    /// <summary>Steps taken.</summary>
    public long Steps { get; set; }

    /// <summary>The moments under their checkpoint names: <c>exp_avg.FQN</c> and <c>exp_avg_sq.FQN</c>.</summary>
    public IReadOnlyList<(string Name, Tensor Tensor)> Moments =>
        [.. states.SelectMany(s => new[] { (Average + s.Fqn, s.Average), (Square + s.Fqn, s.Square) })];

    /// <summary>Whether a moment's name is that of a mean of squares.</summary>
    public static bool IsSquare(string name) => name.StartsWith(Square, StringComparison.Ordinal);

    /// <summary>Updates all parameters that have a gradient.</summary>
    public void Step(double lr)
    {
        using var scope = NewDisposeScope();
        Steps++;
        var used = states.Select(s => (s.Parameter, Gradient: s.Parameter.grad, s.Average, s.Square)).Where(s => s.Gradient is not null).ToList();
        var kernel = WantedAmaxes.Count == 0 ? null : Kernel ?? CudaAdamW.Shared;
        var byKernel = used.ToLookup(u => kernel is not null && WantedAmaxes.Contains(u.Parameter) && kernel.Covers(u.Parameter) && u.Gradient!.dtype == ScalarType.Float32);
        var numbers = new AdamStep(Steps, lr, settings.Beta1, settings.Beta2, settings.Epsilon, settings.WeightDecay, decoupled);
        foreach (var (weight, gradient, average, square) in byKernel[true]) KnownAmaxes.Tell(weight, kernel!.Step(weight, gradient!, average, square, numbers));
        used = [.. byKernel[false]];
        if (used.Count == 0) return;
        var steps = used.Select(u => tensor((float)Steps, device: u.Parameter.device)).ToList();
        AtenGateway.FusedAdamW([.. used.Select(u => (Tensor)u.Parameter)], [.. used.Select(u => u.Gradient!)], [.. used.Select(u => u.Average)], [.. used.Select(u => u.Square)],
            steps, lr, settings.Beta1, settings.Beta2, settings.WeightDecay, settings.Epsilon, decoupled);
    }
}
