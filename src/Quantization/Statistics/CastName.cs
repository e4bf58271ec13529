namespace Titan.Quantization.Statistics;

/// <summary>The casts of a layer, in the words of torchao's configuration.</summary>
public static class CastName
{
    /// <summary>X for the output matmul; for grad_weight too where one cast serves both.</summary>
    public const string Input = "input";

    /// <summary>W for the output matmul.</summary>
    public const string Weight = "weight";

    /// <summary>G for the grad_input matmul; for grad_weight too where one cast serves both.</summary>
    public const string GradOutput = "grad_output";

    /// <summary>X for the grad_weight matmul, where it differs from <see cref="Input"/>.</summary>
    public const string InputForGradWeight = "input_for_grad_weight";

    /// <summary>W for the grad_input matmul, where it differs from <see cref="Weight"/>.</summary>
    public const string WeightForGradInput = "weight_for_grad_input";

    /// <summary>G for the grad_weight matmul, where it differs from <see cref="GradOutput"/>.</summary>
    public const string GradOutputForGradWeight = "grad_output_for_grad_weight";
}
