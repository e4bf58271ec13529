using Titan.Quantization.Scaling;

namespace Titan.Quantization.Linear;

/// <summary>A cast that is attached to an activation for all layers that read it.</summary>
internal sealed class InputCast(Operand operand) : IDisposable
{
    /// <summary>Whether a layer has taken it.</summary>
    public bool IsTaken { get; private set; }

    /// <summary>The operand under handles of the caller's.</summary>
    public Operand Take()
    {
        IsTaken = true;
        return operand.Alias();
    }

    public void Dispose() => operand.Dispose();
}
