using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Statistics;

namespace Titan.Quantization.Conversion;

/// <summary>A model whose linear layers execute a recipe.</summary>
/// <param name="report">What was converted.</param>
/// <param name="engine">What the layers share.</param>
/// <param name="layers">The layers.</param>
internal sealed class QuantizeLinearConversion(ConversionReport report, LinearEngine engine, IReadOnlyList<QuantizedLinear> layers) : IFloat8Conversion
{
    public ConversionReport Report => report;

    public CastObserver? Observer
    {
        get => engine.Observer;
        set => engine.Observer = value;
    }

    public MatmulCounter Counter => engine.Counter;

    public IReadOnlyList<PlannedCollective> Plan(StepShape step) => AmaxPlan.Of(layers, engine.Recipe, step);

    public void AfterOptimizerStep() => engine.AfterOptimizerStep();
}
