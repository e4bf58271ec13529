namespace Titan.Abstractions;

/// <summary>The device that layers will run on.</summary>
/// <param name="IsCuda">Whether it is a CUDA device; else the CPU.</param>
/// <param name="Major">Compute capability, major.</param>
/// <param name="Minor">Compute capability, minor.</param>
public readonly record struct DeviceCapability(bool IsCuda, int Major = 0, int Minor = 0)
{
    /// <summary>The CPU.</summary>
    public static DeviceCapability Cpu { get; } = new(false);

    /// <inheritdoc />
    public override string ToString() => IsCuda ? $"SM{Major}{Minor}" : "CPU";
}

/// <summary>What a recipe needs from the hardware. The CPU always serves: it decodes float8 and multiplies in bf16.</summary>
/// <param name="Major">Least compute capability, major.</param>
/// <param name="Minor">Least compute capability, minor.</param>
/// <param name="Emulatable">Whether <c>emulate = true</c> lifts the requirement.</param>
public sealed record DeviceRequirement(int Major, int Minor, bool Emulatable)
{
    /// <summary>Nothing.</summary>
    public static DeviceRequirement Any { get; } = new(0, 0, true);

    /// <summary>A CUDA device of at least this compute capability.</summary>
    public static DeviceRequirement Cuda(int major, int minor) => new(major, minor, false);

    /// <summary>The same, or <c>emulate = true</c>.</summary>
    public DeviceRequirement OrEmulated() => this with { Emulatable = true };

    /// <summary>Why the device does not serve, or null when it does.</summary>
    public string? Refusal(DeviceCapability device, bool emulate)
    {
        if (!device.IsCuda || (emulate && Emulatable)) return null;
        if (device.Major > Major || (device.Major == Major && device.Minor >= Minor)) return null;
        return $"needs SM{Major}{Minor} or newer, found {device}{(Emulatable ? "; set emulate = true to run it anyway, slowly" : "")}";
    }
}
