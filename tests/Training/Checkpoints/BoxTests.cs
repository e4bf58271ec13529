using CsCheck;
using Titan.Training.Checkpoints;

namespace Titan.Training.Tests.Checkpoints;

public sealed class BoxTests
{
    /// <summary>Boxes within [6, 6, 6], of 0 to 3 dimensions.</summary>
    private static Gen<(Box, Box)> Pairs => Gen.Int[0, 3].SelectMany(n => Gen.Select(OfDimensions(n), OfDimensions(n)));

    [Fact]
    public void What_two_boxes_have_in_common_is_what_is_in_both() => Pairs.Sample((a, b) =>
    {
        var common = a.Intersect(b);
        Assert.Equal(Points(a).Intersect(Points(b)).Order(), common is null ? [] : Points(common).Order());
        Assert.True(common is null || !common.IsEmpty);
    }, iter: 2000, threads: 1);

    [Fact]
    public void What_is_left_of_a_box_has_each_of_its_other_elements_once() => Pairs.Sample((a, b) =>
    {
        if (a.Intersect(b) is not { } common) return;
        var left = a.Without(common).ToList();
        Assert.True(left.Count <= 2 * a.Shape.Count && left.All(l => !l.IsEmpty));
        Assert.Equal(Points(a).Except(Points(common)).Order(), left.SelectMany(Points).Order());
    }, iter: 2000, threads: 1);

    private static Gen<Box> OfDimensions(int n) => Gen.Long[0, 5].Array[n].SelectMany(offset =>
        Gen.Double[0, 1].Array[n].Select(at => new Box(offset, [.. offset.Zip(at, (o, a) => (long)(a * (7 - o)))])));

    /// <summary>A box's elements, each as a number.</summary>
    private static IEnumerable<long> Points(Box box) => Enumerable.Range(0, box.Shape.Count).Aggregate(Enumerable.Repeat(0L, 1), (points, d) =>
        [.. points.SelectMany(p => Enumerable.Range(0, (int)box.Shape[d]).Select(i => p * 10 + box.Offset[d] + i))]);
}
