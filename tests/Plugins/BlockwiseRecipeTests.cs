using System.Diagnostics;
using System.Text.Json;

namespace Titan.Plugins.Tests;

/// <summary>
/// DeepSeek-V3's recipe as a third party writes it: activations and gradients with a scale for 1 x 128 elements, weights with one for 128 x 128, all in fp32. Once as data, once
/// by code of its own.
/// </summary>
public sealed class BlockwiseRecipeTests(OutsidePluginTests.PackedContract contract) : IClassFixture<OutsidePluginTests.PackedContract>
{
    private const string Source = """
        using TorchSharp;

        [ExportRecipe("acme", "blockwise", IsDefault = true, Status = ExportStatus.Prototype, Summary = "1 x 128 and 128 x 128, as data")]
        public sealed class Blockwise : QuantizationRecipe<NoOptions>
        {
            public override LinearRecipe Describe(NoOptions options)
            {
                OperandCast activation = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Block(128), ScaleRounding.None);
                OperandCast weight = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tile(128, 128), ScaleRounding.None);
                return new(new(activation, weight), new(activation, weight), new(activation, activation));
            }
        }

        [ExportRecipe("acme", "blockwise_by_code", Status = ExportStatus.Prototype, Summary = "the same by code of its own")]
        public sealed class BlockwiseByCode : QuantizationRecipe<NoOptions>
        {
            public override LinearRecipe Describe(NoOptions options)
            {
                OperandCast activation = new OperandCast.Custom(new TileQuantizer(1)), weight = new OperandCast.Custom(new TileQuantizer(128));
                return new(new(activation, weight), new(activation, weight), new(activation, activation));
            }
        }

        /// One scale for each tile of rows x 128; the matmul contracts dimension 1.
        public sealed class TileQuantizer : IQuantizer
        {
            private const int Length = 128;
            private readonly int rows;

            public TileQuantizer(int rows) => this.rows = rows;

            public string Name => $"acme_{rows}x{Length}";

            public torch.Tensor QuantizeDequantize(torch.Tensor operand)
            {
                using var scope = torch.NewDisposeScope();
                long r = operand.shape[0], c = operand.shape[1];
                long down = (r + rows - 1) / rows, across = (c + Length - 1) / Length;
                // The number of tokens need not be a multiple: zeros change no amax.
                var filled = torch.zeros(down * rows, across * Length);
                filled.narrow(0, 0, r).narrow(1, 0, c).copy_(operand);
                var tiles = filled.view(down, rows, across, Length);
                var amax = tiles.abs().amax(new long[] { 1, 3 }, true).to(torch.ScalarType.Float64).clamp(min: 1e-12);
                var scale = (Float8Format.E4M3.Max / amax).to(torch.ScalarType.Float32);
                // Clamp before the cast: libtorch's own does not saturate.
                var data = (tiles * scale).clamp(-Float8Format.E4M3.Max, Float8Format.E4M3.Max).to(Float8Format.E4M3.Type);
                var values = (data.to(torch.ScalarType.Float32) / scale).view(down * rows, across * Length).narrow(0, 0, r).narrow(1, 0, c);
                return values.to(operand.dtype).contiguous().MoveToOuterDisposeScope();
            }
        }
        """;

    [Fact]
    public void A_recipe_of_blocks_and_tiles_trains_alike_as_data_and_by_code()
    {
        var folder = contract.Build("blockwise", Source);
        var (byData, dataLog) = Train(folder, "blockwise");
        var (byCode, codeLog) = Train(folder, "blockwise_by_code");
        Assert.Equal(2, byData.Count);
        for (var i = 0; i < 2; i++) Assert.InRange(byCode[i] - byData[i], -1e-3, 1e-3);
        // 29 linears with three matmuls each; one whose casts are a plugin's code is multiplied in high precision and does not count.
        Assert.Contains("float8_matmuls: 87", dataLog, StringComparison.Ordinal);
        Assert.Contains("float8_matmuls: 0", codeLog, StringComparison.Ordinal);
        Assert.Contains("i:dyn_blk128_e4m3,w:dyn_tile128x128_e4m3,go:dyn_blk128_e4m3", dataLog, StringComparison.Ordinal);
        Assert.Contains("i:acme_1x128,w:acme_128x128,go:acme_1x128", codeLog, StringComparison.Ordinal);
    }

    private static (List<double> Losses, string Log) Train(string plugin, string recipe)
    {
        var dump = Directory.CreateTempSubdirectory("titan-blockwise").FullName;
        try
        {
            // 96 tokens: grad_weight contracts over less than a block. In fp32, for a plugin's code returns its values in the operand's dtype: in bf16 they would be rounded once more.
            var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "titan"),
                $"train --plugins.path {plugin} --model.converters quantize.linear.acme --quantize.linear.acme.recipe_name {recipe} --model.flavor cpu_small --training.seq_len 48 " +
                $"--training.local_batch_size 2 --training.steps 2 --metrics.log_freq 1 --lr_scheduler.warmup_steps 1 --debug.seed 1 --training.mixed_precision_param float32 --activation_checkpoint.mode none --job.dump_folder {dump}")
            { RedirectStandardOutput = true, RedirectStandardError = true };
            using var process = Process.Start(start)!;
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            output += error.Result;
            Assert.True(process.ExitCode == 0, output);
            var losses = File.ReadLines(Path.Combine(dump, "metrics.jsonl")).Select(l => JsonDocument.Parse(l).RootElement.GetProperty("loss_metrics/global_avg_loss").GetDouble()).ToList();
            return (losses, output);
        }
        finally
        {
            Directory.Delete(dump, true);
        }
    }
}
