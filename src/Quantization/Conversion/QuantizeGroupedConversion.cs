using Titan.Abstractions;
using Titan.Quantization.Grouped;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Statistics;

namespace Titan.Quantization.Conversion;

/// <summary>A model whose experts execute a recipe.</summary>
/// <param name="report">What was converted.</param>
/// <param name="engine">What the layers share.</param>
internal sealed class QuantizeGroupedConversion(ConversionReport report, GroupedEngine engine) : IFloat8Conversion
{
    public ConversionReport Report => report;

    public CastObserver? Observer
    {
        get => engine.Linear.Observer;
        set => engine.Linear.Observer = value;
    }

    public MatmulCounter Counter => engine.Linear.Counter;

    public void AfterOptimizerStep() => engine.Linear.AfterOptimizerStep();
}
