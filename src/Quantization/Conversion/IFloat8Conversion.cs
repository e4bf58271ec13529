using Titan.Abstractions;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Statistics;

namespace Titan.Quantization.Conversion;

/// <summary>A conversion whose layers' casts can be measured, and whose matmuls are counted.</summary>
public interface IFloat8Conversion : IModelConversion
{
    /// <summary>Who is shown the casts from now on; null, as at first, for nobody, which costs nothing.</summary>
    CastObserver? Observer { get; set; }

    /// <summary>Counts executed float8 matmuls.</summary>
    MatmulCounter Counter { get; }
}
