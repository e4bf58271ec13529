using Titan.Quantization.Measurement;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Measurement;

public sealed class SeededNumbersTests
{
    [Fact]
    public void Numbers_are_those_of_a_generator_of_the_CPU_and_the_runs_own_generator_is_left_alone()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var next = randn(4);
        manual_seed(5);
        using var numbers = new SeededNumbers(7, CPU);
        using var generator = new Generator(7);
        Assert.True(Same(numbers.Normal(ScalarType.Float32, 3, 40), randn([3, 40], generator: generator)));
        Assert.True(Same(numbers.Below(1000, 2, 8), randint(0, 1000, [2, 8], dtype: ScalarType.Int64, generator: generator)));
        Assert.True(Same(next, randn(4)));
    }

    [Fact]
    public void On_a_device_that_is_not_the_CPU_they_are_drawn_on_the_CPU_and_moved()
    {
        using var scope = NewDisposeScope();
        using var numbers = new SeededNumbers(7, META);
        var x = numbers.Normal(ScalarType.BFloat16, 3, 40);
        Assert.Equal((TorchSharp.DeviceType.META, ScalarType.BFloat16), (x.device_type, x.dtype));
        Assert.Equal([3L, 40L], x.shape);
        Assert.Equal(TorchSharp.DeviceType.META, numbers.Below(9, 5).device_type);
    }

    [Fact]
    public void More_numbers_than_are_drawn_at_most_repeat_them()
    {
        using var scope = NewDisposeScope();
        using var numbers = new SeededNumbers(7, CPU);
        var x = numbers.Normal(ScalarType.BFloat16, SeededNumbers.MostDrawn / 1024 + 3, 1024);
        Assert.True(Same(x.narrow(0, SeededNumbers.MostDrawn / 1024, 3), x.narrow(0, 0, 3)));
        Assert.False(Same(x.narrow(0, 3, 3), x.narrow(0, 0, 3)));
    }

    private static bool Same(Tensor a, Tensor b) => a.eq(b).all().item<bool>();
}
