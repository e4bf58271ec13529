using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

public enum Speed
{
    Slow,
    Fast,
}

/// <summary>An option of every type that there is.</summary>
public sealed record AllKinds
{
    [Description("A switch.")]
    public bool Switch { get; init; } = true;

    [Range(1, 8)]
    [Description("From 1 to 8.")]
    public int Small { get; init; } = 3;

    public long Large { get; init; } = 1L << 40;

    public double Ratio { get; init; } = 0.25;

    public float Single { get; init; } = 0.1f;

    [AllowedValues("one", "two")]
    public string Choice { get; init; } = "one";

    public string? Nothing { get; init; }

    public int? Maybe { get; init; }

    public Speed Speed { get; init; } = Speed.Fast;

    public IReadOnlyList<string> Names { get; init; } = ["a", "b"];

    public int[] Numbers { get; init; } = [1, 2];

    public List<double> Ratios { get; init; } = [0.5];

    public IReadOnlyList<Speed> Speeds { get; init; } = [Speed.Slow];
}

/// <summary>Its summary says what it was given.</summary>
[ExportConverter("acme.option_kinds")]
public sealed class Plugin() : EveryLinear("acme.option_kinds"), IModelConverter
{
    public Type OptionsType => typeof(AllKinds);

    protected override string Says(object options) => System.Text.Json.JsonSerializer.Serialize((AllKinds)options);
}
