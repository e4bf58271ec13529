namespace Titan.Quantization.Statistics;

/// <summary>A converter whose layers' casts can be measured.</summary>
public interface IObservableCasts
{
    /// <summary>Who is shown the casts from now on; null, as at first, for nobody, which costs nothing.</summary>
    CastObserver? Observer { get; set; }
}
