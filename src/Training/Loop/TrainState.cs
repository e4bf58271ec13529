using System.Text.Json;
using System.Text.Json.Serialization;

namespace Titan.Training.Loop;

/// <summary>
/// The counts of a run, in <c>train_state.json</c>. Each part that may be excluded from loading counts by itself: of a run that never excluded one, all steps are the same number.
/// </summary>
/// <param name="Step">Steps taken.</param>
/// <param name="TokensSeen">Tokens trained on, over all ranks.</param>
/// <param name="OptimizerSteps">Steps that the moments are made of.</param>
public sealed record TrainState(long Step, long TokensSeen, long OptimizerSteps)
{
    // More tokens than any text has, in more steps than a configuration can ask for.
    private const long MostSteps = int.MaxValue, MostTokensPerStep = 1L << 40;

    private static readonly JsonSerializerOptions Strict = new(JsonSerializerOptions.Strict);

    /// <summary>Steps that the learning rate's schedule has taken; null, as earlier versions have it, for <see cref="Step"/>.</summary>
    public long? SchedulerSteps { get; init; }

    /// <summary>Steps that were taken before the counts started over, because <c>train_state</c> was excluded.</summary>
    public long EarlierSteps { get; init; }

    /// <summary>Tokens that were trained on before.</summary>
    public long EarlierTokens { get; init; }

    /// <summary>All tokens that were trained on; null where an earlier version may have forgotten some.</summary>
    [JsonIgnore]
    public long? AllTokens => SchedulerSteps is null ? null : TokensSeen + EarlierTokens;

    /// <summary>Reads the state of a checkpoint.</summary>
    /// <param name="json">The text.</param>
    /// <param name="step">The step that the checkpoint is of.</param>
    /// <exception cref="JsonException">With the first field that is missing, of another type, out of its range, or contradicts another.</exception>
    public static TrainState Parse(string json, long step)
    {
        var state = JsonSerializer.Deserialize<TrainState>(json, Strict) ?? throw new JsonException("it is null");
        Require(state.Step == step, nameof(Step), state.Step, $"{step}, the step of the checkpoint");
        Require(state.Step is >= 0 and <= MostSteps, nameof(Step), state.Step, $"0 to {MostSteps}");
        Require(state.EarlierSteps is >= 0 and <= MostSteps, nameof(EarlierSteps), state.EarlierSteps, $"0 to {MostSteps}");
        // A step has a token at least.
        Require(AreTokens(state.TokensSeen, state.Step), nameof(TokensSeen), state.TokensSeen, $"1 to {MostTokensPerStep} a step, of which there were {state.Step}");
        Require(AreTokens(state.EarlierTokens, state.EarlierSteps), nameof(EarlierTokens), state.EarlierTokens, $"1 to {MostTokensPerStep} a step, of which there were {state.EarlierSteps}");
        // Earlier versions did not keep what was counted before.
        var all = state.SchedulerSteps is null ? MostSteps : state.Step + state.EarlierSteps;
        Require(state.OptimizerSteps >= 0 && state.OptimizerSteps <= all, nameof(OptimizerSteps), state.OptimizerSteps, $"0 to {all}, the steps that were taken");
        var scheduled = state.SchedulerSteps ?? state.Step;
        Require(scheduled >= 0 && scheduled <= all, nameof(SchedulerSteps), scheduled, $"0 to {all}, the steps that were taken");
        return state;
    }

    /// <summary>The file's text.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Strict);

    private static bool AreTokens(long tokens, long steps) => tokens >= steps && (Int128)tokens <= (Int128)steps * MostTokensPerStep;

    private static void Require(bool holds, string field, long value, string expected)
    {
        if (!holds) throw new JsonException($"{field} is {value}, expected {expected}");
    }
}
