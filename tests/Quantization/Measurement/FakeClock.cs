namespace Titan.Quantization.Tests.Measurement;

/// <summary>A clock that moves only when it is told to.</summary>
internal sealed class FakeClock : TimeProvider
{
    private long now;

    public override long TimestampFrequency => 1000;

    public void Advance(double seconds) => now += (long)Math.Round(1000 * seconds);

    public override long GetTimestamp() => now;
}
